// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/finding.h"

#include <gtest/gtest.h>

namespace tcpwhy::core {
namespace {

TEST(Spelling, IsTheContracts) {
  EXPECT_EQ(to_string(Severity::info), "info");
  EXPECT_EQ(to_string(Severity::critical), "critical");
  EXPECT_EQ(to_string(Phase::open), "open");
  EXPECT_EQ(to_string(Phase::event), "event");
  EXPECT_EQ(to_string(Confidence::unsure), "unsure");
  EXPECT_EQ(to_string(CulpritKind::local_process), "local-process");
  EXPECT_EQ(to_string(CulpritKind::local_firewall), "local-firewall");
  EXPECT_EQ(to_string(CulpritKind::unknown), "unknown");
  EXPECT_EQ(to_string(StoryRole::symptom), "symptom");
  EXPECT_EQ(to_string(Ended::recovered), "recovered");
  EXPECT_EQ(to_string(Ended::timed_out), "timed-out");
  EXPECT_EQ(to_string(Ended::trace_end), "trace-end");
  EXPECT_EQ(to_string(Ended::forgotten), "forgotten");
  EXPECT_EQ(to_string(Direction::received), "received");
  EXPECT_EQ(to_string(ConnectionRole::unknown), "unknown");
}

TEST(Evidence, KeepsTheOrderAndReplacesInPlace) {
  Evidence evidence;
  evidence.set("queue", 129);
  evidence.set("client_acked", true);
  evidence.set("queue", std::uint64_t{130});
  ASSERT_EQ(evidence.entries().size(), 2U);
  EXPECT_EQ(evidence.entries()[0].first, "queue");
  EXPECT_EQ(evidence.number("queue"), 130);
}

TEST(Evidence, ReadsEachKindAndNothingElse) {
  Evidence evidence;
  evidence.set("flag", true);
  evidence.set("number", std::uint32_t{7});
  evidence.set("text", "ETIMEDOUT");
  EXPECT_TRUE(evidence.flag("flag"));
  EXPECT_EQ(evidence.number("number"), 7);
  EXPECT_EQ(evidence.text("text"), "ETIMEDOUT");
  EXPECT_FALSE(evidence.flag("number"));
  EXPECT_EQ(evidence.number("text", -1), -1);
  EXPECT_EQ(evidence.text("flag"), "");
  EXPECT_EQ(evidence.number("missing", 5), 5);
  EXPECT_FALSE(evidence.has("missing"));
}

TEST(NameOf, SaysUnknownRatherThanGuess) {
  EXPECT_EQ(name_of(Process{.pid = 2112, .comm = "lighttpd"}), "lighttpd[2112]");
  EXPECT_EQ(name_of(Process{.pid = 2112}), "process 2112");
  EXPECT_EQ(name_of(Process{}), "unknown process");
  EXPECT_EQ(name_of(std::optional<Process>{}), "unknown process");
}

TEST(ExitWords, NameTheSignal) {
  EXPECT_EQ(exit_words({.signal = 9}), "killed by SIGKILL");
  EXPECT_EQ(exit_words({.signal = 15}), "killed by SIGTERM");
  EXPECT_EQ(exit_words({.signal = 40}), "killed by signal 40");  // of those that have no name
  EXPECT_EQ(exit_words({.code = 3}), "exited with status 3");
  EXPECT_EQ(was("killed by SIGKILL"), "was killed by SIGKILL");
  EXPECT_EQ(was("exited with status 3"), "exited with status 3");
}

TEST(Names, OfSeveralHostsHaveTheirHostAndNoNumberOfIt) {
  Process process;
  process.pid = 12 | 3U << 22;
  process.comm = "nginx";
  process.host = "web-4";
  EXPECT_EQ(name_of(process), "nginx[12] on web-4");
}

TEST(ClockSentences, SayWhatIsKnownOfEachClock) {
  using namespace std::chrono_literals;
  RunIdentity run;
  run.host = "web-1";
  EXPECT_TRUE(clock_sentences(run).empty());
  run.others = {
      {"web-2", "", 0, 1250ms, 400us, 12}, {"web-3", "", 0, -20ms, 0ns, 1}, {"db", "", 0, std::nullopt, {}, 0}};
  EXPECT_EQ(clock_sentences(run),
            (std::vector<std::string>{
                "clock of web-2 is 1.250 s ahead of web-1 (from 12 connections, \u00b10.4 ms)",
                "clock of web-3 is 20.000 ms behind web-1 (from 1 connection)",
                "no connection between db and the other hosts tells of its clock: it is taken for right"}));
}

}  // namespace
}  // namespace tcpwhy::core
