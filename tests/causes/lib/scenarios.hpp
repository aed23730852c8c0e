// SPDX-License-Identifier: GPL-2.0-only
// Incidents that more than one program makes.
#pragma once

#include "cause.hpp"

namespace cause {

// Where a scenario happens: on loopback, or between two namespaces.
struct Stage {
  Netns client_ns;
  Netns server_ns;
  std::string server_addr;
  std::string slow_device;  // the client's side
  [[nodiscard]] bool ipv6() const { return server_addr.find(':') != std::string::npos; }
};
Stage loopback_stage(const std::string& addr);
Stage veth_stage(bool ipv6);  // makes the namespaces

// The server does not accept; more clients finish their handshake than its queue holds, and send.
// It accepts again after 4 s. Adds the expectations to `truth`.
void accept_queue_full(Truth& truth, const Stage& stage, bool cookies);

// The server closes a connection without having read all of its request.
void close_with_unread_data(Truth& truth, const Stage& stage, int connections);

}  // namespace cause
