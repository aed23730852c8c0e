// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/codec.h"

#include <gtest/gtest.h>

#include "tests/unit/recording/sample.h"

namespace tcpwhy::recording {
namespace {

TEST(Transposition, GivesBackWhatItWasGiven) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    const Bytes records = busy(seed * 10, seed);
    const Bytes shaped = transpose(records);
    ASSERT_FALSE(shaped.empty());
    const auto back = restore(shaped, static_cast<std::uint32_t>(records.size()));
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
  const auto back = restore_without_ordinary(transpose(records), static_cast<std::uint32_t>(records.size()));
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
  const auto back = restore_without_ordinary(transpose(records), 48);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->records, records);
  EXPECT_TRUE(back->ordinary.empty());
}

TEST(Transposition, ARecordOfAnotherKindThanItsGroupIsAContradiction) {
  const Bytes records = busy(20);
  Bytes shaped = transpose(records);
  shaped[4] ^= std::byte{1};  // the kind of the first group
  EXPECT_FALSE(restore(shaped, static_cast<std::uint32_t>(records.size())));
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
  const auto back = restore(transpose(records), static_cast<std::uint32_t>(records.size()));
  ASSERT_TRUE(back) << back.error().what;
  EXPECT_EQ(*back, records);
}

TEST(Transposition, OfRecordsThatAreHeadersOnly) {
  Bytes records;
  for (std::uint64_t i = 0; i < 5; ++i) add(records, tw_tick{}, TW_KIND_TICK, 10 - i);
  const auto back = restore(transpose(records), static_cast<std::uint32_t>(records.size()));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, records);
}

TEST(Transposition, WhatIsNoRecordIsLeftAsItIs) {
  Bytes records = busy(3);
  records.pop_back();
  EXPECT_TRUE(transpose(records).empty());
}

TEST(Transposition, MakesThemSmall) {
  const Bytes records = busy(1000);
  const auto shaped = compress(transpose(records), 1);
  const auto plain = compress(records, 1);
  ASSERT_TRUE(shaped && plain);
  EXPECT_LT(shaped->size() * 3 / 2, plain->size());
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
    const auto back = restore(damaged, raw);
    EXPECT_TRUE(!back || back->size() == raw);
  }
  for (std::size_t length = 0; length < shaped.size(); length += 7)
    EXPECT_FALSE(restore(View{shaped}.first(length), raw));
  EXPECT_FALSE(restore(shaped, raw - 1));
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
