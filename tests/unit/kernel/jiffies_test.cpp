// SPDX-License-Identifier: GPL-2.0-only
#include "user/kernel/jiffies.h"

#include <gtest/gtest.h>

namespace tcpwhy::kernel {
namespace {

TEST(Jiffies, EveryHzThatLinuxOffers) {
  EXPECT_EQ(jiffies_per_second(10'000'000), 100U);
  EXPECT_EQ(jiffies_per_second(4'000'000), 250U);
  EXPECT_EQ(jiffies_per_second(3'333'333), 300U);
  EXPECT_EQ(jiffies_per_second(1'000'000), 1000U);
  EXPECT_EQ(jiffies_per_second(999'848), 1000U);  // the clock that makes the ticks is not exact everywhere
}

TEST(Jiffies, NonsenseIsNotDividedBy) {
  EXPECT_EQ(jiffies_per_second(0), 250U);
  EXPECT_EQ(jiffies_per_second(2'000'000'000), 250U);
}

TEST(Jiffies, TheRunningKernelHasOneOfThem) {
  const std::uint32_t hz = jiffies_per_second();
  EXPECT_GE(hz, 24U);
  EXPECT_LE(hz, 2000U);
}

}  // namespace
}  // namespace tcpwhy::kernel
