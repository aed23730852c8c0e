// SPDX-License-Identifier: GPL-2.0-only
// How often sweeps and walks may run, so that neither costs more than 1% of one CPU.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "user/util/time.h"

namespace tcpwhy::source {

// What a run cost but for its reports, of which each was made once: the pace is that of looking.
[[nodiscard]] util::Duration cost_of_looking(util::Duration cpu, std::uint64_t reports);

// One half of a sweep ("the walk over all sockets") each half second, less often where it is expensive.
class SweepPace {
 public:
  explicit SweepPace(std::string what) : what_(std::move(what)) {}
  [[nodiscard]] bool is_due(util::BootTime now) const;
  // A sweep began at `now` and took so much CPU. Returns what is to be said, once, when the interval gets long.
  [[nodiscard]] std::string swept(util::BootTime now, util::Duration cpu);
  [[nodiscard]] util::Duration interval() const { return interval_; }
  [[nodiscard]] util::BootTime began() const { return began_; }  // the last one
  // The share of one CPU that other looks at the same take: it is left to them from the next one on.
  void leave(double of_one_cpu) { left_ = of_one_cpu; }
  // What the last one took, spread over the time to the next; 0.01 is 1%.
  [[nodiscard]] double of_one_cpu() const;

 private:
  std::string what_;
  util::Duration interval_{};
  util::Duration cpu_{};
  util::BootTime began_{};
  util::BootTime next_{};
  double left_ = 0;
  bool told_ = false;
};

// CPU time that may be spent: it comes at a constant rate, and what is not used is kept up to a limit.
class CpuCredit {
 public:
  CpuCredit(double of_one_cpu, util::Duration most) : share_(of_one_cpu), most_(most), left_(most) {}
  void earn(util::BootTime now);
  void spend(util::Duration cpu) { left_ -= cpu; }
  [[nodiscard]] util::Duration left() const { return left_; }
  [[nodiscard]] double share() const { return share_; }

 private:
  double share_;
  util::Duration most_;
  util::Duration left_;  // below zero: more was spent than there was
  util::BootTime earned_{};
};

// Sweeps that report every socket in trouble anew: when one is wanted, and each two seconds at most.
class WholeSweeps {
 public:
  void want() { wanted_ = true; }
  // Whether the sweep that begins now is one.
  [[nodiscard]] bool begins(util::BootTime now);

 private:
  bool wanted_ = false;
  util::BootTime next_{};
};

// A walk when one is wanted: always where it is cheap, else after a pause of a hundred times what the last one cost.
class WalkRation {
 public:
  [[nodiscard]] bool allows(util::BootTime now) const;
  void walked(util::BootTime now, util::Duration cpu);

 private:
  util::Duration cost_{};
  util::BootTime last_{};
};

}  // namespace tcpwhy::source
