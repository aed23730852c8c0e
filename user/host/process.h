// SPDX-License-Identifier: GPL-2.0-only
// What /proc says of one process: running, stopped or blocked, and how near its descriptor limit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tcpwhy::host {

struct Process {
  std::uint32_t pid = 0;
  // Since boot, as /proc rounds it (to USER_HZ, 10 ms): BPF's start_ns of the same process is up to 10 ms later.
  std::uint64_t start_ns = 0;
  std::uint32_t threads = 0;
  // R where any thread runs (an idle leader over busy workers is no idle process), else the leader's; '?' not known.
  char state = '?';
  std::optional<std::uint32_t> open_fds;
  std::optional<std::uint32_t> fd_limit;  // soft; 4294967294: that many or more
  std::string wait_channel;               // the kernel function that the leader sleeps in; empty: none, or not shown
  std::string cgroup;                     // path in cgroup v2
  std::uint64_t cpu_ns = 0;               // user and system time of all threads, as coarse as USER_HZ
  // Threads that wait for sockets: in poll, select, epoll_wait, accept, or a read of a socket. Of many threads only
  // some are looked at; absent where the kernel does not show a thread's system call.
  std::optional<std::uint32_t> polling;
};

// Bounded work, whatever the process. One that is gone has the state '?' and no start.
Process read_process(std::uint32_t pid);

// The two halves of it: what changes from one moment to the next, for a fifth of the cost of all; and the descriptors, their
// limit and the cgroup.
Process look_at_process(std::uint32_t pid);
void read_resources(Process& process);

}  // namespace tcpwhy::host
