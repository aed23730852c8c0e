// SPDX-License-Identifier: GPL-2.0-only
#include <gtest/gtest.h>

#include "tests/detect/incident.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "accept-queue-overflow";

TEST(AcceptQueueOverflow, NamesTheProcessThatDoesNotAccept) {
  const Told told = tell(R"(
    at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
    at 10ms connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
    established cli
    at 2s   overflow srv from cli queue 5 head 1990ms
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
    at 2s   overflow srv from cli queue 5 head 2s
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
    at 2s   overflow srv from cli reason NO_SOCKET queue 5 head 2s
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
    at 2s   set srv drops 9 queue 2 head 3s
    until 6s
  )");
  EXPECT_EQ(told.slugs(), "");
}

TEST(AcceptQueueOverflow, JustBelowASecondTheHeadDoesNotSayNotAccepting) {
  const auto with_head = [](const std::string& head) {
    return tell(R"(
      at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
      connect cli 127.0.0.1:50000 -> 127.0.0.1:8080
      at 2s   overflow srv from cli queue 5 head )" + head + R"(
      until 2.9s
    )");
  };
  EXPECT_EQ(with_head("999ms").phases(kSlug), "");
  EXPECT_EQ(brief(with_head("1s").first(kSlug)), "not-accepting critical certain lighttpd[2112]");
}

TEST(AcceptQueueOverflow, AThresholdMovesIt) {
  Setting setting;
  setting.settings.thresholds["accept-queue-overflow"] = std::chrono::seconds{3};
  const Told told = tell(R"(
    at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080
    at 2s   overflow srv from cli queue 5 head 2s
    until 2.5s
  )", setting);
  EXPECT_EQ(told.phases(kSlug), "");
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
    at 4s   overflow srv from cli head 1120ms
    until 4.5s
  )");
  ASSERT_GE(told.of(kSlug).size(), 2U);
  const auto lines = told.of(kSlug);
  EXPECT_EQ(brief(lines[0]), "too-slow warning likely lighttpd[2112]");
  EXPECT_EQ(brief(lines[1]), "not-accepting critical certain lighttpd[2112]");
  EXPECT_EQ(lines[1].phase, core::Phase::update);
  EXPECT_EQ(lines[0].id, lines[1].id);
}

TEST(AcceptQueueOverflow, ClosesWhenTheQueueHasDrained) {
  const Told told = tell(R"(
    at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080
    sweeps on
    at 2s   overflow srv from cli queue 5 head 2s
    at 5s   set srv queue 0 head never
    until 10s
  )");
  EXPECT_EQ(told.first(kSlug).phase, core::Phase::open);
  EXPECT_EQ(told.last(kSlug).phase, core::Phase::closed);
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::drained);
  EXPECT_NEAR(static_cast<double>(util::to_ms(told.last(kSlug).duration)), 3100, 500);
}

TEST(AcceptQueueOverflow, ClosesWithItsListener) {
  const std::string begin = R"(
    at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080
    at 2s   overflow srv from cli queue 5 head 2s
  )";
  EXPECT_EQ(tell(begin + "at 4s close srv\nuntil 8s").last(kSlug).ended, core::Ended::closed);
  EXPECT_EQ(tell(begin + "at 4s close srv exiting signal 9\nuntil 8s").last(kSlug).ended, core::Ended::process_exit);
}

TEST(AcceptQueueOverflow, LostEventsMakeAGuessUnsureAndLeaveWhatTheKernelSaid) {
  const auto with_head = [](const std::string& head) {
    return tell(R"(
      at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
      connect cli 127.0.0.1:50000 -> 127.0.0.1:8080
      at 2s   overflow srv from cli queue 5 head )" + head + R"(
      at 2.1s lost 5 drop
      until 3.5s
    )").first(kSlug);
  };
  EXPECT_EQ(brief(with_head("20ms")), "too-slow warning unsure lighttpd[2112]");
  EXPECT_EQ(with_head("20ms").evidence.number("events_lost"), 5);
  EXPECT_EQ(brief(with_head("2s")), "not-accepting critical certain lighttpd[2112]");
}

TEST(AcceptQueueOverflow, AnUnknownOwnerIsSaidToBeUnknown) {
  const Told told = tell(R"(
    at 0ms  listen srv 0.0.0.0:8080 limit 4
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080
    at 2s   overflow srv from cli queue 5 head 2s
    until 2.5s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "not-accepting critical certain unknown");
}

TEST(AcceptQueueOverflow, TheHolderFoundByTheWalkIsTheCulprit) {
  const Told told = tell(R"(
    at 0ms   listen srv 0.0.0.0:8080 limit 4
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080
    at 2s    overflow srv from cli queue 5 head 2s
    at 2.05s seed srv by lighttpd[2112]
    until 2.5s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "not-accepting critical certain lighttpd[2112]");
}

}  // namespace
}  // namespace tcpwhy::detect
