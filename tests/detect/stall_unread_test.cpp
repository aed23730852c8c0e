// SPDX-License-Identifier: GPL-2.0-only
#include <gtest/gtest.h>

#include <set>

#include "tests/detect/incident.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "stall-unread";
using namespace std::chrono_literals;

const std::string kServed = R"(
  at 0ms  listen srv 10.0.0.1:80 by app[77]
  connect cli 10.0.0.9:50000 -> 10.0.0.1:80
  child in of cli on srv by app[77] watched
  sweeps on
)";
const std::string kUnread = kServed + "at 1s receive in 100000\n";
const std::string kStopped = "at 2.5s process 77 state T\n";
// Two looks at a process tell what it does between them.
const std::string kPolls = "at 2s process 77 state S cpu 1s polling 1\nat 2.6s process 77 state S cpu 1s polling 1\n";
const std::string kBlocked = "at 2s process 77 state S cpu 1s polling 0\nat 2.6s process 77 state S cpu 1s polling 0\n";

// The proof that it is alive: it read from another socket since this one fell silent.
const std::string kReadsElsewhere =
    "at 2s process 77 state S cpu 1s polling 1 read 100ms\nat 2.6s process 77 state S cpu 1s polling 1 read 100ms\n"
    "at 3.2s process 77 state S cpu 1s polling 1 read 100ms\n";

// So many connections with a request that nobody reads.
std::string small(int count, const std::string& rest) {
  std::string script = "at 0ms listen srv 10.0.0.1:80 by app[77]\nsweeps on\n";
  for (int i = 0; i < count; ++i) {
    const std::string n = std::to_string(i);
    script += "connect cli" + n + " 10.0.0.9:" + std::to_string(50000 + i) + " -> 10.0.0.1:80\n";
    script += "child in" + n + " of cli" + n + " on srv by app[77] watched\nreceive in" + n + " 5\n";
  }
  return script + rest;
}

TEST(StallUnread, AStoppedProcessReadsNothing) {
  const Told told = tell(kUnread + kStopped + "until 4s");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "process-stopped warning certain app[77]");
  EXPECT_EQ(f.phase, core::Phase::open);
  EXPECT_EQ(f.since, source::script_time(1s));
  EXPECT_EQ(ends(f), "10.0.0.1:80 app[77] - 10.0.0.9:50000");
  EXPECT_EQ(util::to_string(*f.service), "10.0.0.1:80");
  EXPECT_EQ(f.evidence.number("unread_bytes"), 100000);
  EXPECT_GE(f.evidence.number("last_read_ms"), 2000);
  EXPECT_EQ(f.evidence.text("process_state"), "stopped");
}

// What it does after it has read is not why it did not read: no look has shown the data unread after that observation.
TEST(StallUnread, WhatIsObservedAfterTheLastLookIsNoCause) {
  const std::string served = kUnread + "sweeps confirm\n";
  EXPECT_EQ(brief(tell(served + "at 3.2s process 77 state D in nfs_wait\nuntil 5s").first(kSlug)),
            "process-blocked warning likely app[77]");
  for (int read_ms = 3010; read_ms < 4500; read_ms += 10) {
    const std::string at = "at " + std::to_string(read_ms) + "ms ";
    const std::string then = "at " + std::to_string(read_ms + 60) + "ms process 77 state D in nfs_wait\nuntil 6s";
    for (const core::Finding& f : tell(served + at + "read in\n" + then).lines) EXPECT_EQ(f.cause, "unknown") << at;
  }
}

TEST(StallUnread, AShutWindowIsCritical) {
  EXPECT_EQ(brief(tell(kUnread + "set in rcv-window 0\n" + kStopped + "until 4s").first(kSlug)),
            "process-stopped critical certain app[77]");
}

TEST(StallUnread, WhatTheProcessDoesIsTheCause) {
  const auto cause = [](const std::string& looks) { return brief(tell(kUnread + looks + "until 5s").first(kSlug)); };
  EXPECT_EQ(cause("at 2s process 77 state R cpu 1s\nat 2.6s process 77 state R cpu 1.5s\n"),
            "process-busy warning likely app[77]");
  EXPECT_EQ(cause(kBlocked), "process-blocked warning likely app[77]");
  EXPECT_EQ(cause("at 2.5s process 77 state D in nfs_wait\n"), "process-blocked warning likely app[77]");
  EXPECT_EQ(cause(kReadsElsewhere), "forgotten-fd warning likely app[77]");
  EXPECT_EQ(cause("at 2.9s process 77 state S polling 0 read 100ms\n"), "forgotten-fd warning likely app[77]");
  EXPECT_EQ(cause(kPolls), "unknown warning likely app[77]");
  EXPECT_EQ(cause(""), "unknown warning unsure app[77]");
}

