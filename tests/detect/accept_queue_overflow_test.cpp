// SPDX-License-Identifier: GPL-2.0-only
#include <gtest/gtest.h>

#include "tests/detect/incident.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "accept-queue-overflow";

// A look at the queue at one second and a refused ACK at two: the same connection is still its head.
const std::string kStuck = R"(
  at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
  at 10ms connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
  established cli
  at 1s   sample srv queue 5 head 990ms
  at 2s   overflow srv from cli
)";

TEST(AcceptQueueOverflow, NamesTheProcessThatDoesNotAccept) {
  const Told told = tell(kStuck + R"(
    process 2112 state S in futex_wait fds 100 fd-limit 1024
    until 2.3s
  )");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "not-accepting critical certain lighttpd[2112]");
  EXPECT_EQ(f.phase, core::Phase::open);
  EXPECT_EQ(f.count, 1U);
  ASSERT_TRUE(f.service);
  EXPECT_EQ(util::to_string(*f.service), "0.0.0.0:8080");
  ASSERT_TRUE(f.listener);
  EXPECT_EQ(f.listener->queue, 5U);
  EXPECT_EQ(f.listener->limit, 4U);
  EXPECT_EQ(f.evidence.number("queue"), 5);
  EXPECT_EQ(f.evidence.number("limit"), 4);
  EXPECT_EQ(f.evidence.number("head_waiting_ms"), 1990);
  EXPECT_EQ(f.evidence.number("accepted_nothing_ms"), 1000);
  EXPECT_EQ(f.evidence.number("refused"), 1);
  EXPECT_EQ(f.evidence.number("open_fds"), 100);
  EXPECT_EQ(f.evidence.number("fd_limit"), 1024);
  EXPECT_EQ(f.evidence.text("process_state"), "blocked in futex_wait");
  EXPECT_EQ(told.phases(kSlug), "open closed");
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::trace_end);
}

TEST(AcceptQueueOverflow, OfAMasterAndItsWorkersNamesTheOldest) {
  const Told told = tell(R"(
    at 0ms  listen srv 0.0.0.0:8080 by nginx[100] limit 4
    seed srv by nginx[101]
    seed srv by nginx[102]
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080
    at 1s   sample srv queue 5 head 990ms
    at 2s   overflow srv from cli
    until 2.3s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "not-accepting critical certain nginx[100]");
  EXPECT_EQ(told.first(kSlug).listener->owners.size(), 3U);
}

TEST(AcceptQueueOverflow, ARefusedSynShowsInTheDropsOfAListenerOverItsLimit) {
  const Told told = tell(R"(
    at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
    at 1s   sample srv queue 5 head 900ms
    at 2s   sample srv drops 3
    until 2.3s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "not-accepting critical certain lighttpd[2112]");
  EXPECT_EQ(told.first(kSlug).evidence.number("refused"), 3);
}

TEST(AcceptQueueOverflow, ACookieOfAFullListenerCounts) {
  const Told told = tell(R"(
    at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
    connect cli 10.0.0.7:50000 -> 10.0.0.1:8080
    at 1s   sample srv queue 5 head 1s
    at 2s   overflow srv from cli reason NO_SOCKET
    until 2.3s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "not-accepting critical certain lighttpd[2112]");
}

TEST(AcceptQueueOverflow, AFullQueueAloneIsNoFinding) {
  const Told told = tell(R"(
    at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
    sweeps on
    at 1s   set srv queue 5 head 1s
    until 6s
  )");
  EXPECT_EQ(told.slugs(), "");
}

TEST(AcceptQueueOverflow, OtherDropsOfAListenerAreNoRefusal) {
  const Told told = tell(R"(
    at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
    sweeps on
    at 1s   set srv drops 7
    at 2s   set srv drops 9 queue 1 head 3s
    until 6s
  )");
  EXPECT_EQ(told.slugs(), "");
}

TEST(AcceptQueueOverflow, NotAcceptingNeedsTheSameHeadForASecond) {
  const auto first_look = [](const std::string& at) {
    return tell(
               "at 0ms listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4\nconnect cli 127.0.0.1:50000 -> "
               "127.0.0.1:8080\n"
               "at 10ms set srv queue 5 head 0ms\nat " +
               at + " sample srv\nat 2s overflow srv from cli\nuntil 2.5s")
        .first(kSlug)
        .cause;
  };
  EXPECT_NE(first_look("1001ms"), "not-accepting");
  EXPECT_EQ(first_look("1000ms"), "not-accepting");
}

TEST(AcceptQueueOverflow, AnOldHeadThatMovesOnIsAcceptedSlowly) {
  const Told told = tell(R"(
    at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080
    at 2s   overflow srv from cli queue 5 head 1500ms
    at 2.5s overflow srv from cli head 1500ms
    at 3s   overflow srv from cli head 1500ms
    at 3.5s overflow srv from cli head 1500ms
    until 4s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "too-slow warning likely lighttpd[2112]");
  EXPECT_EQ(told.last(kSlug).severity, core::Severity::warning);
}

