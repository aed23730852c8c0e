// SPDX-License-Identifier: GPL-2.0-only
#include <gtest/gtest.h>

#include "tests/detect/incident.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "close-wait-leak";
using namespace std::chrono_literals;

// So many connections that the peer has closed, from the second given on.
std::string leaks(int first, int count, const std::string& at) {
  std::string script;
  for (int i = first; i < first + count; ++i) {
    const std::string n = std::to_string(i);
    script += "connect cli" + n + " 10.0.0.9:" + std::to_string(50000 + i) + " -> 10.0.0.1:80\n";
    script += "child in" + n + " of cli" + n + " on srv by app[77] watched\n";
  }
  script += "at " + at + " set srv\n";
  for (int i = first; i < first + count; ++i) script += "state in" + std::to_string(i) + " CLOSE_WAIT heard 0ms\n";
  return script;
}

std::string kept(int count) { return "at 0ms listen srv 10.0.0.1:80 by app[77]\nsweeps on\n" + leaks(0, count, "1s"); }
// It goes on reading from others.
const std::string kReads =
    "at 60s process 77 state S cpu 1s polling 1 fds 40 fd-limit 1024 read 100ms\n"
    "at 61s process 77 state S cpu 1s polling 1 fds 40 fd-limit 1024 read 100ms\n";

TEST(CloseWaitLeak, OneIsWorthKnowing) {
  const Told told = tell(kept(1) + kReads + "until 63s");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "forgotten-fd info likely app[77]");
  EXPECT_EQ(f.phase, core::Phase::open);
  EXPECT_EQ(f.since, source::script_time(1s));
  EXPECT_EQ(ends(f), "10.0.0.1:80 app[77] - 10.0.0.9:50000");
  EXPECT_EQ(util::to_string(*f.service), "10.0.0.1:80");
  EXPECT_EQ(f.evidence.number("grew_by"), 0);
  EXPECT_EQ(f.evidence.number("unread_bytes"), 0);
  EXPECT_GE(f.evidence.number("waiting_ms"), 60000);
}

// The server leaves while it owes a reply, which is told; that the client closes at once makes no event.
TEST(CloseWaitLeak, WhoClosesAtOnceLeaksNothing) {
  const Told told = tell(R"(
    at 0ms   listen srv 127.0.0.1:80 by app[77]
    connect cli 127.0.0.1:50000 -> 127.0.0.1:80 by good[50]
    established cli
    child in of cli on srv by app[77]
    sweeps on
    at 1s    send cli 100
    ack cli
    at 2s    state in FIN_WAIT1
    state cli CLOSE_WAIT
    until 90s
  )");
  EXPECT_EQ(told.phases(kSlug), "");
  EXPECT_EQ(told.phases("closed-mid-request"), "event");
}

TEST(CloseWaitLeak, AMinuteMustHavePassed) {
  EXPECT_EQ(tell(kept(1) + "until 60.9s").phases(kSlug), "");
  EXPECT_EQ(tell(kept(1) + "at 60.9s state in0 LAST_ACK\nuntil 70s").phases(kSlug), "");
}

TEST(CloseWaitLeak, TenOfOneProcessAreALeak) {
  const Told told = tell(kept(10) + kReads + "until 65s");
  EXPECT_EQ(brief(told.last(kSlug)), "forgotten-fd warning likely app[77]");
  EXPECT_EQ(told.last(kSlug).count_total, 10U);
  EXPECT_EQ(told.last(kSlug).evidence.number("fd_limit"), 1024);
  EXPECT_EQ(tell(kept(9) + kReads + "until 65s").last(kSlug).severity, core::Severity::info);
}

TEST(CloseWaitLeak, WhatTheProcessDoesIsTheCause) {
  const auto cause = [](const std::string& looks) { return brief(tell(kept(10) + looks + "until 66s").last(kSlug)); };
  EXPECT_EQ(cause("at 60.5s process 77 state T\n"), "process-stopped warning certain app[77]");
  EXPECT_EQ(cause("at 60s process 77 state R cpu 1s\nat 61s process 77 state R cpu 2s\n"),
            "process-busy warning likely app[77]");
  EXPECT_EQ(cause("at 60s process 77 state S cpu 1s polling 0\nat 61s process 77 state S cpu 1s polling 0\n"),
            "process-blocked warning likely app[77]");
  EXPECT_EQ(cause(kReads), "forgotten-fd warning likely app[77]");
  EXPECT_EQ(cause(""), "unknown warning unsure app[77]");
  const auto polls = [&](const std::string& read) {
    return cause("at 60s process 77 state S cpu 1s polling 1 " + read +
                 "\nat 61s process 77 state S cpu 1s polling 1 " + read + "\n");
  };
  EXPECT_EQ(polls("read never"), "unknown warning likely app[77]");
  EXPECT_EQ(polls("read 30s"), "unknown warning likely app[77]") << "that may have been the end of file of this one";
  EXPECT_EQ(polls("read 3s"), "forgotten-fd warning likely app[77]");
  // Of a few one wants to know as well what their process does.
  EXPECT_EQ(brief(tell(kept(1) + "at 60.5s process 77 state T\nuntil 66s").first(kSlug)),
            "process-stopped info certain app[77]");
}