// To wait for sockets proves nothing: the silent one may be among them. Nor does a read from before the silence.
TEST(StallUnread, OnlyAReadFromAnotherSocketSinceProvesAForgottenDescriptor) {
  const auto first = [](const std::string& looks) { return tell(kUnread + looks + "until 5s").first(kSlug); };
  const auto polls = [&](const std::string& read) {
    return first("at 2s process 77 state S cpu 1s in ep_poll polling 1 read " + read +
                 "\nat 2.9s process 77 state S cpu 1s in ep_poll polling 1 read " + read + "\n");
  };
  EXPECT_EQ(brief(polls("never")), "unknown warning likely app[77]");
  EXPECT_EQ(brief(polls("30s")), "unknown warning likely app[77]");
  EXPECT_EQ(brief(polls("1.9s")), "unknown warning likely app[77]")
      << "what was noticed then may be the last read of this";
  EXPECT_EQ(brief(polls("500ms")), "forgotten-fd warning likely app[77]");
  const core::Finding unknown = polls("never");
  EXPECT_TRUE(unknown.evidence.flag("waits_for_sockets"));
  EXPECT_FALSE(unknown.evidence.has("other_read_ms"));
  EXPECT_EQ(
      unknown.words.cause,
      "unknown: app[77] is blocked in ep_poll and waits for sockets; it is not stopped and does not compute, and no "
      "read from another socket was observed since");
  EXPECT_NE(unknown.words.advice.at(0).find("strace -f -p 77 "), std::string::npos);
  const core::Finding forgotten = polls("500ms");
  EXPECT_FALSE(forgotten.evidence.has("waits_for_sockets"));
  EXPECT_GE(forgotten.evidence.number("other_read_ms"), 500);
  EXPECT_LT(forgotten.evidence.number("other_read_ms"), 2000);
}

// It read elsewhere since, and now no thread of it waits for a socket: it is blocked.
TEST(StallUnread, WhatReadSinceMayBeBlockedNow) {
  EXPECT_EQ(brief(tell(kUnread + "at 9s process 77 state S cpu 1s in futex_wait polling 0 read 5s\n"
                                 "at 9.6s process 77 state S cpu 1s in futex_wait polling 0 read 5.6s\nuntil 11s")
                      .last(kSlug)),
            "process-blocked warning likely app[77]");
}

// Two were told before anybody had looked at their process. When a third shows what it does, they are one trouble.
TEST(StallUnread, WhatIsExplainedBetterLaterIsOneFinding) {
  std::string script = "at 0ms listen srv 10.0.0.1:80 by app[77]\nsweeps on\n";
  for (const std::string n : {"0", "1", "2"}) {
    script += "connect cli" + n + " 10.0.0.9:5000" + n + " -> 10.0.0.1:80\n";
    script += "child in" + n + " of cli" + n + " on srv by app[77] watched\n";
  }
  const Told told = tell(script + R"(
    at 1s receive in0 100000
    receive in1 100000
    at 5s receive in2 100000
    at 7s process 77 state R cpu 1s
    at 7.6s process 77 state R cpu 1.5s
    at 8.2s process 77 state R cpu 2.1s
    at 8.8s process 77 state R cpu 2.7s
    at 9.4s process 77 state R cpu 3.3s
    until 10s
  )");
  std::set<std::uint64_t> busy;
  for (const core::Finding& f : told.of(kSlug))
    if (f.cause == "process-busy") busy.insert(f.id);
  EXPECT_EQ(busy.size(), 1U) << dump(told.lines);
  EXPECT_EQ(told.last(kSlug).count_total, 3U);
}

TEST(StallUnread, TwoSecondsMustHavePassed) {
  EXPECT_EQ(tell(kUnread + kStopped + "at 2.9s read in\nuntil 6s").phases(kSlug), "");
  EXPECT_EQ(tell(kUnread + kStopped + "until 2.9s").phases(kSlug), "");
}

