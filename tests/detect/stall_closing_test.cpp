// SPDX-License-Identifier: GPL-2.0-only
#include <gtest/gtest.h>

#include "tests/detect/incident.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "stall-closing";
using namespace std::chrono_literals;

const std::string kOpen = kConnected;
// 5 bytes and the FIN.
const std::string kClosed = kOpen + "at 1s state out FIN_WAIT1 unacked 6 orphan\n";

TEST(StallClosing, NothingIsAcknowledged) {
  const Told told = tell(kClosed + "until 7s");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "unknown warning likely network");
  EXPECT_EQ(f.phase, core::Phase::open);
  EXPECT_EQ(f.since, source::script_time(1s));
  EXPECT_EQ(ends(f), "10.0.0.1:50000 app[77] - 10.0.0.9:80");
  EXPECT_EQ(f.evidence.number("held_bytes"), 5);
  EXPECT_TRUE(f.evidence.flag("orphan"));
}

TEST(StallClosing, TheRemoteDoesNotRead) {
  const Told told = tell(kOpen + "at 1s state out FIN_WAIT1 unacked 1000 unsent 501 window 0\nuntil 7s");
  EXPECT_EQ(brief(told.first(kSlug)), "peer-not-reading warning likely remote-host 10.0.0.9:80");
  EXPECT_EQ(told.first(kSlug).evidence.number("held_bytes"), 1500);
  EXPECT_FALSE(told.first(kSlug).evidence.flag("orphan"));
}

TEST(StallClosing, TheLastAckIsWaitedForToo) {
  EXPECT_EQ(brief(tell(kOpen + "at 500ms state out CLOSE_WAIT\nat 1s state out LAST_ACK unacked 1 orphan\nuntil 7s")
                      .first(kSlug)),
            "unknown warning likely network");
}

TEST(StallClosing, FiveSecondsMustHavePassed) {
  EXPECT_EQ(tell(kClosed + "until 5.9s").phases(kSlug), "");
  EXPECT_EQ(tell(kClosed + "at 5.9s ack out\nstate out FIN_WAIT2\nuntil 9s").phases(kSlug), "");
}

TEST(StallClosing, WhatMovesIsNoStall) {
  EXPECT_EQ(tell(kOpen + R"(
    at 1s   state out FIN_WAIT1 unacked 3000 orphan
    at 3.9s ack out
    set out unacked 2000
    at 7.9s ack out
    set out unacked 1000
    until 12s
  )")
                .phases(kSlug),
            "");
}

TEST(StallClosing, AnAcknowledgedFinWaitsForThePeer) {
  EXPECT_EQ(tell(kClosed + "at 1.2s ack out\nstate out FIN_WAIT2\nuntil 30s").phases(kSlug), "");
}

TEST(StallClosing, RecoversWhenItIsAcknowledged) {
  const core::Finding f = tell(kClosed + "at 8s ack out\nstate out FIN_WAIT2\nuntil 11s").last(kSlug);
  EXPECT_EQ(f.phase, core::Phase::closed);
  EXPECT_EQ(f.ended, core::Ended::recovered);
  EXPECT_EQ(f.duration, 7s);
}

TEST(StallClosing, HowItEnds) {
  const auto ended = [](const std::string& how) {
    return tell(kClosed + "at 8s " + how + "\nuntil 10s").last(kSlug).ended;
  };
  EXPECT_EQ(ended("close out"), core::Ended::closed);
  EXPECT_EQ(ended("close out err ETIMEDOUT"), core::Ended::timed_out);
  EXPECT_EQ(ended("reset-received out\nclose out err ECONNRESET"), core::Ended::reset);
}

TEST(StallClosing, TheProcessOfTheOtherEndIsNamed) {
  const Told told = tell(R"(
    at 0ms  listen srv 127.0.0.1:80 by slow[88]
    connect out 127.0.0.1:50000 -> 127.0.0.1:80 by app[77] watched
    child in of out on srv by slow[88] watched
    established out
    sweeps on
    at 1s   receive in 65536 rcv-window 0
    state out FIN_WAIT1 unacked 65536 unsent 5000 window 0 orphan
    at 2.5s process 88 state T
    until 8s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "peer-not-reading warning certain slow[88]");
}

// shutdown(SHUT_WR) first, close() later: lighttpd gives its clients 5 s in between.
TEST(StallClosing, TheDescriptorIsClosedLater) {
  const std::string shut_down = kConnected + "at 1s state out FIN_WAIT1 unacked 65536 unsent 5000 window 0\n";
  const Told told =
      tell(shut_down + "at 7.6s state out FIN_WAIT1 unacked 65536 unsent 5000 window 0 orphan\nuntil 11s");
  EXPECT_EQ(told.phases(kSlug), "open closed");
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::trace_end);
}

TEST(StallClosing, AFirewallOfThisHost) {
  const Told told = tell(kClosed + "drop out NETFILTER_DROP payload 5\nuntil 7s");
  EXPECT_EQ(brief(told.first(kSlug)), "unknown warning certain local-firewall");
  EXPECT_EQ(told.first(kSlug).evidence.text("why"), "dropped-locally");
}

TEST(StallClosing, LostEventsMakeAGuessUnsure) {
  const Told told = tell(kClosed + "at 2s lost 12 drop\nuntil 7s");
  EXPECT_EQ(brief(told.first(kSlug)), "unknown warning unsure network");
  EXPECT_EQ(told.first(kSlug).evidence.number("events_lost"), 12);
}

}  // namespace
}  // namespace tcpwhy::detect
