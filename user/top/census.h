// SPDX-License-Identifier: GPL-2.0-only
// What each process holds of TCP sockets, by state: added up from a count of all of them.
#pragma once

#include <tsl/robin_map.h>

#include <cstdint>
#include <string>
#include <vector>

#include "user/core/filter.h"
#include "user/core/held_socket.h"

namespace tcpwhy::top {

// Connections of one process by what they do; a listener is none. A socket counts once, however many descriptors it has.
struct ProcessUse {
  std::uint32_t pid = 0;
  util::BootTime start{};
  std::string comm;
  std::uint32_t established = 0;
  std::uint32_t opening = 0;     // SYN_SENT, SYN_RECV
  std::uint32_t close_wait = 0;  // the peer has closed, the process has not
  std::uint32_t closing = 0;     // FIN_WAIT1, FIN_WAIT2, CLOSING, LAST_ACK, still held by the process
  std::uint32_t listening = 0;
  std::uint64_t unread = 0;   // bytes that wait for the process
  std::uint64_t unacked = 0;  // bytes written that the other ends have not acknowledged
  [[nodiscard]] std::uint64_t connections() const {
    return std::uint64_t{established} + opening + close_wait + closing;
  }
};

struct Census {
  std::vector<ProcessUse> processes;
  std::uint64_t connections = 0;  // each once, though several processes hold it
  std::uint64_t listeners = 0;
};

class CensusTaker {
 public:
  // What the filter says of processes, and of namespaces.
  explicit CensusTaker(core::Filter filter = {}) : filter_(std::move(filter)) {}
  void add(const core::HeldSocket& socket);
  // Ends the count; the next add() begins another.
  Census take();

 private:
  [[nodiscard]] bool passes(const core::HeldSocket& socket) const;
  core::Filter filter_;
  Census census_;
  tsl::robin_map<std::uint32_t, std::size_t> by_pid_;
  tsl::robin_map<std::uint64_t, std::uint32_t> last_holder_;  // of each socket
};

}  // namespace tcpwhy::top