TEST(StallUnread, ASlowReaderReads) {
  EXPECT_EQ(tell(kUnread + kStopped +
                 "at 2.6s set in unread 99000\nat 4.4s set in unread 98000\nat 6s set in unread 97000\nuntil 7s")
                .phases(kSlug),
            "");
}

TEST(StallUnread, RecoversWhenItReads) {
  const core::Finding f = tell(kUnread + kStopped + "at 4s read in\nuntil 7s").last(kSlug);
  EXPECT_EQ(f.phase, core::Phase::closed);
  EXPECT_EQ(f.ended, core::Ended::recovered);
  EXPECT_EQ(f.duration, 3s);
}

TEST(StallUnread, HowItEnds) {
  const auto ended = [](const std::string& how) {
    return tell(kUnread + kStopped + "at 4s " + how + "\nuntil 6s").last(kSlug).ended;
  };
  EXPECT_EQ(ended("close in"), core::Ended::closed);
  EXPECT_EQ(ended("close in exiting signal 9"), core::Ended::process_exit);
  EXPECT_EQ(ended("reset-received in\nclose in err ECONNRESET"), core::Ended::reset);
}

const std::string kQueued = R"(
  at 0ms  listen srv 10.0.0.1:80 by app[77]
  connect cli 10.0.0.9:50000 -> 10.0.0.1:80
  child in of cli on srv queued watched
  sweeps on
  at 1s   receive in 5
)";

TEST(StallUnread, NobodyAcceptedTheConnection) {
  const Told told = tell(kQueued + "until 5s");
  EXPECT_EQ(brief(told.first(kSlug)), "never-accepted warning certain app[77]");
  EXPECT_EQ(told.first(kSlug).evidence.number("unread_bytes"), 5);
}

TEST(StallUnread, AcceptedAtLast) {
  const core::Finding f = tell(kQueued + "at 5s set in accepted\nread in\nuntil 8s").last(kSlug);
  EXPECT_EQ(f.ended, core::Ended::recovered);
}

TEST(StallUnread, AnOrdinaryQueueMovesOn) {
  EXPECT_EQ(tell(kQueued + "at 2.5s set in accepted\nread in\nuntil 8s").phases(kSlug), "");
}

TEST(StallUnread, ALittleIsAStallOnlyWhereTheProcessCannotReadSeveral) {
  // Asleep it may be by design.
  EXPECT_EQ(tell(small(5, kBlocked + "until 5s")).phases(kSlug), "");
}

TEST(StallUnread, AStoppedProcessNeedsNoSecondConnection) {
  EXPECT_EQ(brief(tell(small(1, kStopped + "until 5s")).first(kSlug)), "process-stopped warning certain app[77]");
  EXPECT_EQ(tell(small(1, kBlocked + "until 8s")).phases(kSlug), "");
}

TEST(StallUnread, ALittleInAProcessThatIsAliveIsNoStall) {
  EXPECT_EQ(tell(small(20, kPolls + "until 8s")).phases(kSlug), "");
  EXPECT_EQ(tell(small(20, "until 8s")).phases(kSlug), "");  // nor where nobody knows
}

TEST(StallUnread, AnAlertBehindAFinIsNoStall) {
  EXPECT_EQ(tell(kServed + "at 1s receive in 25\nstate in CLOSE_WAIT\n" + kBlocked + "until 8s").phases(kSlug), "");
}

TEST(StallUnread, AFinAloneIsNotUnread) {
  EXPECT_EQ(tell(kServed + "at 1s set in rcv-window 0\nstate in CLOSE_WAIT\n" + kStopped + "until 8s").phases(kSlug),
            "");
}

TEST(StallUnread, LostEventsMakeAGuessUnsure) {
  const Told told = tell(kUnread + "at 1.5s lost 12 state\n" + kPolls + "until 4s");
  EXPECT_EQ(brief(told.first(kSlug)), "unknown warning unsure app[77]");
  EXPECT_EQ(told.first(kSlug).evidence.number("events_lost"), 12);
}

TEST(StallUnread, AThresholdMovesIt) {
  Setting setting;
  setting.settings.thresholds[kSlug] = 5s;
  EXPECT_EQ(tell(kUnread + kStopped + "until 5.9s", setting).phases(kSlug), "");
}

}  // namespace
}  // namespace tcpwhy::detect
