// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/sightings.h"

#include "user/core/connection.h"

namespace tcpwhy::core {
namespace {

using abi::TcpState;

bool near(std::uint32_t a, std::uint32_t b) { return a - b + 1 <= 2; }

bool agree(std::optional<std::uint32_t> sent, std::optional<std::uint32_t> received) {
  return !sent || !received || near(*sent, *received);
}

// What an event shows of the end that it happened to.
struct Shown {
  abi::Tuple tuple;
  TcpState from = TcpState::unknown;
  TcpState state = TcpState::unknown;
  FirstBytes first;
  std::optional<std::uint32_t> received;
};

Shown of_socket(const abi::Socket& s, TcpState from, TcpState to) {
  Shown shown{s.tuple, from, to, first_bytes(s), std::nullopt};
  if (s.full && s.state != TcpState::syn_sent) shown.received = s.rcv_nxt;
  return shown;
}

struct ShownBy {
  std::optional<Shown> operator()(const abi::Transition& e) const {
    Shown shown{e.tuple, e.from, e.to, {}, std::nullopt};
    const bool handshake = e.to == TcpState::established;
    if (handshake) shown.first = {e.snd_una, e.rcv_nxt};
    if (e.to != TcpState::syn_sent && e.from != TcpState::syn_sent) shown.received = e.rcv_nxt;
    if (handshake) shown.received = e.rcv_nxt;
    return shown;
  }
  std::optional<Shown> operator()(const abi::StateChange& e) const {
    if (e.from == TcpState::listen || e.to == TcpState::listen) return std::nullopt;
    return of_socket(e.socket, e.from, e.to);
  }
  std::optional<Shown> operator()(const abi::SynAckRetransmit& e) const {
    return Shown{
        e.tuple, TcpState::unknown, TcpState::new_syn_recv, {e.server_isn + 1, e.client_isn + 1}, std::nullopt};
  }
  std::optional<Shown> operator()(const abi::Seed& e) const { return of(e.socket); }
  std::optional<Shown> operator()(const abi::Sample& e) const { return of(e.socket); }
  std::optional<Shown> operator()(const abi::Retransmit& e) const { return of(e.socket); }
  std::optional<Shown> operator()(const abi::ResetReceived& e) const { return of(e.socket); }
  template <typename Other>
  std::optional<Shown> operator()(const Other&) const {
    return std::nullopt;
  }

 private:
  static std::optional<Shown> of(const abi::Socket& s) {
    if (s.state == TcpState::listen || s.listener) return std::nullopt;
    return of_socket(s, TcpState::unknown, s.state);
  }
};

}  // namespace

FirstBytes first_bytes(const abi::Socket& s) {
  if (!s.full || s.listener || s.state == TcpState::listen) return {};
  FirstBytes first;
  // A client's bytes_acked counts its SYN.
  first.sent = s.snd_una - static_cast<std::uint32_t>(s.bytes_acked) + (s.accepted ? 0 : 1);
  if (s.state != TcpState::syn_sent && s.rcv_nxt != 0)
    first.received = s.rcv_nxt - static_cast<std::uint32_t>(s.bytes_received);
  return first;
}

bool may_be_ends(const FirstBytes& a, const FirstBytes& b) {
  return agree(a.sent, b.received) && agree(b.sent, a.received);
}

Sighting& Sightings::at(std::uint32_t host, const abi::Tuple& tuple, bool begins) {
  const PairKey key = PairKey::of(tuple);
  const auto [first, last] = ends_.equal_range(key);
  for (auto it = first; it != last; ++it) {
    const Sighting& known = *it->second;
    if (known.host != host || known.tuple != tuple) continue;
    ages_.splice(ages_.end(), ages_, it->second);
    // The same addresses again.
    if (begins && known.closed) *it->second = {};
    return *it->second;
  }
  if (ages_.size() >= most_) {
    const auto [from, to] = ends_.equal_range(PairKey::of(ages_.front().tuple));
    for (auto it = from; it != to; ++it) {
      if (it->second != ages_.begin()) continue;
      ends_.erase(it);
      break;
    }
    ages_.pop_front();
  }
  const auto added = ages_.insert(ages_.end(), Sighting{});
  ends_.emplace(key, added);
  return *added;
}

void Sightings::on(const abi::Event& event) {
  const std::optional<Shown> shown = std::visit(ShownBy{}, event.body);
  if (!shown || shown->tuple.local.port == 0 || shown->tuple.remote.port == 0) return;
  const bool begins = shown->state == TcpState::syn_sent || shown->state == TcpState::new_syn_recv ||
                      (shown->from == TcpState::syn_recv && shown->state == TcpState::established);
  Sighting& s = at(event.host, shown->tuple, begins);
  s.host = event.host;
  s.tuple = shown->tuple;
  s.time = event.time;
  if (shown->state != TcpState::unknown) s.state = shown->state;
  if (shown->from != TcpState::unknown && s.state == TcpState::established) s.established = event.time;
  if (s.state == TcpState::close && !s.closed) s.closed = event.time;
  if (shown->first.sent && !s.first.sent) s.first.sent = shown->first.sent;
  if (shown->first.received && !s.first.received) s.first.received = shown->first.received;
  if (shown->received) s.received = shown->received, s.received_at = event.time;
}

const Sighting* Sightings::other_end(const Connection& c) const {
  if (c.tuple.local.addr.is_loopback()) return nullptr;
  const Sighting* best = nullptr;
  const auto [first, last] = ends_.equal_range(PairKey::of(c.tuple));
  for (auto it = first; it != last; ++it) {
    const Sighting& s = *it->second;
    if (s.host == c.host || s.tuple.local != c.tuple.remote || s.tuple.remote != c.tuple.local) continue;
    if (!may_be_ends({c.first_sent, c.first_received}, s.first)) continue;
    if (!best || s.time > best->time) best = &s;
  }
  return best;
}

}  // namespace tcpwhy::core
