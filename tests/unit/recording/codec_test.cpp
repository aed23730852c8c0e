// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/codec.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/unit/recording/sample.h"

namespace tcpwhy::recording {
namespace {

// A state change of one end, and what the end then says of itself.
struct Step {
  bool server;
  std::uint8_t from, to;
  std::uint32_t sent, received;  // since its ISNs
  bool by_owner;
};
// connect, a byte asked, a byte answered, close: as the kernel tells it on loopback.
constexpr std::array<Step, 9> kLife{{{false, 7, 2, 0, 0, true},
                                     {false, 2, 1, 1, 1, false},
                                     {true, 3, 1, 1, 1, false},
                                     {false, 1, 4, 2, 2, true},
                                     {true, 1, 8, 2, 3, false},
                                     {true, 8, 9, 2, 3, true},
                                     {false, 4, 5, 3, 2, false},
                                     {false, 5, 7, 3, 3, false},
                                     {true, 9, 7, 3, 3, false}}};

// So many whole lives, one after another, with random ports, ISNs and waits.
Bytes lives(std::size_t connections) {
  std::mt19937 random{3};
  Bytes out;
  std::uint64_t now = 1'000'000'000;
  for (std::size_t i = 0; i < connections; ++i) {
    const auto port = static_cast<__u16>(32'768 + random() % 28'232);
    const auto isns = (std::uint64_t{random()} << 32) | random();
    const std::array isn{static_cast<std::uint32_t>(isns >> 32), static_cast<std::uint32_t>(isns)};  // client, server
    for (const Step& step : kLife) {
      tw_transition transition{};
      transition.id = 1 + 2 * i + (step.server ? 1 : 0);
      transition.tuple.local_port = step.server ? 80 : port;
      transition.tuple.remote_port = step.server ? port : 80;
      transition.from = step.from;
      transition.to = step.to;
      if (step.sent != 0) {
        transition.snd_una = transition.snd_nxt = isn.at(step.server ? 1 : 0) + step.sent;
        transition.rcv_nxt = transition.copied_seq = isn.at(step.server ? 0 : 1) + step.received;
      }
      if (step.by_owner) {
        transition.pid = step.server ? 20 : 30;
        std::memcpy(transition.comm, step.server ? "server" : "client", 6);
      }
      add(out, transition, TW_KIND_TRANSITION, now += 2'000 + random() % 30'000);
    }
  }
  return out;
}

TEST(Transposition, GivesBackLivesThatAreOver) {
  const Bytes records = lives(50);
  const auto back = restore(transpose(records), static_cast<std::uint32_t>(records.size()), Arrangement::by_state);
  ASSERT_TRUE(back) << back.error().what;
  EXPECT_EQ(*back, records);
}

TEST(Transposition, GivesBackWhatItWasGiven) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    const Bytes records = busy(seed * 10, seed);
    const Bytes shaped = transpose(records);
    ASSERT_FALSE(shaped.empty());
    const auto back = restore(shaped, static_cast<std::uint32_t>(records.size()), Arrangement::by_state);
    ASSERT_TRUE(back) << back.error().what;
    EXPECT_EQ(*back, records);
  }
}

// The times of transitions, and where in the stream; all else as it was.
TEST(Transposition, WithoutOrdinaryLifeTheRestIsAsItWas) {
  const Bytes records = busy(300);
  Block expected;
  for_each_record(records, [&](View record) {
    const auto header = abi::peek_header(record);
    if (header->kind == TW_KIND_TRANSITION)
      expected.ordinary.push_back({header->time_ns, expected.records.size()});
    else
      expected.records.insert(expected.records.end(), record.begin(), record.end());
  });
  const auto back =
      restore_without_ordinary(transpose(records), static_cast<std::uint32_t>(records.size()), Arrangement::by_state);
  ASSERT_TRUE(back) << back.error().what;
  EXPECT_EQ(back->records, expected.records);
  ASSERT_EQ(back->ordinary.size(), expected.ordinary.size());
  for (std::size_t i = 0; i < back->ordinary.size(); ++i) {
    EXPECT_EQ(back->ordinary[i].time_ns, expected.ordinary[i].time_ns);
    EXPECT_EQ(back->ordinary[i].before, expected.ordinary[i].before);
  }
  // A block gives them in the order of the stream.
  Block block;
  block.records = back->records;
  block.ordinary = back->ordinary;
  std::vector<std::uint64_t> times, visited;
  for_each_record(records, [&](View record) { times.push_back(abi::peek_header(record)->time_ns); });
  EXPECT_TRUE(block.visit([&](View record) { visited.push_back(abi::peek_header(record)->time_ns); },
                          [&](std::uint64_t time) { visited.push_back(time); }));
  EXPECT_EQ(visited, times);
}

