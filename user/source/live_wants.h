// SPDX-License-Identifier: GPL-2.0-only
// Wants for sockets that wait for their walk. Those for processes: live_processes.h.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "user/core/held_socket.h"
#include "user/core/want.h"
#include "user/host/process.h"
#include "user/host/tcp_use.h"
#include "user/source/live_programs.h"

namespace tcpwhy::source {

class PendingWants {
 public:
  void add(const std::vector<abi::Tuple>& sockets);

  [[nodiscard]] bool any_socket() const { return !sockets_.empty() || overflowed_; }
  struct Sockets {
    WantedKeys keys;
    bool all = true;  // false: more were wanted than a walk can look for
  };
  Sockets take_sockets();

 private:
  void add_socket(const abi::Tuple& tuple);

  WantedKeys sockets_;
  bool overflowed_ = false;
};

// As the kernel side would find it. A listener (remote all zeros) and a wildcard address have two spellings of "any",
// that of IPv4 and that of IPv6: both are looked for.
std::vector<WantedKey> wanted_keys(const abi::Tuple& tuple);

tw_process to_record(const host::Process& process);
tw_host to_record(const host::TcpUse& use);
// All but its samples.
tw_sweep_end to_record(const SweepRun& sweep, util::Duration interval);
core::HeldSocket to_held(const tw_held& record);

}  // namespace tcpwhy::source
