// SPDX-License-Identifier: GPL-2.0-only
// Observations of processes that findings want: each once an interval, within a budget of CPU time, the most urgent first.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "user/host/process.h"
#include "user/source/live_pace.h"
#include "user/util/time.h"

namespace tcpwhy::source {

// The processes that are wanted, in the order in which they are to be observed.
class ProcessQueue {
 public:
  // A want is late when it was not answered this long after it could have been.
  static constexpr util::Duration kLate = std::chrono::seconds{1};
  static constexpr util::Duration kAgain = std::chrono::milliseconds{450};  // a sweep interval, less half a tick
  static constexpr std::size_t kMost = 16384;

  // of_one_cpu: what observations may cost.
  explicit ProcessQueue(double of_one_cpu) : share_(of_one_cpu) {}

  // The most urgent first; who waits already keeps its place.
  void add(const std::vector<std::uint32_t>& pids, util::BootTime now);
  // The next that is due: one that was observed shortly before waits for `again` to be over.
  std::optional<std::uint32_t> take(util::BootTime now);
  // It was observed, at that cost.
  void observed(std::uint32_t pid, util::BootTime now, util::Duration cpu);
  // Drops what is late and counts it; once a tick.
  std::uint64_t take_late(util::BootTime now);
  // With more processes than the budget allows to observe each interval, all are observed less often.
  [[nodiscard]] util::Duration again() const;
  [[nodiscard]] bool empty() const { return waiting_.empty(); }

 private:
  struct Known {
    util::BootTime observed{};
    bool waits = false;
  };

  std::multimap<util::BootTime, std::uint32_t> waiting_;  // by when it is possible to answer; equal ones stay in order
  std::unordered_map<std::uint32_t, Known> known_;
  util::Duration cost_{};  // of one, on average
  double share_;
  std::uint64_t refused_ = 0;  // there was no room
  util::BootTime tidied_{};
};

// Looks at processes; what seldom changes of one is kept for some seconds.
class ProcessObserver {
 public:
  using Look = std::function<host::Process(std::uint32_t)>;
  using ReadResources = std::function<void(host::Process&)>;
  explicit ProcessObserver(Look look = host::look_at_process, ReadResources read = host::read_resources)
      : look_(std::move(look)), read_(std::move(read)) {}
  host::Process observe(std::uint32_t pid, util::BootTime now);

 private:
  struct Kept {
    std::uint64_t start_ns = 0;
    util::BootTime read{};
    std::optional<std::uint32_t> open_fds;
    std::optional<std::uint32_t> fd_limit;
    std::string cgroup;
  };
  void forget_old(util::BootTime now);

  Look look_;
  ReadResources read_;
  std::unordered_map<std::uint32_t, Kept> kept_;
};

// Both, within the budget.
class ProcessObservations {
 public:
  ProcessObservations();
  void add(const std::vector<std::uint32_t>& pids, util::BootTime now) { queue_.add(pids, now); }
  void observe(util::BootTime now, const std::function<void(const host::Process&)>& on_process);
  std::uint64_t take_late(util::BootTime now) { return queue_.take_late(now); }
  // What goes with observations cost so much: it is of the same budget.
  void spend(util::Duration cpu) { credit_.spend(cpu); }

 private:
  ProcessQueue queue_;
  ProcessObserver observer_;
  CpuCredit credit_;
};

}  // namespace tcpwhy::source
