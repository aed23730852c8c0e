// SPDX-License-Identifier: GPL-2.0-only
#include <gtest/gtest.h>

#include "tests/detect/incident.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "closed-mid-request";
using namespace std::chrono_literals;

const std::string kOpen = "at 0ms connect out 10.0.0.1:50000 -> 10.0.0.9:80 by app[77]\nestablished out\n";
const std::string kAsked = kOpen + "at 1s send out 100\nack out bytes-acked 101\n";

TEST(ClosedMidRequest, ThePeerClosedInsteadOfAnswering) {
  const Told told = tell(kAsked + "at 3s state out CLOSE_WAIT\nuntil 5s");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "peer-closed warning certain remote-host 10.0.0.9:80");
  EXPECT_EQ(told.phases(kSlug), "event");
  EXPECT_EQ(ends(f), "10.0.0.1:50000 app[77] - 10.0.0.9:80");
  EXPECT_EQ(util::to_string(*f.service), "10.0.0.9:80");
  EXPECT_EQ(f.evidence.number("request_bytes"), 100);
  EXPECT_EQ(f.evidence.number("received_bytes"), 0);
  EXPECT_EQ(f.evidence.number("waiting_ms"), 2000);
  EXPECT_TRUE(f.evidence.flag("reply_owed"));
}

const std::string kBothEnds = R"(
  at 0ms  listen srv 127.0.0.1:80 by web[88]
  connect out 127.0.0.1:50000 -> 127.0.0.1:80 by app[77]
  child in of out on srv by web[88]
  established out
  at 1s   send out 100
  ack out bytes-acked 101
  receive in 100
  read in
)";

TEST(ClosedMidRequest, TheProcessWasKilled) {
  const core::Finding f =
      tell(kBothEnds + "at 3s state in FIN_WAIT1 exiting signal 9\nstate out CLOSE_WAIT\nuntil 5s").first(kSlug);
  EXPECT_EQ(brief(f), "process-exit warning certain web[88]");
  EXPECT_EQ(f.evidence.number("exit_signal"), 9);
  EXPECT_EQ(f.evidence.number("exit_code"), 0);
}

TEST(ClosedMidRequest, TheProcessExited) {
  const core::Finding f =
      tell(kBothEnds + "at 3s state in FIN_WAIT1 exiting status 3\nstate out CLOSE_WAIT\nuntil 5s").first(kSlug);
  EXPECT_EQ(brief(f), "process-exit warning certain web[88]");
  EXPECT_EQ(f.evidence.number("exit_code"), 3);
}

TEST(ClosedMidRequest, TheProcessClosed) {
  EXPECT_EQ(brief(tell(kBothEnds + "at 3s state in FIN_WAIT1\nstate out CLOSE_WAIT\nuntil 5s").first(kSlug)),
            "peer-closed warning certain web[88]");
}

TEST(ClosedMidRequest, AFinAfterTheAnswerIsHowItEnds) {
  EXPECT_EQ(tell(kAsked + "at 2s receive out 500\nread out\nat 3s state out CLOSE_WAIT\nuntil 5s").slugs(), "");
}

TEST(ClosedMidRequest, ARequestThatDidNotArriveIsOwedNoReply) {
  EXPECT_EQ(tell(kOpen + "at 1s send out 100\nat 3s state out CLOSE_WAIT\nuntil 5s").phases(kSlug), "");
}

TEST(ClosedMidRequest, NothingWasAsked) {
  EXPECT_EQ(tell(kOpen + "at 3s state out CLOSE_WAIT telling\nuntil 5s").phases(kSlug), "");
}

TEST(ClosedMidRequest, AGoodbyeIsOrdinary) {
  const std::string talked = kAsked + "at 2s receive out 500\nread out\n";
  const Told told = tell(talked + "at 3s send out 6\nack out\nat 3010ms state out CLOSE_WAIT\nuntil 5s");
  for (const core::Finding& f : told.of(kSlug)) EXPECT_EQ(f.severity, core::Severity::info);
  // A question that was thought about is none.
  EXPECT_EQ(tell(talked + "at 3s send out 6\nack out\nat 4100ms state out CLOSE_WAIT\nuntil 6s").first(kSlug).severity,
            core::Severity::warning);
}

TEST(ClosedMidRequest, AGoodbyeToAProcessThatWasKilledIsNone) {
  EXPECT_EQ(tell(kBothEnds + R"(
    at 2s     receive out 500
    read out
    at 3s     send out 6
    ack out
    at 3010ms state in FIN_WAIT1 exiting signal 11
    state out CLOSE_WAIT
    until 5s
  )")
                .first(kSlug)
                .severity,
            core::Severity::warning);
}

TEST(ClosedMidRequest, TheServersEndIsOwedNoReply) {
  EXPECT_EQ(tell(R"(
    at 0ms  listen srv 10.0.0.1:80 by web[88]
    connect cli 10.0.0.9:50000 -> 10.0.0.1:80
    child in of cli on srv by web[88]
    at 1s   receive in 5
    read in
    at 2s   send in 500
    ack in
    at 3s   state in CLOSE_WAIT telling
    until 5s
  )")
                .phases(kSlug),
            "");
}

TEST(ClosedMidRequest, SeveralAreOneLineAndItsUpdate) {
  std::string script = "at 0ms listen other 10.0.0.1:1\n";
  for (int i = 0; i < 20; ++i) {
    const std::string out = "out" + std::to_string(i);
    script += "connect " + out + " 10.0.0.1:" + std::to_string(50000 + i) + " -> 10.0.0.9:80 by app[77]\nestablished " +
              out + "\n";
  }
  script += "at 1s set other\n";
  for (int i = 0; i < 20; ++i) {
    const std::string out = "out" + std::to_string(i);
    script += "send " + out + " 100\nack " + out + "\n";
  }
  script += "at 3s set other\n";
  for (int i = 0; i < 20; ++i) script += "state out" + std::to_string(i) + " CLOSE_WAIT\n";
  EXPECT_EQ(tell(script + "until 20s").last(kSlug).count_total, 20U);
}

TEST(ClosedMidRequest, LostEventsDoNotMakeTheFinUncertain) {
  EXPECT_EQ(brief(tell(kAsked + "at 2s lost 12 state\nat 3s state out CLOSE_WAIT\nuntil 5s").first(kSlug)),
            "peer-closed warning certain remote-host 10.0.0.9:80");
}

}  // namespace
}  // namespace tcpwhy::detect
