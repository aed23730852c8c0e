// SPDX-License-Identifier: GPL-2.0-only
// The table of connections: by id, by addresses, and by who else speaks between the same two hosts. Bounded; whatever is
// asked, the answer takes a handful of steps, however many connections there are.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "user/core/bounded_table.h"
#include "user/core/connection.h"
#include "user/core/pair_key.h"

namespace tcpwhy::core {

class Connections {
 public:
  // How long a closed connection is remembered, as far as there is room: late resets and its other end still ask for it.
  static constexpr auto kRememberClosed = std::chrono::seconds{15};
  // Of one connection in a storm: the entry, its owner, its place among the pairs.
  static constexpr std::size_t kBytesEach = 1600;

  // on_gone: called with each connection that is about to leave the table; forgotten: it was open, and had to make room.
  using OnGone = std::function<void(const Connection&, bool forgotten)>;
  Connections(std::size_t most, OnGone on_gone);

  [[nodiscard]] Connection* find(abi::SocketId key) { return table_.find(static_cast<std::uint64_t>(key)); }
  [[nodiscard]] const Connection* find(abi::SocketId key) const { return table_.find(static_cast<std::uint64_t>(key)); }
  // The newest with these addresses, seen from this end.
  [[nodiscard]] Connection* at(const abi::Tuple& tuple);
  // See Facts::peer_of(), Facts::talking_sibling().
  [[nodiscard]] const Connection* peer_of(const Connection& connection) const;
  [[nodiscard]] const Connection* talking_sibling(const Connection& connection, util::BootTime now) const;

  // A new one; key none: it gets one of our own. source: whom it counts for where room is short. References to others
  // are void afterwards.
  Connection& make(abi::SocketId key, const abi::Tuple& tuple, util::BootTime now, std::uint64_t source);
  // Most recently used from here on; one that ended stays first to go.
  void use(const Connection& connection, util::BootTime now) {
    table_.use(static_cast<std::uint64_t>(connection.key), now);
    if (connection.ending) table_.retire(static_cast<std::uint64_t>(connection.key));
  }
  void move(Connection& connection, const abi::Tuple& to);
  // One that was known by its addresses only (a refused segment, an RST without a socket) gets its id; null where there is
  // none of these addresses. References to others are void afterwards.
  Connection* adopt(abi::SocketId id, const abi::Tuple& tuple, util::BootTime now);
  // Both ends of this connection spoke: it may be asked for as a sibling.
  void note_talking(const Connection& connection);
  // It ended: first to go where room is short. May erase others that ended.
  void close(const Connection& connection, util::BootTime now);
  // Those that ended too long ago.
  void forget_closed(util::BootTime now);

  void pin(abi::SocketId key) { table_.pin(static_cast<std::uint64_t>(key)); }
  void unpin(abi::SocketId key) { table_.unpin(static_cast<std::uint64_t>(key)); }

  [[nodiscard]] std::size_t size() const { return table_.size(); }
  [[nodiscard]] std::uint64_t total() const { return next_number_ - 1; }
  // Open connections that had to go to make room; and what of closed ones was remembered less long than kRememberClosed.
  [[nodiscard]] std::uint64_t evicted() const { return evicted_open_; }
  [[nodiscard]] std::uint64_t evicted_closed() const { return evicted_closed_; }
  [[nodiscard]] bool forgot(util::BootTime since) const { return table_.forgot(since); }

 private:
  using Table = BoundedTable<std::uint64_t, Connection>;
  // Local endpoint, remote address, namespace.
  using SiblingKey = std::pair<std::pair<util::Endpoint, util::Address>, std::uint32_t>;

  void erase(abi::SocketId key);
  void leave(const Connection& connection, bool forgotten = false);
  void drop_talking(const Connection& connection);
  void add_pair(const abi::Tuple& tuple, abi::SocketId key);
  void drop_pair(const abi::Tuple& tuple, abi::SocketId key);
  static SiblingKey sibling_key(const Connection& c) { return {{c.tuple.local, c.tuple.remote.addr}, c.tuple.netns}; }

  Table table_;
  OnGone on_gone_;
  std::unordered_map<PairKey, std::vector<abi::SocketId>, PairHash> pairs_;
  std::unordered_map<SiblingKey, std::vector<abi::SocketId>, util::SeededHash> talking_;
  std::vector<std::pair<util::BootTime, abi::SocketId>> closed_;  // in the order of their ends, from closed_from_ on
  std::size_t closed_from_ = 0;
  std::uint64_t next_number_ = 1;
  std::uint64_t next_key_ = kOwnKeys;
  std::uint64_t evicted_open_ = 0;
  std::uint64_t evicted_closed_ = 0;

  // Keys of connections without a cookie: cookies count from 1 and never get here.
  static constexpr std::uint64_t kOwnKeys = 1ULL << 63;
};

}  // namespace tcpwhy::core
