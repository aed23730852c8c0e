// SPDX-License-Identifier: GPL-2.0-only
// In which order and how often processes are observed: no kernel needed.
#include "user/source/live_processes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <vector>

namespace tcpwhy::source {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

const util::BootTime kStart = util::boot_time(1'000'000'000'000);
constexpr double kShare = 0.02;

std::vector<std::uint32_t> take_all(ProcessQueue& queue, util::BootTime now) {
  std::vector<std::uint32_t> result;
  while (const auto pid = queue.take(now)) {
    result.push_back(*pid);
    queue.observed(*pid, now, microseconds{30});
  }
  return result;
}

TEST(ProcessQueue, TheMostUrgentFirstAndEachOnce) {
  ProcessQueue queue{kShare};
  queue.add({9, 3, 7, 3}, kStart);
  queue.add({1, 9}, kStart + milliseconds{10});
  EXPECT_THAT(take_all(queue, kStart + milliseconds{10}), ElementsAre(9U, 3U, 7U, 1U));
  EXPECT_TRUE(queue.empty());
}

TEST(ProcessQueue, AskedForAgainItWaitsForTheIntervalToBeOver) {
  ProcessQueue queue{kShare};
  queue.add({1}, kStart);
  EXPECT_THAT(take_all(queue, kStart), ElementsAre(1U));
  queue.add({1}, kStart + milliseconds{100});
  EXPECT_THAT(take_all(queue, kStart + milliseconds{400}), IsEmpty());
  EXPECT_FALSE(queue.empty());
  EXPECT_THAT(take_all(queue, kStart + milliseconds{500}), ElementsAre(1U));
}

TEST(ProcessQueue, ANewOneDoesNotWaitBehindThoseThatWereObserved) {
  ProcessQueue queue{kShare};
  queue.add({1, 2}, kStart);
  EXPECT_THAT(take_all(queue, kStart), ElementsAre(1U, 2U));
  queue.add({1, 2, 3}, kStart + milliseconds{100});
  EXPECT_THAT(take_all(queue, kStart + milliseconds{100}), ElementsAre(3U));
}

TEST(ProcessQueue, WhatIsNotObservedWithinASecondIsCountedOnce) {
  ProcessQueue queue{kShare};
  queue.add({1, 2, 3}, kStart);
  ASSERT_EQ(queue.take(kStart + milliseconds{100}), 1U);
  queue.observed(1, kStart + milliseconds{100}, microseconds{30});
  EXPECT_EQ(queue.take_late(kStart + seconds{1}), 0U);
  EXPECT_EQ(queue.take_late(kStart + seconds{1} + milliseconds{1}), 2U);
  EXPECT_EQ(queue.take_late(kStart + seconds{9}), 0U);
  EXPECT_THAT(take_all(queue, kStart + seconds{9}), IsEmpty());
  queue.add({2}, kStart + seconds{9});
  EXPECT_THAT(take_all(queue, kStart + seconds{9}), ElementsAre(2U)) << "it may be asked for again";
}

TEST(ProcessQueue, WaitingForTheIntervalIsNotLate) {
  ProcessQueue queue{kShare};
  queue.add({1}, kStart);
  EXPECT_THAT(take_all(queue, kStart), ElementsAre(1U));
  queue.add({1}, kStart);
  EXPECT_EQ(queue.take_late(kStart + milliseconds{1300}), 0U);
  EXPECT_EQ(queue.take_late(kStart + milliseconds{1500}), 1U);
}

TEST(ProcessQueue, ManyAreObservedLessOftenThanTheBudgetAllows) {
  ProcessQueue queue{kShare};
  std::vector<std::uint32_t> many;
  for (std::uint32_t pid = 1; pid <= 1000; ++pid) many.push_back(pid);
  queue.add(many, kStart);
  EXPECT_EQ(take_all(queue, kStart).size(), 1000U);
  EXPECT_EQ(queue.again(), ProcessQueue::kAgain);
  queue.add(many, kStart + milliseconds{100});
  EXPECT_NEAR(static_cast<double>(queue.again().count()), 1.5e9, 1e7) << "1,000 times 30 us is 2% of 1.5 s";
}

TEST(ProcessQueue, ThereIsABound) {
  ProcessQueue queue{kShare};
  std::vector<std::uint32_t> many;
  for (std::uint32_t pid = 1; pid <= ProcessQueue::kMost + 5; ++pid) many.push_back(pid);
  queue.add(many, kStart);
  EXPECT_EQ(queue.take_late(kStart), 5U);
}

struct Reads {
  int looks = 0;
  int resources = 0;
  std::uint64_t start_ns = 1;
  char state = 'S';

  ProcessObserver observer() {
    return ProcessObserver{[this](std::uint32_t pid) {
                             looks += 1;
                             host::Process process;
                             process.pid = pid;
                             process.state = state;
                             process.start_ns = state == '?' ? 0 : start_ns;
                             return process;
                           },
                           [this](host::Process& process) {
                             resources += 1;
                             process.open_fds = 7U;
                             process.fd_limit = 64U;
                             process.cgroup = "/a.slice";
                           }};
  }
};

TEST(ProcessObserver, WhatSeldomChangesIsReadEveryFewSeconds) {
  Reads reads;
  ProcessObserver observer = reads.observer();
  for (int i = 0; i < 6; ++i) {
    const host::Process process = observer.observe(5, kStart + i * milliseconds{500});
    EXPECT_EQ(process.open_fds, 7U);
    EXPECT_EQ(process.fd_limit, 64U);
    EXPECT_EQ(process.cgroup, "/a.slice");
  }
  EXPECT_EQ(reads.looks, 6);
  EXPECT_EQ(reads.resources, 1);
  (void)observer.observe(5, kStart + seconds{3});
  EXPECT_EQ(reads.resources, 2);
}

TEST(ProcessObserver, AnotherProcessWithTheSameIdIsReadInFull) {
  Reads reads;
  ProcessObserver observer = reads.observer();
  (void)observer.observe(5, kStart);
  reads.start_ns = 2;
  (void)observer.observe(5, kStart + milliseconds{10});
  EXPECT_EQ(reads.resources, 2);
  reads.state = '?';
  EXPECT_FALSE(observer.observe(5, kStart + milliseconds{20}).open_fds.has_value());
  EXPECT_EQ(reads.resources, 2);
}

TEST(ProcessObservations, AThousandAtOnceAreObservedWithinASecond) {
  ProcessObservations observations;
  std::vector<std::uint32_t> pids(1000);
  for (std::size_t i = 0; i < pids.size(); ++i)
    pids[i] = static_cast<std::uint32_t>(i + 1);  // those of this host, and none
  observations.add(pids, kStart);
  std::size_t observed = 0;
  for (util::BootTime now = kStart; now <= kStart + seconds{1}; now += milliseconds{100}) {
    observations.observe(now, [&](const host::Process&) { observed += 1; });
    EXPECT_EQ(observations.take_late(now), 0U);
  }
  EXPECT_EQ(observed, pids.size());
}

}  // namespace
}  // namespace tcpwhy::source
