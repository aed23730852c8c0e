// SPDX-License-Identifier: GPL-2.0-only
// How far a replay has come, on a terminal and for long files only.
#pragma once

#include <chrono>
#include <cstdint>

namespace tcpwhy::cli {

class Progress {
 public:
  explicit Progress(std::uint64_t all_bytes);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();
  void at(std::uint64_t bytes);

 private:
  using Clock = std::chrono::steady_clock;
  std::uint64_t all_;
  bool shown_;
  bool said_ = false;
  Clock::time_point started_ = Clock::now();
  Clock::time_point last_ = started_;
};

}  // namespace tcpwhy::cli
