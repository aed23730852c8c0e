// SPDX-License-Identifier: GPL-2.0-only
#include <gtest/gtest.h>

#include "tests/detect/incident.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "stall-awaiting-reply";
using namespace std::chrono_literals;

const std::string kOpen = kConnected;
const std::string kAsked = kOpen + "at 1s send out 100\nack out\n";

TEST(StallAwaitingReply, WithoutHistoryItIsWorthKnowing) {
  const core::Finding f = tell(kAsked + "until 13s").first(kSlug);
  EXPECT_EQ(brief(f), "peer-silent info likely remote-host 10.0.0.9:80");
  EXPECT_EQ(f.phase, core::Phase::open);
  EXPECT_EQ(f.since, source::script_time(1s));
  EXPECT_EQ(ends(f), "10.0.0.1:50000 app[77] - 10.0.0.9:80");
  EXPECT_EQ(util::to_string(*f.service), "10.0.0.9:80");
  EXPECT_GE(f.evidence.number("waiting_ms"), 10000);
  EXPECT_TRUE(f.evidence.flag("no_timer"));
  EXPECT_FALSE(f.evidence.has("usual_wait_ms"));
}

TEST(StallAwaitingReply, ALongPollIsInfoUntilAMinute) {
  EXPECT_EQ(tell(kAsked + "until 60s").last(kSlug).severity, core::Severity::info);
  EXPECT_EQ(tell(kAsked + "until 63s").last(kSlug).severity, core::Severity::warning);
}

TEST(StallAwaitingReply, AServiceThatAnswersAndNowDoesNot) {
  const core::Finding f = tell(kAsked + "set out usual-wait 200ms answers 7 unanswered 1\nuntil 13s").first(kSlug);
  EXPECT_EQ(brief(f), "peer-silent warning likely remote-host 10.0.0.9:80");
  EXPECT_EQ(f.evidence.number("usual_wait_ms"), 200);
  // Where the client often has the last word, there is no rule that it breaks.
  EXPECT_EQ(tell(kAsked + "set out usual-wait 200ms answers 7 unanswered 3\nuntil 13s").first(kSlug).severity,
            core::Severity::info);
}

TEST(StallAwaitingReply, TwentyTimesTheUsualWait) {
  const std::string slow = kAsked + "set out usual-wait 1s answers 7\n";
  EXPECT_EQ(tell(slow + "until 20.9s").phases(kSlug), "");
  EXPECT_EQ(tell(slow + "until 21.5s").first(kSlug).severity, core::Severity::warning);
}

TEST(StallAwaitingReply, TenSecondsMustHavePassed) {
  EXPECT_EQ(tell(kAsked + "until 10.9s").phases(kSlug), "");
  EXPECT_EQ(tell(kAsked + "at 10.9s receive out 5\nread out\nuntil 30s").phases(kSlug), "");
}

TEST(StallAwaitingReply, AnAnswerThatIsNotReadIsAnAnswer) {
  EXPECT_EQ(tell(kAsked + "at 2s receive out 5\nuntil 30s").phases(kSlug), "");
}

TEST(StallAwaitingReply, ARequestThatDidNotArriveIsAnotherTrouble) {
  EXPECT_EQ(tell(kOpen + "at 1s send out 100\nuntil 30s").phases(kSlug), "");
}

TEST(StallAwaitingReply, TheServersEndWaitsForNoReply) {
  EXPECT_EQ(tell(R"(
    at 0ms  listen srv 10.0.0.1:80 by app[77]
    connect cli 10.0.0.9:50000 -> 10.0.0.1:80
    child in of cli on srv by app[77] watched
    sweeps on
    at 1s   receive in 5
    read in
    at 2s   send in 500
    ack in
    until 90s
  )")
                .phases(kSlug),
            "");
}

TEST(StallAwaitingReply, AOneWaySenderWaitsForNothing) {
  EXPECT_EQ(tell(kOpen + "at 1s send out 100\nack out\nat 2s send out 100\nack out\nuntil 90s").phases(kSlug), "");
}

TEST(StallAwaitingReply, APongIsNoQuestion) {
  const Told told = tell(kOpen + "at 1s receive out 10\nread out\nat 1050ms send out 10\nack out\nuntil 90s");
  for (const core::Finding& f : told.of(kSlug)) EXPECT_EQ(f.severity, core::Severity::info);
  // With history an answer is the rule, however fast the client asks again.
  EXPECT_EQ(tell(kOpen + "at 1s receive out 10\nread out\nat 1050ms send out 10\nack out\nset out usual-wait 200ms "
                         "answers 7\nuntil 13s")
                .first(kSlug)
                .severity,
            core::Severity::warning);
}

