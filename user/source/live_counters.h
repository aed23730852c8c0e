// SPDX-License-Identifier: GPL-2.0-only
// The kernel's TCP counters, by network namespace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <span>

#include "bpf/tcpwhy_abi.h"

namespace tcpwhy::source {

class NamespaceCounters {
 public:
  // Those of the namespace that this process lives in are to be read.
  void want(std::uint32_t pid) { pids_.insert(pid); }
  // The counters of a namespace with a listener are read once before anything happens to it: growth counts from there.
  void note_listener(std::span<const std::byte> record, std::uint16_t kind);
  // Of what is wanted, each namespace once.
  void read(const std::function<void(tw_mib&)>& on_counters);

 private:
  std::set<std::uint32_t> pids_;
  std::set<std::uint32_t> netns_;  // whose counters have been read for a listener
};

}  // namespace tcpwhy::source
