// SPDX-License-Identifier: GPL-2.0-only
#include <gtest/gtest.h>

#include "tests/detect/incident.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "stall-zero-window";
using namespace std::chrono_literals;

const std::string kOpen = kConnected;
const std::string kShut = kOpen + "at 1s set out unacked 65536 unsent 5000 window 0 backoff 2\n";

TEST(StallZeroWindow, TheRemoteDoesNotRead) {
  const Told told = tell(kShut + "until 5s");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "peer-not-reading warning likely remote-host 10.0.0.9:80");
  EXPECT_EQ(f.phase, core::Phase::open);
  EXPECT_EQ(f.since, source::script_time(1s));
  EXPECT_EQ(ends(f), "10.0.0.1:50000 app[77] - 10.0.0.9:80");
  EXPECT_EQ(util::to_string(*f.service), "10.0.0.9:80");
  EXPECT_EQ(f.evidence.number("window_bytes"), 0);
  EXPECT_EQ(f.evidence.number("waiting_bytes"), 5000);
  EXPECT_EQ(f.evidence.number("probes"), 2);
}

TEST(StallZeroWindow, TenSecondsAreCritical) {
  EXPECT_EQ(tell(kShut + "until 10.8s").last(kSlug).severity, core::Severity::warning);
  EXPECT_EQ(tell(kShut + "until 12s").last(kSlug).severity, core::Severity::critical);
}

TEST(StallZeroWindow, ThreeSecondsThroughout) {
  EXPECT_EQ(tell(kShut + "until 3.9s").phases(kSlug), "");
  EXPECT_EQ(tell(kShut + "at 3.6s set out window 65536\nuntil 8s").phases(kSlug), "");
  // A little goes out now and then.
  EXPECT_EQ(
      tell(kShut + "at 3.1s set out unacked 66000 unsent 4500\nat 5.1s set out unacked 67000 unsent 3500\nuntil 7.4s")
          .phases(kSlug),
      "");
}

TEST(StallZeroWindow, NothingWaitsBehindTheWindow) {
  EXPECT_EQ(tell(kOpen + "at 1s set out unacked 65536 window 0\nuntil 8s").phases(kSlug), "");
}

TEST(StallZeroWindow, ASegmentFits) {
  EXPECT_EQ(tell(kOpen + "at 1s set out unacked 65536 unsent 5000 window 1448\nuntil 8s").phases(kSlug), "");
  EXPECT_NE(tell(kOpen + "at 1s set out unacked 65536 unsent 5000 window 1447\nuntil 8s").phases(kSlug), "");
}

TEST(StallZeroWindow, RecoversWhenTheWindowOpens) {
  const core::Finding f = tell(kShut + "at 6s set out window 65536 unsent 0\nack out\nuntil 9s").last(kSlug);
  EXPECT_EQ(f.phase, core::Phase::closed);
  EXPECT_EQ(f.ended, core::Ended::recovered);
  EXPECT_EQ(f.duration, 5s);
}

TEST(StallZeroWindow, HowItEnds) {
  const auto ended = [](const std::string& how) {
    return tell(kShut + "at 6s " + how + "\nuntil 8s").last(kSlug).ended;
  };
  EXPECT_EQ(ended("close out"), core::Ended::closed);
  EXPECT_EQ(ended("close out exiting signal 15"), core::Ended::process_exit);
  EXPECT_EQ(ended("close out err ETIMEDOUT"), core::Ended::timed_out);
  EXPECT_EQ(ended("reset-received out\nclose out err ECONNRESET"), core::Ended::reset);
}

const std::string kBothEnds = R"(
  at 0ms  listen srv 127.0.0.1:80 by slow[88]
  connect out 127.0.0.1:50000 -> 127.0.0.1:80 by app[77] watched
  child in of out on srv by slow[88] watched
  established out
  sweeps on
  at 1s   receive in 65536 rcv-window 0
  set out unacked 65536 unsent 5000 window 0
)";

TEST(StallZeroWindow, TheProcessOfTheOtherEndIsNamed) {
  const Told told = tell(kBothEnds + "at 2.5s process 88 state T\nuntil 6s");
  EXPECT_EQ(brief(told.first(kSlug)), "peer-not-reading warning certain slow[88]");
  EXPECT_EQ(told.first(kSlug).evidence.number("unread_bytes"), 65536);
  // The reader is the root of the story, and the sender a symptom.
  EXPECT_EQ(told.last("stall-unread").role, core::StoryRole::root);
  EXPECT_EQ(told.last(kSlug).role, core::StoryRole::symptom);
  EXPECT_EQ(told.last(kSlug).story, told.last("stall-unread").id);
}

TEST(StallZeroWindow, ASlowReaderIsWorthKnowing) {
  const Told told =
      tell(kBothEnds + "at 2s set in unread 65000\nat 3.2s set in unread 64000\nat 5s set in unread 63000\nuntil 6s");
  EXPECT_EQ(brief(told.first(kSlug)), "peer-slow info certain slow[88]");
  EXPECT_EQ(told.phases("stall-unread"), "");
}

TEST(StallZeroWindow, LostEventsMakeAGuessUnsure) {
  const Told told = tell(kShut + "at 2s lost 12 state\nuntil 5s");
  EXPECT_EQ(brief(told.first(kSlug)), "peer-not-reading warning unsure remote-host 10.0.0.9:80");
  EXPECT_EQ(told.first(kSlug).evidence.number("events_lost"), 12);
}

TEST(StallZeroWindow, AThresholdMovesIt) {
  Setting setting;
  setting.settings.thresholds[kSlug] = 8s;
  EXPECT_EQ(tell(kShut + "until 8.9s", setting).phases(kSlug), "");
}

}  // namespace
}  // namespace tcpwhy::detect
