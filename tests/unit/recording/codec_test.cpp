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
