// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/connections.h"

#include <algorithm>

#include "user/core/sightings.h"

namespace tcpwhy::core {
namespace {

using namespace std::chrono_literals;

// What is left of a storm of short connections: some thousands of the newest.
constexpr std::size_t kMostClosed = 4096;
// Of the same two endpoints: ports are used again, also in a hurry.
constexpr std::size_t kMostOfAPair = 8;
constexpr std::size_t kMostTalking = 16;
constexpr auto kTalksLately = 3s;

bool is_open(const Connection& c) { return !c.ending; }

// Both ends said something: a SYN or a FIN counts one.
bool both_spoke(const Connection& c) {
  return c.socket.full && c.socket.bytes_received > 1 && c.socket.bytes_acked > 1;
}

}  // namespace

Connections::Connections(std::size_t most, OnGone on_gone)
    : table_(most, std::min(kMostClosed, std::max<std::size_t>(1, most))), on_gone_(std::move(on_gone)) {
  table_.on_evict([this](std::uint64_t, Connection& c) {
    (c.ending ? evicted_closed_ : evicted_open_) += 1;
    leave(c, !c.ending);
  });
}

Connection* Connections::at(const abi::Tuple& tuple) {
  const auto pair = pairs_.find(PairKey::of(tuple));
  if (pair == pairs_.end()) return nullptr;
  Connection* best = nullptr;
  for (const abi::SocketId key : pair->second) {
    Connection* c = find(key);
    if (!c || c->tuple.local != tuple.local || c->tuple.remote != tuple.remote) continue;
    if (tuple.netns && c->tuple.netns && tuple.netns != c->tuple.netns) continue;
    if (!best || c->number > best->number) best = c;
  }
  return best;
}

const Connection* Connections::peer_of(const Connection& connection) const {
  const auto pair = pairs_.find(PairKey::of(connection.tuple));
  if (pair == pairs_.end()) return nullptr;
  const Connection* best = nullptr;
  for (const abi::SocketId key : pair->second) {
    const Connection* c = find(key);
    if (!c || c->tuple.local != connection.tuple.remote || c->tuple.remote != connection.tuple.local) continue;
    if (c->number == connection.number) continue;
    // A loopback connection has both ends in one namespace.
    if (connection.tuple.local.addr.is_loopback() && c->tuple.netns != connection.tuple.netns) continue;
    if (c->ending && c->ending->time + kRememberClosed < connection.first_seen) continue;
    // Private addresses are there on many hosts.
    const bool same_host = c->host == connection.host;
    if (!same_host &&
        !may_be_ends({c->first_sent, c->first_received}, {connection.first_sent, connection.first_received}))
      continue;
    const bool best_here = best && best->host == connection.host;
    if (best && best_here != same_host) {
      if (same_host) best = c;
      continue;
    }
    if (!best || (is_open(*c) && !is_open(*best)) || (is_open(*c) == is_open(*best) && c->number > best->number))
      best = c;
  }
  return best;
}

const Connection* Connections::talking_sibling(const Connection& c, util::BootTime now) const {
  const auto talking = talking_.find(sibling_key(c));
  if (talking == talking_.end()) return nullptr;
  const util::BootTime end = c.ending ? c.ending->time : now;
  for (const abi::SocketId key : talking->second) {
    const Connection* other = find(key);
    if (!other || key == c.key) continue;
    const abi::Socket& s = other->socket;
    const bool was_open = !other->ending || other->ending->time >= end;
    if (!was_open || !both_spoke(*other) || now - other->socket_time > kTalksLately) continue;
    if (s.sent_age.value_or(1h) < kTalksLately && s.received_age.value_or(1h) < kTalksLately) return other;
  }
  return nullptr;
}

void Connections::note_talking(const Connection& c) {
  if (c.ending || !both_spoke(c)) return;
  std::vector<abi::SocketId>& keys = talking_[sibling_key(c)];
  const auto known = std::find(keys.begin(), keys.end(), c.key);
  if (known != keys.end()) keys.erase(known);
  // The longest silent one goes.
  if (keys.size() >= kMostTalking) keys.erase(keys.begin());
  keys.push_back(c.key);
}

Connection& Connections::make(abi::SocketId key, const abi::Tuple& tuple, util::BootTime now, std::uint64_t source) {
  if (key == abi::SocketId::none) key = abi::SocketId{next_key_++};
  Connection& c = table_.use(static_cast<std::uint64_t>(key), now, source).value;
  c.key = key;
  c.number = next_number_++;
  c.tuple = tuple;
  c.first_seen = now;
  add_pair(tuple, key);
  return c;
}

void Connections::add_pair(const abi::Tuple& tuple, abi::SocketId key) {
  const PairKey pair = PairKey::of(tuple);
  std::vector<abi::SocketId>& keys = pairs_[pair];
  keys.push_back(key);
  if (keys.size() <= kMostOfAPair) return;
  const auto over = std::find_if(keys.begin(), keys.end(), [&](abi::SocketId k) {
    const Connection* c = find(k);
    return !c || c->ending;
  });
  if (over == keys.end()) return;
  const abi::SocketId gone = *over;
  if (find(gone))
    evicted_closed_ += 1, erase(gone);
  else
    keys.erase(over);
}

void Connections::drop_pair(const abi::Tuple& tuple, abi::SocketId key) {
  const auto pair = pairs_.find(PairKey::of(tuple));
  if (pair == pairs_.end()) return;
  std::erase(pair->second, key);
  if (pair->second.empty()) pairs_.erase(pair);
}

void Connections::move(Connection& c, const abi::Tuple& to) {
  drop_pair(c.tuple, c.key);
  drop_talking(c);
  c.tuple = to;
  add_pair(to, c.key);
}

void Connections::drop_talking(const Connection& c) {
  const auto talking = talking_.find(sibling_key(c));
  if (talking == talking_.end()) return;
  std::erase(talking->second, c.key);
  if (talking->second.empty()) talking_.erase(talking);
}

// What else refers to it forgets it.
void Connections::leave(const Connection& c, bool forgotten) {
  drop_pair(c.tuple, c.key);
  drop_talking(c);
  on_gone_(c, forgotten);
}

void Connections::erase(abi::SocketId key) {
  if (const Connection* c = find(key)) {
    leave(*c);
    table_.erase(static_cast<std::uint64_t>(key));
  }
}

Connection* Connections::adopt(abi::SocketId id, const abi::Tuple& tuple, util::BootTime now) {
  Connection* known = at(tuple);
  if (!known || static_cast<std::uint64_t>(known->key) < kOwnKeys || known->ending) return nullptr;
  Connection adopted = *known;
  leave(*known);
  table_.erase(static_cast<std::uint64_t>(known->key));
  adopted.key = id;
  Connection& c = table_.use(static_cast<std::uint64_t>(id), now).value;
  c = std::move(adopted);
  add_pair(c.tuple, id);
  return &c;
}

void Connections::close(const Connection& c, util::BootTime now) {
  closed_.emplace_back(now, c.key);
  table_.retire(static_cast<std::uint64_t>(c.key));
}

void Connections::forget_closed(util::BootTime now) {
  for (; closed_from_ < closed_.size(); ++closed_from_) {
    const Connection* c = find(closed_[closed_from_].second);
    if (c && now - closed_[closed_from_].first <= kRememberClosed) break;
    // The same socket may have connected again since.
    if (c && c->ending && now - c->ending->time > kRememberClosed) erase(c->key);
  }
  if (closed_from_ < closed_.size() / 2) return;
  closed_.erase(closed_.begin(), closed_.begin() + static_cast<std::ptrdiff_t>(closed_from_));
  closed_.shrink_to_fit();
  closed_from_ = 0;
}

}  // namespace tcpwhy::core
