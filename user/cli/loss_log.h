// SPDX-License-Identifier: GPL-2.0-only
// Losses of a live run are logged while they happen, in one line for all of them, at most one in ten seconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

#include "user/core/losses.h"

namespace tcpwhy::cli {

class LossLog {
 public:
  using Clock = std::chrono::steady_clock;

  explicit LossLog(std::function<void(std::string_view)> write) : write_(std::move(write)) {}

  // The losses of the run so far: the first is logged at once.
  void look(const core::Losses& losses, Clock::time_point now);
  // What was not logged yet; for a run that prints no summary.
  void finish(const core::Losses& losses, Clock::time_point now);

 private:
  void log(const core::Losses& losses, Clock::time_point now);

  std::function<void(std::string_view)> write_;
  std::uint64_t total_ = 0;  // as logged last
  core::LossCounts logged_;
  Clock::time_point last_{};
};

}  // namespace tcpwhy::cli