// One that is cut is no transition: whoever reads it must say so.
TEST(Transposition, ATransitionThatIsCutIsNotOrdinary) {
  Bytes records(48);
  const tw_header header{.time_ns = 7, .kind = TW_KIND_TRANSITION, .size = 48, .cpu = 0, .reserved = 0};
  std::memcpy(records.data(), &header, sizeof(header));
  const auto back = restore_without_ordinary(transpose(records), 48, Arrangement::by_state);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->records, records);
  EXPECT_TRUE(back->ordinary.empty());
}

TEST(Transposition, ARecordOfAnotherKindThanItsGroupIsAContradiction) {
  const Bytes records = busy(20);
  Bytes shaped = transpose(records);
  shaped[4] ^= std::byte{1};  // the kind of the first group
  EXPECT_FALSE(restore(shaped, static_cast<std::uint32_t>(records.size()), Arrangement::by_state));
}

TEST(Transposition, ATransitionOfAnotherStateThanItsGroupIsAContradiction) {
  const Bytes records = busy(20);
  const auto raw = static_cast<std::uint32_t>(records.size());
  const Bytes shaped = transpose(records);
  constexpr std::size_t kRow = 12;
  constexpr std::size_t kTo = 5;
  std::size_t transitions = 0;
  for (std::size_t row = 4; row < 4 + kRow * get<std::uint32_t>(shaped); row += kRow) {
    if (get<std::uint16_t>(View{shaped}.subspan(row)) != TW_KIND_TRANSITION) continue;
    transitions += 1;
    Bytes damaged = shaped;
    damaged[row + kTo] ^= std::byte{0x40};
    EXPECT_FALSE(restore(damaged, raw, Arrangement::by_state));
  }
  EXPECT_GT(transitions, 5U);
}

TEST(Transposition, OfSizesThatAreNoMultipleOfEight) {
  std::mt19937 random{9};
  Bytes records;
  for (int i = 0; i < 300; ++i) {
    const auto size = static_cast<std::uint16_t>(16 + random() % 90);
    const tw_header header{.time_ns = random(), .kind = 200, .size = size, .cpu = 1, .reserved = 0};
    const std::size_t at = records.size();
    records.resize(at + size);
    for (std::size_t b = at; b < records.size(); ++b) records[b] = static_cast<std::byte>(random() % 3);
    std::memcpy(records.data() + at, &header, sizeof(header));
  }
  const auto back = restore(transpose(records), static_cast<std::uint32_t>(records.size()), Arrangement::by_state);
  ASSERT_TRUE(back) << back.error().what;
  EXPECT_EQ(*back, records);
}

TEST(Transposition, OfRecordsThatAreHeadersOnly) {
  Bytes records;
  for (std::uint64_t i = 0; i < 5; ++i) add(records, tw_tick{}, TW_KIND_TICK, 10 - i);
  const auto back = restore(transpose(records), static_cast<std::uint32_t>(records.size()), Arrangement::by_state);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, records);
}

TEST(Transposition, WhatIsNoRecordIsLeftAsItIs) {
  Bytes records = busy(3);
  records.pop_back();
  EXPECT_TRUE(transpose(records).empty());
}

// Of a byte each: ISNs (8 a life), ports (2), waits (2 an event) are all that is random in a life of nine events.
TEST(Transposition, AnEventOfOrdinaryLifeTakesAFewBytes) {
  constexpr std::size_t kLives = 1000;
  const auto packed = compress(transpose(lives(kLives)), 1);
  ASSERT_TRUE(packed);
  EXPECT_LT(packed->size(), 4 * kLife.size() * kLives);
  EXPECT_GT(packed->size(), 8 * kLives);
}

// Whatever the bytes: an error or some bytes, never more than was promised.
TEST(Transposition, DamageIsAnErrorOrHarmless) {
  const Bytes records = busy(20);
  const Bytes shaped = transpose(records);
  const auto raw = static_cast<std::uint32_t>(records.size());
  std::mt19937 random{7};
  for (int i = 0; i < 2000; ++i) {
    Bytes damaged = shaped;
    for (unsigned n = 1 + random() % 4; n > 0; --n) damaged[random() % 60] = static_cast<std::byte>(random());
    const auto back = restore(damaged, raw, Arrangement::by_state);
    EXPECT_TRUE(!back || back->size() == raw);
  }
  for (std::size_t length = 0; length < shaped.size(); length += 7)
    EXPECT_FALSE(restore(View{shaped}.first(length), raw, Arrangement::by_state));
  EXPECT_FALSE(restore(shaped, raw - 1, Arrangement::by_state));
}

TEST(Compression, AWrongLengthIsAnError) {
  const Bytes records = busy(5);
  const auto packed = compress(records, 1);
  ASSERT_TRUE(packed);
  const auto length = static_cast<std::uint32_t>(records.size());
  EXPECT_TRUE(decompress(*packed, length));
  EXPECT_FALSE(decompress(*packed, length + 1));
  EXPECT_FALSE(decompress(*packed, length - 1));
  EXPECT_FALSE(decompress(records, length));
}

}  // namespace
}  // namespace tcpwhy::recording
