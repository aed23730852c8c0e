// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/thresholds.h"

#include <gtest/gtest.h>

namespace tcpwhy::core {
namespace {

using namespace std::chrono_literals;

constexpr FindingSpec kUnread{.slug = "stall-unread",
                              .family = Family::stall,
                              .rank = 1,
                              .instant = false,
                              .threshold = 2s,
                              .causes = {},
                              .meaning = {}};

TEST(Thresholds, SayNothingOfWhatNobodySpokeOf) {
  const Thresholds none;
  EXPECT_TRUE(none.empty());
  EXPECT_FALSE(none.off("reset"));
  EXPECT_FALSE(none.off("reset", 80));
  EXPECT_FALSE(none.off_everywhere("reset"));
  EXPECT_EQ(none.of(kUnread), 2s);
  EXPECT_EQ(none.of(kUnread, 80), 2s);
}

TEST(Thresholds, APortGoesBeforeTheBase) {
  Thresholds t;
  t["stall-unread"] = 5s;
  t.ports[80]["stall-unread"] = 9s;
  t.ports[81]["reset"] = std::nullopt;
  EXPECT_EQ(t.of(kUnread), 5s);
  EXPECT_EQ(t.of(kUnread, 80), 9s);
  EXPECT_EQ(t.of(kUnread, 81), 5s) << "a port that speaks of something else";
  EXPECT_TRUE(t.off("reset", 81));
  EXPECT_FALSE(t.off("reset", 80));
  EXPECT_FALSE(t.off("reset"));
  EXPECT_FALSE(t.empty());
}

TEST(Thresholds, WhatIsOffButForAPortIsNotOffEverywhere) {
  Thresholds t;
  t["stall-unread"] = std::nullopt;
  EXPECT_TRUE(t.off_everywhere("stall-unread"));
  t.ports[80]["stall-unread"] = std::nullopt;
  EXPECT_TRUE(t.off_everywhere("stall-unread"));
  t.ports[443]["stall-unread"] = 3s;
  EXPECT_FALSE(t.off_everywhere("stall-unread"));
  EXPECT_TRUE(t.off("stall-unread"));
  EXPECT_TRUE(t.off("stall-unread", 22));
  EXPECT_FALSE(t.off("stall-unread", 443));
  EXPECT_EQ(t.of(kUnread, 443), 3s);
  EXPECT_EQ(t.of(kUnread), 2s) << "what is off has no duration of its own";
}

TEST(Thresholds, AreLaidOverOthersWordByWord) {
  Thresholds file;
  file["reset"] = std::nullopt;
  file["stall-unread"] = 5s;
  file.ports[80] = {{"stall-unread", 9s}, {"reset", std::nullopt}};
  Thresholds flags;
  flags["stall-unread"] = 1s;
  flags.ports[80]["reset"] = 1s;
  flags.ports[81]["reset"] = std::nullopt;
  const Thresholds both = file.overlaid_with(flags);
  EXPECT_TRUE(both.off("reset"));
  EXPECT_EQ(both.of(kUnread), 1s);
  EXPECT_EQ(both.of(kUnread, 80), 9s) << "the base of the flags leaves the port's word alone";
  EXPECT_FALSE(both.off("reset", 80));
  EXPECT_TRUE(both.off("reset", 81));
  EXPECT_EQ(file.ports.size(), 1U);
}

}  // namespace
}  // namespace tcpwhy::core
