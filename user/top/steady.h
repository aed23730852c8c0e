// SPDX-License-Identifier: GPL-2.0-only
// Rows that are ordered by a number which changes all the time would jump. Each row is ordered by the number that it had
// when it last changed by more than a tenth: what is shown is exact, the order as good as that, and still.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>

namespace tcpwhy::top {

class Steady {
 public:
  // Rows that are not asked for between two calls are forgotten.
  void begin_round() { before_ = std::exchange(now_, {}); }
  // By which the row is to be ordered now.
  std::uint64_t value(std::uint64_t row, std::uint64_t exact) {
    const auto known = before_.find(row);
    const bool stays = known != before_.end() && !differs(known->second, exact);
    return now_[row] = stays ? known->second : exact;
  }

 private:
  static bool differs(std::uint64_t old, std::uint64_t now) {
    const std::uint64_t apart = old > now ? old - now : now - old;
    return apart > old / 10 || (now == 0) != (old == 0);
  }
  std::unordered_map<std::uint64_t, std::uint64_t> before_;
  std::unordered_map<std::uint64_t, std::uint64_t> now_;
};

}  // namespace tcpwhy::top
