// SPDX-License-Identifier: GPL-2.0-only
// Events that come while the walk at start still goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/detect/incident.h"

namespace tcpwhy::detect {
namespace {

constexpr std::string_view kSlug = "stall-unacked";

std::string stalled(const std::string& begin, const std::string& meanwhile) {
  return "seeding\n" + begin + "at 246ms timeout out\n" + meanwhile + R"(
    at 662ms  timeout out
    at 1494ms timeout out
    until 2s
  )";
}

const std::string kOld = "socket out 10.0.0.1:50000 -> 10.0.0.9:22 unacked 48\n";

TEST(Seeding, ASeedAfterAnEventGivesTheConnectionItsOwner) {
  const Told told = tell(stalled(kOld, "at 300ms seed out by ssh[4410]\nat 400ms seed-end\n"));
  EXPECT_EQ(ends(told.first(kSlug)), "10.0.0.1:50000 ssh[4410] - 10.0.0.9:22");
}

TEST(Seeding, WhatIsNotSeededYetMayHaveBegunBeforeTheTrace) {
  const Told told = tell(stalled(kOld, ""));
  EXPECT_TRUE(told.first(kSlug).evidence.has("history"));
}

TEST(Seeding, OnceAllIsSeededTheRestBeganSince) {
  const Told told = tell(R"(
    seeding
    at 100ms seed-end
    socket out 10.0.0.1:50000 -> 10.0.0.9:22 by ssh[4410] unacked 48
    at 246ms  timeout out
    at 662ms  timeout out
    at 1494ms timeout out
    until 2s
  )");
  EXPECT_FALSE(told.first(kSlug).evidence.has("history"));
}

TEST(Seeding, AConnectThatWasSeenBeganSince) {
  const std::string begin =
      "at 10ms connect out 10.0.0.1:50000 -> 10.0.0.9:22 by ssh[4410]\nestablished out\nsend out 48\n";
  for (const std::string meanwhile : {"", "at 300ms seed out by ssh[4410]\nat 400ms seed-end\n"}) {
    const Told told = tell(stalled(begin, meanwhile));
    EXPECT_FALSE(told.first(kSlug).evidence.has("history")) << meanwhile;
    EXPECT_EQ(ends(told.first(kSlug)), "10.0.0.1:50000 ssh[4410] - 10.0.0.9:22");
  }
}

}  // namespace
}  // namespace tcpwhy::detect
