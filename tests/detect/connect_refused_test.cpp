// SPDX-License-Identifier: GPL-2.0-only
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/detect/incident.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "connect-refused";
using namespace std::chrono_literals;

// `times` refused connects to the address, each 100 ms after the one before.
std::string refusals(int times, const std::string& to = "127.0.0.1:7000", const std::string& how = "",
                     int from_ms = 2000) {
  std::string script;
  for (int i = 0; i < times; ++i) {
    script += fmt::format("at {}ms connect r{} 127.0.0.1:{} -> {} by php[50]\n", from_ms + 100 * i, i, 50000 + i, to);
    script += fmt::format("refuse r{} {}\n", i, how);
  }
  return script;
}

TEST(ConnectRefused, NobodyListens) {
  const Told told = tell(refusals(1) + "until 4s");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "no-listener warning certain unknown");
  EXPECT_EQ(told.slugs(), kSlug);
  EXPECT_EQ(f.phase, core::Phase::event);
  EXPECT_EQ(f.count, 1U);
  EXPECT_EQ(ends(f), "127.0.0.1:50000 php[50] - 127.0.0.1:7000");
  EXPECT_EQ(f.evidence.number("attempts"), 1);
  EXPECT_EQ(f.since, source::script_time(2s));
}

TEST(ConnectRefused, WaitsASecondForTheFallback) {
  EXPECT_EQ(tell(refusals(1) + "at 2.9s tick\nat 2.95s established r0").lines.size(),
            1U);  // told by the end of the run
  const Told told = tell(refusals(1) + "until 3.5s");
  EXPECT_GE(told.first(kSlug).time, source::script_time(3s));
}

TEST(ConnectRefused, TheListenerIsGone) {
  const Told told = tell("at 0ms listen srv 127.0.0.1:7000 by worker[33]\nat 1s close srv exiting signal 9\n" +
                         refusals(1) + "until 4s");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "listener-gone warning certain worker[33]");
  EXPECT_EQ(f.evidence.number("listener_pid"), 33);
  EXPECT_THAT(f.evidence.text("listener_ended"), testing::HasSubstr("killed by SIGKILL"));
  ASSERT_TRUE(f.culprit.process && f.culprit.process->exit);
  EXPECT_EQ(f.culprit.process->exit->signal, 9);
}

TEST(ConnectRefused, TheFirstSentenceNamesWhoCalls) {
  const std::string gone = "at 0ms listen srv 127.0.0.1:7000 by worker[33]\nat 1s close srv";
  const auto summary = [](const std::string& script) { return tell(script + "until 4s").last(kSlug).words.summary; };
  EXPECT_EQ(summary(refusals(1)), "php[50] cannot connect to 127.0.0.1:7000: nothing listens there.");
  EXPECT_EQ(summary(refusals(1, "10.0.0.9:80", "silently")),
            "php[50] cannot connect to 10.0.0.9:80: the remote host refuses it.");
  EXPECT_EQ(summary(refusals(1, "127.0.0.1:7000", "silently")),
            "php[50] cannot connect to 127.0.0.1:7000: a firewall of this host refuses it.");
  EXPECT_EQ(summary(gone + " exiting signal 9\n" + refusals(1)),
            "php[50] cannot connect to 127.0.0.1:7000: nothing listens there since worker[33] was killed by SIGKILL.");
  EXPECT_EQ(summary(gone + "\n" + refusals(1)),
            "php[50] cannot connect to 127.0.0.1:7000: nothing listens there since worker[33] closed its listener.");
  EXPECT_EQ(summary(each(3, "at %t connect r%n 127.0.0.1:%p -> 127.0.0.1:7000 by php[5%n]\nrefuse r%n", 2000, 1)),
            "3 processes cannot connect to 127.0.0.1:7000: nothing listens there.");
  EXPECT_EQ(summary("at 2s connect r 127.0.0.1:50000 -> 127.0.0.1:7000\nrefuse r\n"),
            "a process here cannot connect to 127.0.0.1:7000: nothing listens there.");
}

TEST(ConnectRefused, AdviceFitsHowTheListenerEnded) {
  const auto advice = [](const std::string& how) {
    return tell("at 0ms listen srv 127.0.0.1:7000 by worker[33]\nat 1s close srv " + how + "\n" + refusals(1) +
                "until 4s")
        .last(kSlug)
        .words.advice.at(0);
  };
  EXPECT_THAT(advice("exiting signal 15"), testing::StartsWith("restart worker[33]; who stopped worker[33]"));
  EXPECT_THAT(advice("exiting signal 11"), testing::StartsWith("restart worker[33]; worker[33] crashed"));
  EXPECT_THAT(advice(""), testing::StartsWith("why did worker[33] stop listening?"));
}

