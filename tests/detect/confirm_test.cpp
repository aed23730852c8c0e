// SPDX-License-Identifier: GPL-2.0-only
// Sweeps that confirm: whatever record of them is lost, no finding outlives what it is about by more than two sweeps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "bpf/tcpwhy_abi.h"
#include "tests/detect/incident.h"
#include "user/abi/header.h"
#include "user/detect/detectors.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;

constexpr auto kSweep = 500ms;
constexpr auto kOver = 8s;  // when the last of them reads

// A reader that reads nothing from four connections, and at last everything, at once; and one client that waits for an answer
// and gets it.
const std::string kCrowd = R"(
  sweeps confirm
  at 0ms listen srv 127.0.0.1:8080 by reader[33]
  at 10ms connect c0 127.0.0.1:50000 -> 127.0.0.1:8080 by writer[44] watched
  child s0 of c0 by reader[33] watched
  established c0
  at 20ms connect c1 127.0.0.1:50001 -> 127.0.0.1:8080 by writer[44] watched
  child s1 of c1 by reader[33] watched
  established c1
  at 1s receive s0 100000
  receive s1 100000
  process 33 state S polling 0 cpu 0ms
  at 2s process 33 state S polling 0 cpu 0ms
  at 3s process 33 state S polling 0 cpu 0ms
  at 4s process 33 state S polling 0 cpu 0ms
  at 8s read s0
  read s1
  until 14s
)";

Told tell_without(const source::Script& script, std::size_t left_out) {
  Told told;
  core::Settings settings;
  settings.names = source::script_names();
  core::Pipeline pipeline{settings,
                          make_all(Thresholds{settings.thresholds}),
                          {[&told](const std::vector<core::Finding>& lines) {
                             told.lines.insert(told.lines.end(), lines.begin(), lines.end());
                           },
                           {}}};
  for (std::size_t i = 0; i < script.records.size(); ++i)
    if (i != left_out) pipeline.feed(script.records[i]);
  pipeline.finish();
  return told;
}

bool is_of_a_sweep(const std::vector<std::byte>& record) {
  const std::uint16_t kind = abi::peek_header(record)->kind;
  return kind == TW_KIND_SAMPLE || kind == TW_KIND_STILL || kind == TW_KIND_SWEEP_END;
}

source::Script crowd() {
  const auto script = source::parse_script(kCrowd);
  EXPECT_TRUE(script) << script.error().what;
  return script ? *script : source::Script{};
}

TEST(Confirm, ACrowdThatRecoversIsClosedAtOnce) {
  const Told told = tell_without(crowd(), ~std::size_t{0});
  const core::Finding last = told.last("stall-unread");
  EXPECT_EQ(last.phase, core::Phase::closed);
  EXPECT_EQ(last.ended, core::Ended::recovered);
  EXPECT_LT(last.time, source::script_time(kOver + 2 * kSweep + 1200ms));
  EXPECT_TRUE(told.first("stall-unread").evidence.has("looked_ms"));
}

TEST(Confirm, WhateverRecordIsLostNoFindingOutlivesItsCondition) {
  const source::Script script = crowd();
  std::size_t tried = 0;
  for (std::size_t i = 0; i < script.records.size(); ++i) {
    if (!is_of_a_sweep(script.records[i])) continue;
    tried += 1;
    const Told told = tell_without(script, i);
    const auto lines = told.of("stall-unread");
    ASSERT_FALSE(lines.empty()) << "record " << i;
    // Two sweeps to notice, and the second in which a condition that returns would be the same one.
    for (const core::Finding& f : lines)
      EXPECT_LT(f.time, source::script_time(kOver + 2 * kSweep + kSweep + 1200ms)) << "record " << i;
    EXPECT_EQ(lines.back().phase, core::Phase::closed) << "record " << i;
    EXPECT_NE(lines.back().ended, core::Ended::trace_end) << "record " << i;
  }
  EXPECT_GT(tried, 40U);
}

// Without a look of this interval nothing opens: here a sweep that does not see the sockets ends just as they are due.
TEST(Confirm, NothingOpensOnALookThatIsOlderThanAnInterval) {
  const std::string unseen = R"(
    sweeps confirm
    at 0ms listen srv 127.0.0.1:8080 by reader[33]
    at 10ms connect c0 127.0.0.1:50000 -> 127.0.0.1:8080 by writer[44]
    child s0 of c0 by reader[33] watched
    established c0
    at 1s receive s0 100000
    process 33 state S polling 0 cpu 0ms
    at 2s process 33 state S polling 0 cpu 0ms
    at 2.4s set s0 unwatched
    until 8s
  )";
  EXPECT_TRUE(tell(unseen).of("stall-unread").empty());
}

}  // namespace
}  // namespace tcpwhy::detect
