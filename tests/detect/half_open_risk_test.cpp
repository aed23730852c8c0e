// SPDX-License-Identifier: GPL-2.0-only
#include <gtest/gtest.h>

#include "tests/detect/incident.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "half-open-risk";
using namespace std::chrono_literals;

std::string idle(const std::string& rest, const std::string& ends = "10.0.0.1:50000 -> 10.0.0.9:5432") {
  return "at 0ms connect out " + ends +
         " by app[77] watched\nestablished out\nsweeps on\nat 1s set out sent 899s received 899s " + rest + "\n";
}

TEST(HalfOpenRisk, NothingWouldFindOut) {
  const core::Finding f = tell(idle("") + "until 3s").first(kSlug);
  EXPECT_EQ(brief(f), "no-keepalive info certain app[77]");
  EXPECT_EQ(f.phase, core::Phase::open);
  EXPECT_EQ(ends(f), "10.0.0.1:50000 app[77] - 10.0.0.9:5432");
  EXPECT_EQ(util::to_string(*f.service), "10.0.0.9:5432");
  EXPECT_GE(f.evidence.number("idle_ms"), 900000);
  EXPECT_TRUE(f.evidence.flag("no_timer"));
}

TEST(HalfOpenRisk, AQuarterOfAnHourMustHavePassed) {
  EXPECT_EQ(tell(idle("") + "until 1.9s").phases(kSlug), "");
  EXPECT_EQ(tell(idle("") + "at 1.9s receive out 5\nread out\nuntil 6s").phases(kSlug), "");
  EXPECT_EQ(tell(idle("sent 10s") + "until 6s").phases(kSlug), "");
}

TEST(HalfOpenRisk, WhatGuardsIt) {
  EXPECT_EQ(tell(idle("keepalive") + "until 6s").phases(kSlug), "");
  EXPECT_EQ(tell(idle("user-timeout 30s") + "until 6s").phases(kSlug), "");
  EXPECT_EQ(tell(idle("unacked 5") + "until 6s").phases(kSlug), "");
}

TEST(HalfOpenRisk, APeerOnThisHostClosesWithAWord) {
  EXPECT_EQ(tell(idle("", "127.0.0.1:50000 -> 127.0.0.1:5432") + "until 6s").phases(kSlug), "");
  EXPECT_EQ(tell("at 0ms listen srv 10.0.0.9:5432 by db[88]\n" + idle("") + "until 6s").phases(kSlug), "");
}

TEST(HalfOpenRisk, RecoversWithAWord) {
  const core::Finding f = tell(idle("") + "at 4s receive out 5\nread out\nuntil 7s").last(kSlug);
  EXPECT_EQ(f.phase, core::Phase::closed);
  EXPECT_EQ(f.ended, core::Ended::recovered);
}

TEST(HalfOpenRisk, HowItEnds) {
  const auto ended = [](const std::string& how) {
    return tell(idle("") + "at 4s " + how + "\nuntil 7s").last(kSlug).ended;
  };
  EXPECT_EQ(ended("close out"), core::Ended::closed);
  EXPECT_EQ(ended("state out FIN_WAIT1 exiting signal 9\nclose out"), core::Ended::process_exit);
  EXPECT_EQ(ended("reset-received out\nclose out err ECONNRESET"), core::Ended::reset);
}

TEST(HalfOpenRisk, LostEventsChangeNothingThatTheSocketSays) {
  EXPECT_EQ(brief(tell(idle("") + "lost 12 state\nuntil 3s").first(kSlug)), "no-keepalive info certain app[77]");
}

}  // namespace
}  // namespace tcpwhy::detect
