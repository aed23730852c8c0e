// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/loss_log.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tcpwhy::cli {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

struct LossLogTest : testing::Test {
  Lines lines;
  core::Losses losses;
  LossLog log{[this](std::string_view line) { lines.emplace_back(line); }};
  LossLog::Clock::time_point start = LossLog::Clock::now();

  void lose(std::uint64_t count, abi::LossWay way = abi::LossWay::ring) { losses.add({"state", count, way}); }
  void look(LossLog::Clock::duration at) { log.look(losses, start + at); }
};

TEST_F(LossLogTest, NothingLostIsNoLine) {
  for (int i = 0; i < 100; ++i) look(i * 1s);
  log.finish(losses, start + 200s);
  EXPECT_EQ(lines, Lines{});
}

TEST_F(LossLogTest, TheFirstAtOnceThenOneLineInTenSeconds) {
  for (int i = 0; i < 300; ++i) {  // one event each 100 ms for 30 s
    lose(1);
    look(i * 100ms);
  }
  EXPECT_EQ(lines, (Lines{"1 event was lost (the ring buffer was full)",
                          "100 events were lost (the ring buffer was full); in the last 10 s",
                          "100 events were lost (the ring buffer was full); in the last 10 s"}));
  log.finish(losses, start + 32s);
  EXPECT_EQ(lines.back(), "99 events were lost (the ring buffer was full); in the last 12 s");
  log.finish(losses, start + 33s);
  EXPECT_EQ(lines.size(), 4U);
}

TEST_F(LossLogTest, EachWayHasItsCountSinceTheLastLine) {
  lose(5);
  lose(2, abi::LossWay::unswept);
  look(0s);
  lose(1, abi::LossWay::unswept);
  look(20s);
  EXPECT_EQ(lines,
            (Lines{"5 events were lost (the ring buffer was full); 2 sockets in trouble were not swept (the table "
                   "of tracked sockets is full)",
                   "1 socket in trouble was not swept (the table of tracked sockets is full); in the last 20 s"}));
}

}  // namespace
}  // namespace tcpwhy::cli
