// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/losses.h"

#include <gtest/gtest.h>

#include <set>

namespace tcpwhy::core {
namespace {

using abi::LossWay;

abi::LossWay way(std::size_t i) { return static_cast<abi::LossWay>(i); }

TEST(Losses, EveryWayIsCountedByItself) {
  Losses losses;
  for (std::size_t i = 0; i < abi::kLossWays; ++i) {
    losses.add({"state", i + 1, way(i)});
    losses.add({"state", 10, way(i)});
  }
  const LossCounts counts = losses.by_way();
  ASSERT_EQ(counts.size(), abi::kLossWays);
  for (std::size_t i = 0; i < abi::kLossWays; ++i) EXPECT_EQ(counts.at(way(i)), i + 11);
  EXPECT_EQ(losses.total(), 36U + 80U);
  EXPECT_TRUE(Losses{}.by_way().empty());
}

TEST(Losses, OnlyTheRingAndRecursionLoseEvents) {
  Losses losses;
  for (std::size_t i = 0; i < abi::kLossWays; ++i) losses.add({i == 1 ? "drop" : "state", 5, way(i)});
  EXPECT_EQ(losses.events(), 10U);
  EXPECT_EQ(losses.events_by_kind(), (std::map<std::string, std::uint64_t>{{"state", 5}, {"drop", 5}}));
}

TEST(Losses, ALongQueueHidesNothing) {
  for (std::size_t i = 0; i < abi::kLossWays; ++i)
    EXPECT_EQ(may_hide_a_finding(LossCounts{{way(i), 1}}), way(i) != LossWay::queue) << abi::to_string(way(i));
  EXPECT_FALSE(may_hide_a_finding(LossCounts{}));
  EXPECT_TRUE(may_hide_a_finding(LossCounts{{LossWay::queue, 1}, {LossWay::want, 1}}));
}

TEST(Losses, EachWayHasWordsOfItsOwn) {
  EXPECT_EQ(loss_phrase(LossWay::unswept, 12), "sockets in trouble were not swept");
  EXPECT_EQ(loss_phrase(LossWay::unswept, 1), "socket in trouble was not swept");
  EXPECT_EQ(loss_reason(LossWay::unswept), "the table of tracked sockets is full");
  std::set<std::string_view> reasons;
  for (std::size_t i = 0; i < abi::kLossWays; ++i) {
    EXPECT_NE(loss_phrase(way(i), 1), loss_phrase(way(i), 2));
    EXPECT_FALSE(loss_effect(way(i)).empty());
    reasons.insert(loss_reason(way(i)));
  }
  EXPECT_EQ(reasons.size(), abi::kLossWays);
}

}  // namespace
}  // namespace tcpwhy::core
