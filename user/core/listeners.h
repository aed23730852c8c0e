// SPDX-License-Identifier: GPL-2.0-only
// The table of listeners, those that ended included: by id, and by the endpoint that a segment is for. Bounded.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "user/core/bounded_table.h"
#include "user/core/connection.h"

namespace tcpwhy::core {

// The addresses of a host's sockets, by namespace: whether an address is one of this host.
class LocalAddresses {
 public:
  LocalAddresses();
  void note(const util::Address& address, std::uint32_t netns, util::BootTime now);
  // netns 0: in any namespace.
  [[nodiscard]] bool has(const util::Address& address, std::uint32_t netns) const;
  // The namespaces that have it, a few of them at most.
  [[nodiscard]] std::vector<std::uint32_t> namespaces_of(const util::Address& address) const;
  [[nodiscard]] std::uint64_t evicted() const { return table_.evicted(); }

 private:
  struct Nothing {};
  using Place = std::pair<util::Address, std::uint32_t>;
  BoundedTable<Place, Nothing> table_;
  std::set<Place> sorted_;  // the same
};

class Listeners {
 public:
  explicit Listeners(std::size_t most);

  [[nodiscard]] Listener* find(abi::SocketId id) { return table_.find(static_cast<std::uint64_t>(id)); }
  [[nodiscard]] const Listener* find(abi::SocketId id) const { return table_.find(static_cast<std::uint64_t>(id)); }
  // Finds or makes the listener with this id; it listens from here on. References to others are void afterwards.
  Listener& listen(abi::SocketId id, const abi::Tuple& tuple, std::uint32_t host, util::BootTime now,
                   std::uint64_t source);
  void end(Listener& listener, util::BootTime now);

  // See Facts::listener_at(), Facts::gone_listener_at().
  [[nodiscard]] const Listener* at(const util::Endpoint& endpoint, std::uint32_t netns,
                                   const LocalAddresses& local) const;
  [[nodiscard]] const Listener* gone_at(const util::Endpoint& endpoint, std::uint32_t netns) const;

  void pin(abi::SocketId id) { table_.pin(static_cast<std::uint64_t>(id)); }
  void unpin(abi::SocketId id) { table_.unpin(static_cast<std::uint64_t>(id)); }

  [[nodiscard]] std::size_t size() const { return table_.size(); }
  // In the order in which they were first seen.
  template <typename Visit>
  void for_each(Visit visit) const {
    table_.for_each([&](std::uint64_t, const Listener& l) { visit(l); });
  }
  [[nodiscard]] std::uint64_t evicted() const { return table_.evicted(); }
  [[nodiscard]] bool forgot(util::BootTime since) const { return table_.forgot(since); }

 private:
  // Port, address, namespace.
  using Place = std::tuple<std::uint16_t, util::Address, std::uint32_t>;
  static Place place_of(const Listener& l) { return {l.tuple.local.port, l.tuple.local.addr, l.tuple.netns}; }
  void leave(const Listener& l);
  [[nodiscard]] const Listener* first_at(const Place& place) const;
  [[nodiscard]] const Listener* first_in_any(std::uint16_t port, const util::Address& address) const;
  [[nodiscard]] const Listener* elsewhere(const util::Endpoint& endpoint, std::uint32_t netns,
                                          const LocalAddresses& local) const;

  BoundedTable<std::uint64_t, Listener> table_;
  std::map<Place, std::vector<abi::SocketId>> listening_;    // several with SO_REUSEPORT
  std::map<std::uint16_t, std::deque<abi::SocketId>> gone_;  // by port, the last to end last
};

}  // namespace tcpwhy::core