TEST(CloseWaitLeak, GrowthOverThreeMinutesIsALeak) {
  const Told told = tell(kept(2) + kReads + leaks(2, 1, "150s") +
                         "at 240s process 77 state S cpu 1s polling 1 read 100ms\n"
                         "at 241s process 77 state S cpu 1s polling 1 read 100ms\nuntil 250s");
  EXPECT_EQ(brief(told.first(kSlug)), "forgotten-fd info likely app[77]");
  EXPECT_EQ(brief(told.last(kSlug)), "forgotten-fd warning likely app[77]");
  EXPECT_EQ(told.last(kSlug).evidence.number("grew_by"), 1);
  // As many as ever are no growth.
  EXPECT_EQ(tell(kept(2) + "until 250s").last(kSlug).severity, core::Severity::info);
}

TEST(CloseWaitLeak, AFewPooledConnectionsWithAnAlertAreNoLeak) {
  const Told told = tell(
      "at 0ms listen srv 10.0.0.1:80 by app[77]\nconnect cli 10.0.0.9:50000 -> 10.0.0.1:80\n"
      "child in of cli on srv by app[77] watched\nsweeps on\n"
      "at 1s receive in 25\nstate in CLOSE_WAIT\nuntil 65s");
  EXPECT_EQ(told.last(kSlug).severity, core::Severity::info);
  EXPECT_EQ(told.last(kSlug).evidence.number("unread_bytes"), 25);
  EXPECT_EQ(told.slugs(), kSlug);
}

TEST(CloseWaitLeak, WhatNobodyAcceptedIsNobodysLeak) {
  EXPECT_EQ(tell("at 0ms listen srv 10.0.0.1:80 by app[77]\nconnect cli 10.0.0.9:50000 -> 10.0.0.1:80\n"
                 "child in of cli on srv queued watched\nsweeps on\nat 1s state in CLOSE_WAIT heard 0ms\nuntil 65s")
                .phases(kSlug),
            "");
}

TEST(CloseWaitLeak, ClosedAtLast) {
  const Told told = tell(kept(1) + "at 65s state in0 LAST_ACK\nat 65050ms close in0\nuntil 70s");
  EXPECT_EQ(told.phases(kSlug), "open closed");
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::closed);
}

TEST(CloseWaitLeak, HowItEnds) {
  const auto ended = [](const std::string& how) {
    return tell(kept(1) + "at 65s " + how + "\nuntil 68s").last(kSlug).ended;
  };
  EXPECT_EQ(ended("close in0"), core::Ended::closed);
  EXPECT_EQ(ended("close in0 exiting signal 9"), core::Ended::process_exit);
  EXPECT_EQ(ended("state in0 LAST_ACK exiting signal 9\nclose in0"), core::Ended::process_exit);
  EXPECT_EQ(ended("reset-sent in0 reason TCP_ABORT_ON_CLOSE\nclose in0"), core::Ended::reset);
}

TEST(CloseWaitLeak, LostEventsMakeAGuessUnsure) {
  const Told told = tell(kept(10) + "at 2s lost 12 state\n" + kReads + "until 65s");
  EXPECT_EQ(brief(told.last(kSlug)), "forgotten-fd warning unsure app[77]");
  EXPECT_EQ(told.last(kSlug).evidence.number("events_lost"), 12);
}

TEST(CloseWaitLeak, AThresholdMovesIt) {
  Setting setting;
  setting.settings.thresholds[kSlug] = 5s;
  EXPECT_EQ(tell(kept(1) + "until 5.9s", setting).phases(kSlug), "");
  EXPECT_EQ(tell(kept(1) + "until 6.5s", setting).phases(kSlug), "open closed");
}

}  // namespace
}  // namespace tcpwhy::detect
