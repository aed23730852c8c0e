// SPDX-License-Identifier: GPL-2.0-only
// Counts of what was lost, by kind and way, and which of them have grown since they were last taken.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "bpf/tcpwhy_abi.h"
#include "user/source/live_programs.h"
#include "user/util/time.h"

namespace tcpwhy::source {

class LossCounts {
 public:
  // A counter that only grows stands at `total`.
  void stands_at(std::uint32_t kind, std::uint32_t way, std::uint64_t total);
  void add(std::uint32_t kind, std::uint32_t way, std::uint64_t count);
  // A number that rises and falls: what it is above its last value counts.
  void level(std::uint32_t kind, std::uint32_t way, std::uint64_t now);
  // A record for each kind and way that has grown, without its header.
  [[nodiscard]] std::vector<tw_lost> take_growth();

 private:
  struct Count {
    std::uint64_t total = 0;
    std::uint64_t level = 0;
    std::uint64_t taken = 0;
  };
  Count& at(std::uint32_t kind, std::uint32_t way) { return counts_[{kind, way}]; }

  std::map<std::pair<std::uint32_t, std::uint32_t>, Count> counts_;
};

// What the hooks lost, skipped and left out, as the kernel side counts it.
class KernelLosses {
 public:
  void read(const Programs& programs, util::BootTime now, bool at_end, LossCounts& losses);
  [[nodiscard]] std::vector<tw_lost> take_limited() { return limited_.take_growth(); }

 private:
  LossCounts limited_;  // by rate; ways do not count
  util::BootTime next_skipped_{};
};

}  // namespace tcpwhy::source