TEST(StallAwaitingReply, FiveAtOnceAreOdd) {
  const auto several = [](int count) {
    std::string script = "at 0ms listen other 10.0.0.1:1\nsweeps on\n";
    for (int i = 0; i < count; ++i) {
      const std::string out = "out" + std::to_string(i);
      script += "connect " + out + " 10.0.0.1:" + std::to_string(50000 + i) + " -> 10.0.0.9:80 by app[77] watched\n";
      script += "established " + out + "\n";
    }
    script += "at 1s set other\n";
    for (int i = 0; i < count; ++i)
      script += "send out" + std::to_string(i) + " 100\nack out" + std::to_string(i) + "\n";
    return tell(script + "until 13s").last(kSlug);
  };
  EXPECT_EQ(several(5).severity, core::Severity::warning);
  EXPECT_EQ(several(5).count_total, 5U);
  EXPECT_EQ(several(4).severity, core::Severity::info);
}

TEST(StallAwaitingReply, TheProcessOfTheOtherEndIsNamed) {
  const core::Finding f = tell(R"(
    at 0ms  listen srv 127.0.0.1:80 by slow[88]
    connect out 127.0.0.1:50000 -> 127.0.0.1:80 by app[77] watched
    child in of out on srv by slow[88] watched
    established out
    sweeps on
    at 1s   send out 100
    ack out
    receive in 100
    read in
    set out usual-wait 200ms answers 7
    # an observation of its process
    at 11s  sample in
    at 11.05s process 88 state S in futex_wait cpu 1s polling 0
    until 13s
  )")
                              .last(kSlug);
  EXPECT_EQ(f.culprit.process->comm, "slow");
  EXPECT_EQ(f.cause, "peer-busy");
  EXPECT_EQ(f.severity, core::Severity::warning);
  EXPECT_EQ(f.evidence.text("process_state"), "blocked in futex_wait");
}

TEST(StallAwaitingReply, ATimerWillEndIt) {
  EXPECT_FALSE(tell(kAsked + "set out keepalive\nuntil 13s").first(kSlug).evidence.flag("no_timer"));
  EXPECT_FALSE(tell(kAsked + "set out user-timeout 30s\nuntil 13s").first(kSlug).evidence.flag("no_timer"));
}

// Who holds its ends is asked for at 10.5 s, and nobody says so within a second.
TEST(StallAwaitingReply, AnAnswerThatComesWhileOwnersAreAskedForEndsAFindingAllTheSame) {
  const std::string usual = kAsked + "set out usual-wait 200ms answers 7\n";
  const Told told = tell(usual + "at 11.2s receive out 5\nread out\nuntil 15s");
  EXPECT_EQ(told.phases(kSlug), "open closed");
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::recovered);
  EXPECT_EQ(told.first(kSlug).severity, core::Severity::warning);
  // Had they said so at once, it would not have been long enough either.
  EXPECT_EQ(tell(usual + "at 10.7s receive out 5\nread out\nuntil 15s").phases(kSlug), "");
}

TEST(StallAwaitingReply, RecoversWithTheAnswer) {
  const core::Finding f = tell(kAsked + "at 15s receive out 5\nread out\nuntil 18s").last(kSlug);
  EXPECT_EQ(f.phase, core::Phase::closed);
  EXPECT_EQ(f.ended, core::Ended::recovered);
  EXPECT_EQ(f.duration, 14s);
}

TEST(StallAwaitingReply, HowItEnds) {
  const auto ended = [](const std::string& how) {
    return tell(kAsked + "at 15s " + how + "\nuntil 18s").last(kSlug).ended;
  };
  EXPECT_EQ(ended("close out"), core::Ended::closed);
  EXPECT_EQ(ended("state out FIN_WAIT1 exiting signal 2\nclose out"), core::Ended::process_exit);
  EXPECT_EQ(ended("reset-received out\nclose out err ECONNRESET"), core::Ended::reset);
  EXPECT_EQ(ended("close out err ETIMEDOUT"), core::Ended::timed_out);
}

TEST(StallAwaitingReply, LostEventsMakeAGuessUnsure) {
  const core::Finding f = tell(kAsked + "at 2s lost 12 state\nuntil 13s").first(kSlug);
  EXPECT_EQ(brief(f), "peer-silent info unsure remote-host 10.0.0.9:80");
  EXPECT_EQ(f.evidence.number("events_lost"), 12);
}

TEST(StallAwaitingReply, AThresholdMovesIt) {
  Setting setting;
  setting.settings.thresholds[kSlug] = 30s;
  EXPECT_EQ(tell(kAsked + "until 30.9s", setting).phases(kSlug), "");
}

}  // namespace
}  // namespace tcpwhy::detect
