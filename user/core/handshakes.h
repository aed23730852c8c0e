// SPDX-License-Identifier: GPL-2.0-only
// What the kernel side joins where both ends are on one host (doc/architecture.md), for ends on two: a SYN-ACK that is sent
// again gets the client's socket, its process and since when it believes itself connected, by the two initial sequence
// numbers.
#pragma once

#include <deque>
#include <unordered_map>

#include "user/abi/event.h"

namespace tcpwhy::core {

class Handshakes {
 public:
  explicit Handshakes(std::size_t most = 1U << 18) : most_(most) {}
  // Remembers a client that became ESTABLISHED; completes a SYN-ACK whose client is on another host.
  void pass(abi::Event& event);

 private:
  struct Client {
    std::uint32_t host = 0;
    abi::SocketId id = abi::SocketId::none;
    abi::Tuple tuple;
    abi::Owner owner;
    util::BootTime established{};
  };
  void remember(std::uint32_t after_client_isn, std::uint32_t after_server_isn, Client client);
  void complete(abi::SynAckRetransmit& synack, std::uint32_t host) const;
  void on(const abi::Transition& transition, std::uint32_t host, util::BootTime time);

  std::size_t most_;
  std::unordered_map<std::uint64_t, Client> clients_;  // by both sequence numbers
  std::deque<std::uint64_t> order_;
  // Whoever calls connect() is known when it does, and not any more when the answer comes.
  std::unordered_map<std::uint64_t, abi::Owner> connecting_;  // by the socket's id
};

}  // namespace tcpwhy::core
