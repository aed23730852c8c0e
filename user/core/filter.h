// SPDX-License-Identifier: GPL-2.0-only
// The filters of every command. An empty list lets everything through; within a list any match counts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "user/abi/event.h"
#include "user/core/finding.h"
#include "user/util/address.h"

namespace tcpwhy::core {

struct Filter {
  std::vector<std::uint16_t> ports;    // either end's port
  std::vector<util::Cidr> local;       // --local
  std::vector<util::Cidr> remote;      // --remote
  std::vector<std::uint32_t> pids;     // of either end, the listener's owners or the culprit
  std::vector<std::string> comms;      // same, exact name
  std::vector<std::uint64_t> cgroups;  // cgroup v2 ids, of either end or the listener
  std::vector<std::uint32_t> netns;    // inode of the network namespace of either end

  [[nodiscard]] bool empty() const;
  // A finding passes when its connection, its peer (seen from its own side) or its listener does: a filter narrows
  // what is told, it never breaks the pairing of two ends.
  [[nodiscard]] bool passes(const Finding& finding) const;
  // By ports, addresses and namespace alone, from either end: of whose processes an event is, not every event tells.
  [[nodiscard]] bool passes(const abi::Event& event) const;
};

}  // namespace tcpwhy::core
