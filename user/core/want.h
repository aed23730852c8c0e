// SPDX-License-Identifier: GPL-2.0-only
// Wants: what a finding needs to know that no event tells. The live source answers each with records in the stream (the
// answer, then the end of the walk), so that a replay, which ignores wants, sees the same.
#pragma once

#include <cstdint>
#include <vector>

#include "user/abi/event.h"

namespace tcpwhy::core {

struct Wants {
  // Who holds the socket with this tuple (netns is ignored)? A listener is asked for with its own address and a remote
  // of zeros; all that a remote address has with a service, with remote port 0. Answer: Seed records (one for each process that holds it), then SeedEnd.
  std::vector<abi::Tuple> sockets;
  // State, threads, descriptors of a process. Answer: one ProcessState. The most urgent first.
  std::vector<std::uint32_t> processes;
  // The next sweep is to report every socket in trouble, changed or not: a Still named one that is not known (any more).
  bool whole_sweep = false;

  [[nodiscard]] bool empty() const { return sockets.empty() && processes.empty() && !whole_sweep; }
};

}  // namespace tcpwhy::core