TEST(AcceptQueueOverflow, AThresholdMovesIt) {
  Setting setting;
  setting.settings.thresholds[kSlug] = std::chrono::milliseconds{1001};
  EXPECT_NE(tell(kStuck + "until 2.5s", setting).first(kSlug).cause, "not-accepting");
  setting.settings.thresholds[kSlug] = std::nullopt;
  EXPECT_EQ(tell(kStuck + "until 2.5s", setting).phases(kSlug), "");
}

TEST(AcceptQueueOverflow, WhatTheRunEndsTooSoonToTellApartIsStillTold) {
  const Told told = tell(R"(
    at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080
    at 2s   overflow srv from cli queue 5 head 10ms
    until 2.5s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "too-slow warning likely lighttpd[2112]");
  EXPECT_EQ(told.phases(kSlug), "open closed");
}

TEST(AcceptQueueOverflow, TooSlowAcceptsAndStillRefuses) {
  const Told told = tell(R"(
    at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080
    at 2s   overflow srv from cli queue 5 head 200ms
    at 2.5s overflow srv from cli queue 5 head 200ms
    at 3s   overflow srv from cli queue 5 head 200ms
    until 3.5s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "too-slow warning likely lighttpd[2112]");
  EXPECT_EQ(told.first(kSlug).evidence.number("refused"), 3);
}

TEST(AcceptQueueOverflow, ABurstThatDrainedSaysBacklogTooSmall) {
  const Told told = tell(R"(
    at 0ms   listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080
    at 2s    overflow srv from cli queue 5 head 20ms
    at 2.5s  sample srv queue 0 head never
    until 6s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "backlog-too-small warning likely lighttpd[2112]");
  EXPECT_EQ(told.last(kSlug).phase, core::Phase::closed);
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::drained);
}

TEST(AcceptQueueOverflow, AWorseCauseKeepsTheFinding) {
  const Told told = tell(R"(
    at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080
    at 2s   overflow srv from cli queue 5 head 20ms
    at 2.9s overflow srv from cli queue 5 head 20ms
    at 4s   overflow srv from cli
    until 4.5s
  )");
  ASSERT_GE(told.of(kSlug).size(), 2U);
  const auto lines = told.of(kSlug);
  EXPECT_EQ(brief(lines[0]), "too-slow warning likely lighttpd[2112]");
  ASSERT_EQ(lines[1].phase, core::Phase::update);
  EXPECT_EQ(brief(lines[1]), "not-accepting critical certain lighttpd[2112]");
  EXPECT_EQ(lines[0].id, lines[1].id);
}

TEST(AcceptQueueOverflow, ClosesWhenTheQueueHasDrained) {
  const Told told = tell(kStuck + R"(
    sweeps on
    at 5s   set srv queue 0 head never
    until 10s
  )");
  EXPECT_EQ(told.first(kSlug).phase, core::Phase::open);
  EXPECT_EQ(told.last(kSlug).phase, core::Phase::closed);
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::drained);
  EXPECT_EQ(brief(told.last(kSlug)), "not-accepting critical certain lighttpd[2112]");
}

TEST(AcceptQueueOverflow, ClosesWithItsListener) {
  EXPECT_EQ(tell(kStuck + "at 4s close srv\nuntil 8s").last(kSlug).ended, core::Ended::closed);
  EXPECT_EQ(tell(kStuck + "at 4s close srv exiting signal 9\nuntil 8s").last(kSlug).ended, core::Ended::process_exit);
}

TEST(AcceptQueueOverflow, LostEventsMakeAGuessUnsure) {
  const Told told = tell(R"(
    at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080
    at 2s   overflow srv from cli queue 5 head 20ms
    at 2.1s lost 5 drop
    until 3.5s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "too-slow warning unsure lighttpd[2112]");
  EXPECT_EQ(told.first(kSlug).evidence.number("events_lost"), 5);
}

TEST(AcceptQueueOverflow, LostEventsLeaveWhatTheKernelSaid) {
  const Told told = tell(kStuck + "lost 5 drop\nuntil 2.5s");
  EXPECT_EQ(brief(told.first(kSlug)), "not-accepting critical certain lighttpd[2112]");
}

TEST(AcceptQueueOverflow, AnUnknownOwnerIsSaidToBeUnknownUntilTheWalkFindsIt) {
  const std::string begin = R"(
    at 0ms   listen srv 0.0.0.0:8080 limit 4
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080
    at 1s    sample srv queue 5 head 990ms
    at 2s    overflow srv from cli
  )";
  EXPECT_EQ(brief(tell(begin + "until 2.5s").first(kSlug)), "not-accepting critical certain unknown");
  EXPECT_EQ(brief(tell(begin + "at 2.05s seed srv by lighttpd[2112]\nuntil 2.5s").first(kSlug)),
            "not-accepting critical certain lighttpd[2112]");
}

TEST(AcceptQueueOverflow, AServicePortHasAThresholdOfItsOwn) {
  const auto cause = [](std::uint16_t port) {
    Setting setting;
    setting.settings.thresholds.ports[port][kSlug] = std::chrono::milliseconds{1001};
    return tell(kStuck + "until 2.5s", setting).first(kSlug).cause;
  };
  EXPECT_NE(cause(8080), "not-accepting");
  EXPECT_EQ(cause(8081), "not-accepting");
}

}  // namespace
}  // namespace tcpwhy::detect
