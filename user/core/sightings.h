// SPDX-License-Identifier: GPL-2.0-only
// Where several hosts' recordings are read together: what each told last of its end of a connection, ordinary life too. No
// verdict rests on it; it says of a trouble at one end what the other host saw of it.
#pragma once

#include <list>
#include <optional>
#include <unordered_map>

#include "user/abi/event.h"
#include "user/core/pair_key.h"

namespace tcpwhy::core {

struct Connection;

// The sequence numbers after the two SYNs, as this socket tells them: what it received to the byte, what it sent to within
// one. Absent where it has none yet.
struct FirstBytes {
  std::optional<std::uint32_t> sent;
  std::optional<std::uint32_t> received;
};
FirstBytes first_bytes(const abi::Socket& socket);
// Whether these may be the two ends of one connection: what neither contradicts.
bool may_be_ends(const FirstBytes& a, const FirstBytes& b);

struct Sighting {
  std::uint32_t host = 0;
  abi::Tuple tuple;
  abi::TcpState state = abi::TcpState::unknown;
  util::BootTime time{};                      // when the host told of it last
  std::optional<util::BootTime> established;  // when it became so, where that was seen
  std::optional<util::BootTime> closed;
  FirstBytes first;
  std::optional<std::uint32_t> received;  // rcv_nxt, as of received_at
  util::BootTime received_at{};
};

class Sightings {
 public:
  explicit Sightings(std::size_t most = 1'000'000) : most_(most) {}
  void on(const abi::Event& event);
  // Of the other end, on another host; null where none was told of.
  [[nodiscard]] const Sighting* other_end(const Connection& connection) const;

 private:
  Sighting& at(std::uint32_t host, const abi::Tuple& tuple, bool begins);

  std::size_t most_;
  std::list<Sighting> ages_;  // the newest last
  std::unordered_multimap<PairKey, std::list<Sighting>::iterator, PairHash> ends_;
};

}  // namespace tcpwhy::core
