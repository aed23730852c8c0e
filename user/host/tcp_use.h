// SPDX-License-Identifier: GPL-2.0-only
// What TCP as a whole uses of what it may: /proc/net/sockstat against net.ipv4.tcp_mem and tcp_max_orphans. Memory is
// counted for the host; orphans for this process's network namespace before 5.x kernels, for the host since.
#pragma once

#include <cstdint>

namespace tcpwhy::host {

struct TcpUse {
  std::uint64_t memory_pages = 0;
  std::uint64_t memory_low = 0;  // the three of net.ipv4.tcp_mem, pages; 0 where they could not be read
  std::uint64_t memory_pressure = 0;
  std::uint64_t memory_high = 0;
  std::uint64_t orphans = 0;
  std::uint64_t orphans_limit = 0;

  // Near enough to a limit to be watched: above the lower mark of memory, or three quarters of the orphans.
  [[nodiscard]] bool near_limit() const {
    return (memory_low > 0 && memory_pages >= memory_low) || (orphans_limit > 0 && orphans * 4 >= orphans_limit * 3);
  }
};

TcpUse read_tcp_use();

}  // namespace tcpwhy::host