TEST(ConnectRefused, ThreeWithoutSuccessWhereSomethingListenedAreCritical) {
  const std::string gone = "at 0ms listen srv 127.0.0.1:7000 by worker[33]\nat 1s close srv exiting status 1\n";
  EXPECT_EQ(tell(gone + refusals(2) + "until 5s").last(kSlug).severity, core::Severity::warning);
  EXPECT_EQ(tell(gone + refusals(3) + "until 5s").last(kSlug).severity, core::Severity::critical);
  EXPECT_EQ(tell(refusals(5) + "until 5s").last(kSlug).severity, core::Severity::warning);
}

TEST(ConnectRefused, ThreeWhereConnectsSucceededBeforeAreCritical) {
  const Told told = tell(refusals(3, "10.0.0.9:80", "silently last-success 1900ms") + "until 5s");
  EXPECT_EQ(told.last(kSlug).severity, core::Severity::critical);
}

TEST(ConnectRefused, AServiceThatAlsoSucceedsIsNotCritical) {
  const Told told = tell(refusals(6, "10.0.0.9:80", "silently last-success 50ms") + "until 5s");
  EXPECT_EQ(told.last(kSlug).severity, core::Severity::warning);
}

TEST(ConnectRefused, ARemoteHostRefuses) {
  const Told told = tell(refusals(1, "10.0.0.9:80", "silently") + "until 4s");
  EXPECT_EQ(brief(told.first(kSlug)), "refused-by-remote warning certain remote-host 10.0.0.9:80");
}

TEST(ConnectRefused, AnRstThatNoSocketOfThisHostSent) {
  const Told told = tell(refusals(1, "127.0.0.1:7000", "silently") + "until 4s");
  EXPECT_EQ(brief(told.first(kSlug)), "local-firewall warning likely local-firewall");
}

TEST(ConnectRefused, AListenerIsThereAndYetAnRstCame) {
  const Told told =
      tell("at 0ms listen srv 10.0.0.1:80 by nginx[7]\n" + refusals(1, "10.0.0.1:80", "silently") + "until 4s");
  EXPECT_EQ(brief(told.first(kSlug)), "local-firewall warning likely local-firewall");
}

TEST(ConnectRefused, WhereTheKernelTellsNoResetsWithoutASocketTheStackIsBelieved) {
  Setting old;
  old.old_kernel = old.blind = true;
  EXPECT_EQ(brief(tell(refusals(1, "127.0.0.1:7000", "silently") + "until 4s", old).first(kSlug)),
            "no-listener warning likely unknown");
  const std::string listening = "at 0ms listen srv 127.0.0.1:7000 by nginx[7]\n";
  EXPECT_EQ(tell(listening + refusals(1, "127.0.0.1:7000", "silently") + "until 4s", old).first(kSlug).cause,
            "local-firewall");
}

TEST(ConnectRefused, AListenerThatWentAwayLaterWasThere) {
  const std::string listening = "at 0ms listen srv 127.0.0.1:7000 by nginx[7]\n";
  EXPECT_EQ(
      brief(tell(listening + refusals(1, "127.0.0.1:7000", "silently") + "at 2.2s close srv\nuntil 4s").first(kSlug)),
      "local-firewall warning likely local-firewall");
}

TEST(ConnectRefused, AnAddressFallbackIsInfo) {
  const std::string refused = R"(
    at 0ms   connect six [::1]:50000 -> [::1]:8080 by curl[4410]
    refuse six
  )";
  const auto then = [&](const std::string& what) { return tell(refused + what + "\nuntil 3s").first(kSlug).severity; };
  EXPECT_EQ(then("at 5ms connect four 127.0.0.1:50001 -> 127.0.0.1:8080 by curl[4410]\nestablished four telling"),
            core::Severity::info);
  EXPECT_EQ(then("at 1.1s connect four 127.0.0.1:50001 -> 127.0.0.1:8080 by curl[4410]\nestablished four telling"),
            core::Severity::warning);
  EXPECT_EQ(then("at 5ms connect four 127.0.0.1:50001 -> 127.0.0.1:8081 by curl[4410]\nestablished four telling"),
            core::Severity::warning);
  EXPECT_EQ(then("at 5ms connect four 127.0.0.1:50001 -> 127.0.0.1:8080 by wget[4411]\nestablished four telling"),
            core::Severity::warning);
}

