// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <iostream>

#include "user/util/time.h"

namespace tcpwhy::cli {
namespace {

constexpr std::uint64_t kLong = 32U << 20;

}  // namespace

Progress::Progress(std::uint64_t all_bytes) : all_(all_bytes), shown_(all_ >= kLong && ::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (said_) std::cerr << "\r\033[K";
}

void Progress::at(std::uint64_t bytes) {
  const auto now = Clock::now();
  if (!shown_ || now - last_ < std::chrono::milliseconds{500} || bytes == 0) return;
  last_ = now;
  said_ = true;
  const double part = static_cast<double>(bytes) / static_cast<double>(all_);
  const std::chrono::duration<double> gone = now - started_;
  std::cerr << fmt::format("\r\033[K{} MiB of {} MiB, {} left", bytes >> 20, all_ >> 20,
                           util::human(std::chrono::seconds{static_cast<long>(gone.count() * (1 / part - 1)) + 1}));
}

}  // namespace tcpwhy::cli
