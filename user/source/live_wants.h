// SPDX-License-Identifier: GPL-2.0-only
// Wants that wait for their tick.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "user/core/want.h"
#include "user/host/process.h"
#include "user/source/live_programs.h"

namespace tcpwhy::source {

class PendingWants {
 public:
  void add(const core::Wants& wants);

  [[nodiscard]] bool any_socket() const { return !sockets_.empty() || overflowed_; }
  struct Sockets {
    WantedKeys keys;
    bool all = true;  // false: more were wanted than a walk can look for
  };
  Sockets take_sockets();
  // At most so many for one tick; the rest waits for the next.
  std::vector<std::uint32_t> take_processes(std::size_t most);

 private:
  void add_socket(const abi::Tuple& tuple);

  WantedKeys sockets_;
  bool overflowed_ = false;
  std::set<std::uint32_t> processes_;
};

// As the kernel side would find it. A listener (remote all zeros) and a wildcard address have two spellings of "any",
// that of IPv4 and that of IPv6: both are looked for.
std::vector<WantedKey> wanted_keys(const abi::Tuple& tuple);

tw_process to_record(const host::Process& process);

}  // namespace tcpwhy::source
