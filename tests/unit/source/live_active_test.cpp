// SPDX-License-Identifier: GPL-2.0-only
// Which processes are walked by themselves: no kernel needed.
#include "user/source/live_active.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace tcpwhy::source {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

const util::BootTime kStart = util::boot_time(1'000'000'000'000);

std::vector<std::uint32_t> pids(ActiveProcesses& processes, util::BootTime now) {
  std::vector<std::uint32_t> result;
  for (const ActiveProcesses::Due& due : processes.due(now)) result.push_back(due.pid);
  return result;
}

TEST(ActiveProcesses, WhoUsedTheNetworkLastComesFirst) {
  ActiveProcesses processes;
  processes.saw(1, kStart - seconds{30}, 10);
  processes.saw(2, kStart - seconds{1}, 10);
  processes.saw(3, kStart - seconds{10}, 10);
  processes.all_walked(kStart);
  EXPECT_THAT(pids(processes, kStart), ElementsAre(2U, 3U, 1U));
  processes.saw(2, kStart - seconds{50}, 10);  // an older look takes nothing back
  EXPECT_THAT(pids(processes, kStart), ElementsAre(2U, 3U, 1U));
}

TEST(ActiveProcesses, WhoWasLeftOutComesFirstTheNextTime) {
  ActiveProcesses processes;
  for (std::uint32_t pid = 1; pid <= 3; ++pid) processes.saw(pid, kStart - seconds{pid}, 10);
  processes.all_walked(kStart - seconds{1});
  processes.walked(1, kStart, microseconds{40});
  EXPECT_THAT(pids(processes, kStart + milliseconds{500}), ElementsAre(2U, 3U, 1U));
  processes.walked(2, kStart + milliseconds{500}, microseconds{40});
  EXPECT_THAT(pids(processes, kStart + seconds{1}), ElementsAre(3U, 1U, 2U));
  processes.all_walked(kStart + seconds{2});
  EXPECT_THAT(pids(processes, kStart + seconds{2}), ElementsAre(1U, 2U, 3U));
}

TEST(ActiveProcesses, NewcomersWaitForTheirTurn) {
  ActiveProcesses processes;
  processes.saw(1, kStart - seconds{30}, 10);
  processes.all_walked(kStart);
  for (std::uint32_t pid = 100; pid < 120; ++pid) processes.saw(pid, kStart + milliseconds{500}, 0);
  EXPECT_EQ(pids(processes, kStart + milliseconds{500}).front(), 1U);
}

TEST(ActiveProcesses, AfterAMinuteWithoutTheNetworkAProcessIsLeftToTheWalkOverAll) {
  ActiveProcesses processes;
  processes.saw(1, kStart, 10);
  EXPECT_THAT(pids(processes, kStart + seconds{60}), ElementsAre(1U));
  EXPECT_THAT(pids(processes, kStart + seconds{61}), IsEmpty());
  EXPECT_EQ(processes.size(), 0U);
}

TEST(ActiveProcesses, TheCostIsGuessedByFilesUntilItIsMeasured) {
  ActiveProcesses processes;
  processes.saw(1, kStart, 100'000);
  processes.saw(2, kStart - seconds{1}, 0);
  processes.all_walked(kStart);
  const auto due = processes.due(kStart);
  ASSERT_EQ(due.size(), 2U);
  EXPECT_GT(due[0].cost, milliseconds{10});
  EXPECT_LT(due[1].cost, milliseconds{1});
  processes.walked(1, kStart, milliseconds{3});
  processes.saw(1, kStart + seconds{1}, 0);  // an event: how many files it has is not known from it
  for (const auto& d : processes.due(kStart + seconds{1})) {
    if (d.pid == 1) {
      EXPECT_EQ(d.cost, milliseconds{3});
    }
  }
}

TEST(ActiveProcesses, OfTooManyThoseGoThatWereIdleLongest) {
  ActiveProcesses processes;
  const auto most = static_cast<std::uint32_t>(ActiveProcesses::kMost);
  for (std::uint32_t pid = 1; pid <= most; ++pid) processes.saw(pid, kStart - seconds{40} + milliseconds{pid}, 1);
  processes.saw(most + 1, kStart, 1);
  EXPECT_LE(processes.size(), ActiveProcesses::kMost);
  processes.all_walked(kStart);
  const auto left = pids(processes, kStart);
  EXPECT_EQ(left.front(), most + 1);
  EXPECT_EQ(std::count(left.begin(), left.end(), 1U), 0);
  EXPECT_EQ(std::count(left.begin(), left.end(), most), 1);
  // All at one moment: some go, never all.
  ActiveProcesses alike;
  for (std::uint32_t pid = 1; pid <= most + 1; ++pid) alike.saw(pid, kStart, 1);
  EXPECT_GT(alike.size(), ActiveProcesses::kMost / 2);
  EXPECT_LE(alike.size(), ActiveProcesses::kMost);
}

TEST(ActiveCost, FollowsWhatRoundsCost) {
  ActiveCost cost;
  for (int i = 0; i <= 100; ++i) cost.add(kStart + i * milliseconds{500}, milliseconds{2});
  EXPECT_NEAR(cost.of_one_cpu(), 0.004, 0.0001);
  for (int i = 101; i <= 200; ++i) cost.add(kStart + i * milliseconds{500}, {});
  EXPECT_NEAR(cost.of_one_cpu(), 0, 0.0001);
}

}  // namespace
}  // namespace tcpwhy::source