TEST(ConnectRefused, ABackendsCallersAreOneFinding) {
  const std::string gone = "at 0ms listen srv 127.0.0.1:7000 by worker[33]\nat 1s close srv exiting signal 9\n";
  const Told told = tell(gone + refusals(40) + "until 25s");
  std::uint64_t severe = 0;
  for (const core::Finding& f : told.of(kSlug)) severe = std::max(severe, f.count);
  EXPECT_EQ(severe, 40U);
  EXPECT_EQ(told.last(kSlug).evidence.number("attempts"), 40);
  EXPECT_LE(told.of(kSlug).size(), 4U);
  EXPECT_THAT(told.last(kSlug).evidence.text("listener_ended"), testing::HasSubstr("killed by SIGKILL"));
}

// The RST of the stack may be among what was lost: no firewall is concluded from its absence.
TEST(ConnectRefused, LostEventsNameNoFirewall) {
  const Told told = tell(refusals(1, "127.0.0.1:7000", "silently") + "at 2.1s lost 4 reset_sent\nuntil 4s");
  EXPECT_EQ(brief(told.first(kSlug)), "no-listener warning unsure unknown");
}

// More endpoints refuse than the table of refusals holds.
TEST(ConnectRefused, AFloodIsOneFindingAndNoFirewall) {
  std::string script;
  for (int i = 0; i < 9000; ++i)
    script += fmt::format("at {}ms connect r{} 127.0.0.1:{} -> 127.0.0.{}:{} by scan[50]\nrefuse r{}\n", 2000 + i / 10,
                          i, 20000 + i % 40000, 1 + i / 5000, 1 + i % 5000, i);
  const Told told = tell(script + "until 20s");
  EXPECT_EQ(told.slugs(), kSlug);
  std::set<std::uint64_t> ids;
  for (const core::Finding& f : told.lines) {
    ids.insert(f.id);
    EXPECT_EQ(f.cause, "no-listener");
  }
  EXPECT_EQ(ids.size(), 1U);
  const core::Finding last = told.last(kSlug);
  EXPECT_EQ(last.count_total, 9000U);
  EXPECT_EQ(last.evidence.number("attempts"), 9000);
  EXPECT_EQ(last.evidence.number("services"), 9000);
  EXPECT_FALSE(last.service);
  EXPECT_THAT(last.words.summary, testing::StartsWith("scan[50] cannot connect to 9000 services (127.0.0.1:1, "));
}

TEST(ConnectRefused, NineteenServicesOfOneCallerAreToldOneByOne) {
  const auto services = [](int n) {
    std::set<std::uint64_t> ids;
    for (const core::Finding& f :
         tell(each(n, "at %t connect r%n 127.0.0.1:%p -> 127.0.0.1:6%n by php[50]\nrefuse r%n", 2000, 1) + "until 5s")
             .lines)
      ids.insert(f.id);
    return ids.size();
  };
  EXPECT_EQ(services(19), 19U);
  EXPECT_EQ(services(20), 1U);
}

// 200 refused connects in one second: the first few are judged each by itself, and all are counted.
TEST(ConnectRefused, AStormToOnePortCountsEach) {
  const Told told =
      tell(each(200, "at %t connect r%n 127.0.0.1:%p -> 127.0.0.1:7000 by php[50]\nrefuse r%n", 2000, 3) + "until 15s");
  EXPECT_EQ(told.last(kSlug).count_total, 200U);
  EXPECT_EQ(brief(told.last(kSlug)), "no-listener warning certain unknown");
}

TEST(ConnectRefused, TheOwnersOfTheGoneListenerAreNotTheNextOnes) {
  const Told told = tell(
      "at 0ms listen old 127.0.0.1:7000 by worker[33]\nat 1s close old exiting signal 9\n"
      "at 1.5s listen new 127.0.0.1:7000 by worker[34]\nat 1.8s close new exiting status 3\n" +
      refusals(1) + "until 4s");
  EXPECT_EQ(told.first(kSlug).evidence.number("listener_pid"), 34);
  EXPECT_THAT(told.first(kSlug).evidence.text("listener_ended"), testing::HasSubstr("exited with status 3"));
}

}  // namespace
}  // namespace tcpwhy::detect
