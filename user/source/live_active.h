// SPDX-License-Identifier: GPL-2.0-only
// Which processes used the network lately, and which of them are to be looked at between two walks over all files.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "user/source/live_iterator.h"
#include "user/source/live_pace.h"
#include "user/util/time.h"

namespace tcpwhy::source {

class Programs;

class ActiveProcesses {
 public:
  static constexpr std::size_t kMost = 1024;

  // A walk, or an event, showed that the process used the network at `used`. files: that a walk has to pass; 0: not known.
  void saw(std::uint32_t pid, util::BootTime used, std::uint32_t files);
  // A walk over all files looked at each of them.
  void all_walked(util::BootTime now);
  // The walk over this one's files cost so much.
  void walked(std::uint32_t pid, util::BootTime now, util::Duration cpu);
  void gone(std::uint32_t pid) { processes_.erase(pid); }

  struct Due {
    std::uint32_t pid = 0;
    util::Duration cost{};      // expected
    util::Duration not_seen{};  // since it was looked at last
  };
  // Those that used the network in the last minute: first who was not looked at for longest, then who used it last.
  [[nodiscard]] std::vector<Due> due(util::BootTime now);
  [[nodiscard]] std::size_t size() const { return processes_.size(); }

 private:
  struct Process {
    util::BootTime used{};
    util::BootTime walked{};
    util::Duration cost{};
  };
  void make_room();

  std::unordered_map<std::uint32_t, Process> processes_;
};

// What the walks over single processes cost, as a share of one CPU: over the last seconds, for the walk over all files leaves
// them that much.
class ActiveCost {
 public:
  // A round that began at `now` cost so much.
  void add(util::BootTime now, util::Duration cpu);
  [[nodiscard]] double of_one_cpu() const { return share_; }

 private:
  util::BootTime last_{};
  double share_ = 0;
};

// The walks over single processes, within a budget that is part of the 1% for all looking.
class ActiveWalks {
 public:
  ActiveWalks();
  // Walks the files of those that used the network lately, as far as the budget goes; nothing where a walk over all files is
  // cheap enough to run each time, or due now. Returns what it cost.
  util::Duration walk(util::BootTime now, Programs& programs, SweepPace& all, const OnRecord& on_record);
  // After the walks of a tick: which processes they found active.
  void learn(util::BootTime now, Programs& programs, const SweepPace& all);
  [[nodiscard]] double of_one_cpu() const { return cost_.of_one_cpu(); }

 private:
  // What its looks cost; cpu: and what they reported.
  util::Duration walk_round(util::BootTime now, Programs& programs, const OnRecord& on_record, util::Duration& cpu);

  ActiveProcesses processes_;
  ActiveCost cost_;
  CpuCredit credit_;
  util::BootTime next_{};
};

}  // namespace tcpwhy::source
