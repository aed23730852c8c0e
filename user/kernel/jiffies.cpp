// SPDX-License-Identifier: GPL-2.0-only
#include "user/kernel/jiffies.h"

#include <ctime>

namespace tcpwhy::kernel {

std::uint32_t jiffies_per_second(std::uint64_t jiffy_ns) {
  constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
  if (jiffy_ns == 0 || jiffy_ns > kNsPerSecond) return 250;  // Debian's, and what bpf/sock.bpf.h falls back to
  return static_cast<std::uint32_t>((kNsPerSecond + jiffy_ns / 2) / jiffy_ns);
}

std::uint32_t jiffies_per_second() {
  // The coarse clocks advance once a jiffy (kernel/time/posix-timers.c posix_get_coarse_res: KTIME_LOW_RES).
  timespec jiffy{};
  if (clock_getres(CLOCK_MONOTONIC_COARSE, &jiffy) != 0) return jiffies_per_second(0);
  return jiffies_per_second(static_cast<std::uint64_t>(jiffy.tv_sec) * 1'000'000'000 +
                            static_cast<std::uint64_t>(jiffy.tv_nsec));
}

}  // namespace tcpwhy::kernel
