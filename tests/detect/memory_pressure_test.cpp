// SPDX-License-Identifier: GPL-2.0-only
#include <gtest/gtest.h>

#include "tests/detect/incident.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "memory-pressure";
using namespace std::chrono_literals;

TEST(MemoryPressure, AboveTheMiddleMark) {
  const Told told = tell("at 1s host memory 201 of 100 200 400 orphans 0 of 10\nuntil 2s");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "tcp-mem critical certain kernel-limit");
  EXPECT_EQ(f.since, source::script_time(1s));
  EXPECT_EQ(f.evidence.number("tcp_mem_pages"), 201);
  EXPECT_EQ(f.evidence.number("tcp_mem_limit_pages"), 200);
  EXPECT_EQ(tell("at 1s host memory 401 of 100 200 400 orphans 0 of 10\nuntil 2s")
                .first(kSlug)
                .evidence.number("tcp_mem_limit_pages"),
            400);
}

TEST(MemoryPressure, CountersThatGrewCorroborate) {
  const core::Finding f = tell(
                              "at 500ms mib TCPMemoryPressures 3 PruneCalled 5\n"
                              "at 1s host memory 201 of 100 200 400 orphans 0 of 10\n"
                              "mib TCPMemoryPressures 4 PruneCalled 5\nuntil 2s")
                              .first(kSlug);
  using Grown = std::vector<std::pair<std::string, std::int64_t>>;
  ASSERT_TRUE(f.evidence.has("mib"));
  EXPECT_EQ(std::get<Grown>(*f.evidence.find("mib")), (Grown{{"TCPMemoryPressures", 1}}));
  EXPECT_FALSE(tell("at 1s host memory 201 of 100 200 400 orphans 0 of 10\nmib PruneCalled 5\nuntil 2s")
                   .first(kSlug)
                   .evidence.has("mib"));
}

TEST(MemoryPressure, BelowItThereIsNone) {
  EXPECT_EQ(tell("at 1s host memory 200 of 100 200 400 orphans 10 of 10\nuntil 2s").phases(kSlug), "");
}

TEST(MemoryPressure, ItEndsBelowTheLowestMark) {
  const std::string script =
      "at 1s host memory 201 of 100 200 400 orphans 0 of 10\nat 2s host memory 150 of 100 200 400 orphans 0 of 10\n";
  EXPECT_EQ(tell(script + "until 5s").last(kSlug).ended, core::Ended::trace_end);
  const core::Finding f = tell(script + "at 3s host memory 99 of 100 200 400 orphans 0 of 10\nuntil 6s").last(kSlug);
  EXPECT_EQ(f.ended, core::Ended::drained);
  EXPECT_EQ(f.duration, 2s);
}

TEST(MemoryPressure, OneWhoHoldsMostOfItIsNamed) {
  const core::Finding f = tell(R"(
    at 0ms  listen srv 10.0.0.1:80 by app[77]
    connect cli 10.0.0.9:50000 -> 10.0.0.1:80
    child in of cli on srv by app[77] watched
    sweeps on
    at 1s   receive in 400000
    process 77 state T
    at 2s   host memory 201 of 100 200 400 orphans 0 of 10
    until 3s
  )")
                              .first(kSlug);
  EXPECT_EQ(brief(f), "tcp-mem critical likely app[77]");
  EXPECT_TRUE(f.evidence.has("holders"));
}

// The one that sends holds as much: it is not the one that does not read.
TEST(MemoryPressure, WhatWaitsForAReaderIsTheReaders) {
  const core::Finding f = tell(R"(
    at 0ms  listen srv 127.0.0.1:80 by web[80]
    connect cli 127.0.0.1:50000 -> 127.0.0.1:80 by proxy[50]
    established cli
    child end of cli on srv by web[80] watched
    sweeps on
    at 500ms set cli watched
    at 1s   receive cli 400000 rcv-window 0
    set end unsent 900000 window 0
    at 2s   host memory 201 of 100 200 400 orphans 0 of 10
    until 3s
  )")
                              .first(kSlug);
  EXPECT_EQ(brief(f), "tcp-mem critical likely proxy[50]");
}

TEST(MemoryPressure, TooManyOrphans) {
  const std::string script = "at 1s host memory 1 of 100 200 400 orphans 11 of 10\n";
  const core::Finding f = tell(script + "until 2s").first(kSlug);
  EXPECT_EQ(brief(f), "orphans critical certain kernel-limit");
  EXPECT_EQ(f.evidence.number("orphans"), 11);
  EXPECT_EQ(f.evidence.number("orphans_limit"), 10);
  EXPECT_EQ(tell(script + "at 3s host memory 1 of 100 200 400 orphans 10 of 10\nuntil 6s").last(kSlug).ended,
            core::Ended::drained);
}

std::string overruns(int count) {
  std::string script = R"(
    at 0ms  listen srv 10.0.0.1:80 by app[77]
    connect cli 10.0.0.9:50000 -> 10.0.0.1:80
    child in of cli on srv by app[77] watched
    at 1s   sample in
    retransmit in fast
  )";
  for (int i = 0; i < count; ++i) script += "drop cli PROTO_MEM payload 10\n";
  return script;
}

TEST(MemoryPressure, AReceiveBufferOverran) {
  const core::Finding f = tell(overruns(50) + "until 2s").first(kSlug);
  EXPECT_EQ(brief(f), "rcvbuf-overrun warning certain app[77]");
  EXPECT_EQ(f.evidence.number("dropped_segments"), 50);
  EXPECT_EQ(tell(overruns(49) + "until 2s").phases(kSlug), "");
}

TEST(MemoryPressure, AnOverrunOfAMomentAgoIsOver) {
  EXPECT_EQ(tell(overruns(50) + "until 40s").last(kSlug).ended, core::Ended::drained);
}

TEST(MemoryPressure, LostEventsChangeNothingThatTheKernelSays) {
  EXPECT_EQ(brief(tell("at 1s host memory 201 of 100 200 400 orphans 0 of 10\nlost 12 drop\nuntil 2s").first(kSlug)),
            "tcp-mem critical certain kernel-limit");
}

}  // namespace
}  // namespace tcpwhy::detect
