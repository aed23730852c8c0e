// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/clock_offset.h"

#include <algorithm>
#include <chrono>

#include "user/core/host.h"

namespace tcpwhy::core {
namespace {

using abi::TcpState;
using namespace std::chrono_literals;

// Without sequence numbers to compare, the same addresses are the same connection within this.
constexpr auto kSameTime = 1min;

// Of one pair: what was sent there and received here bounds the difference from one side, the way back from the other.
struct Bounds {
  std::optional<util::Duration> most;
  std::optional<util::Duration> least;
  void there(const auto& sent, const auto& received) {
    if (!sent || !received) return;
    const util::Duration d = *received - *sent;
    most = most ? std::min(*most, d) : d;
  }
  void back(const auto& sent, const auto& received) {
    if (!sent || !received) return;
    const util::Duration d = *sent - *received;
    least = least ? std::max(*least, d) : d;
  }
};

util::Duration magnitude(util::Duration d) { return d < util::Duration{} ? -d : d; }

// Of ten thousand the nine thousandth.
util::Duration nine_of_ten(std::vector<util::Duration> sorted) { return sorted[(sorted.size() * 9 + 9) / 10 - 1]; }

}  // namespace

struct ClockOffsets::SeenBy {
  std::optional<Seen> operator()(const abi::Transition& e) const {
    Seen seen{e.id, e.tuple, {}, e.from, e.to, std::nullopt, e.total_retrans > 0};
    if (e.to == TcpState::established) seen.first = {e.snd_una, e.rcv_nxt};
    return seen;
  }
  std::optional<Seen> operator()(const abi::StateChange& e) const {
    if (e.from == TcpState::listen || e.to == TcpState::listen) return std::nullopt;
    return of(e.socket, e.from, e.to);
  }
  template <typename Other>
  std::optional<Seen> operator()(const Other& e) const {
    if constexpr (std::is_same_v<Other, abi::ResetSent> || std::is_same_v<Other, abi::ResetReceived>) {
      if (!e.socket.full || e.socket.state == TcpState::listen) return std::nullopt;
      return of(e.socket, TcpState::unknown, TcpState::unknown);
    } else {
      return std::nullopt;
    }
  }

 private:
  static Seen of(const abi::Socket& s, TcpState from, TcpState to) {
    Seen seen{s.id, s.tuple, first_bytes(s), from, to, std::nullopt, s.total_retrans > 0};
    if (s.full && s.srtt > 0ns) seen.srtt = s.srtt;
    return seen;
  }
};

ClockOffsets::End* ClockOffsets::end_of(std::uint32_t host, const Seen& seen) {
  const bool begins = seen.to == TcpState::syn_sent;
  const auto id = static_cast<std::uint64_t>(tag_socket(seen.id, host));
  const auto known = id ? by_id_.find(id) : by_id_.end();
  if (known != by_id_.end() && !begins) return known->second;
  if (seen.id == abi::SocketId::none || seen.tuple.local.addr.is_loopback()) return nullptr;
  std::size_t& count = count_[host];
  if (count >= most_) return nullptr;
  count += 1;
  End& end = ends_.emplace_back();
  end.host = host;
  by_id_.insert_or_assign(id, &end);
  return &end;
}

void ClockOffsets::stamp(End& end, const Seen& seen, Wall at) {
  const auto first = [&at](std::optional<Wall>& when) {
    if (!when) when = at;
  };
  if (seen.to == TcpState::syn_sent) first(end.syn_sent);
  if (seen.from == TcpState::syn_sent && seen.to == TcpState::established) {
    first(end.client_established);
    if (end.syn_sent && !seen.retransmitted) end.half_round_trip = (at - *end.syn_sent) / 2;
  }
  if (seen.from == TcpState::syn_recv && seen.to == TcpState::established) first(end.server_established);
  if (seen.to == TcpState::fin_wait1 || seen.to == TcpState::last_ack) first(end.fin_sent);
  if (seen.to == TcpState::close_wait || seen.to == TcpState::closing) first(end.fin_received);
  if (!end.half_round_trip && seen.srtt) end.half_round_trip = *seen.srtt / 2;
}

void ClockOffsets::on(std::uint32_t host, const abi::Event& event, const util::WallClock& wall) {
  const std::optional<Seen> seen = std::visit(SeenBy{}, event.body);
  if (!seen) return;
  End* end = end_of(host, *seen);
  if (!end) return;
  const Wall at = event.time.time_since_epoch() + Wall{wall.at_start().nanoseconds};
  end->last = at;
  stamp(*end, *seen, at);
  if (std::holds_alternative<abi::ResetSent>(event.body) && !end->rst_sent) end->rst_sent = at;
  if (std::holds_alternative<abi::ResetReceived>(event.body) && !end->rst_received) end->rst_received = at;
  if (!end->first.sent) end->first.sent = seen->first.sent;
  if (!end->first.received) end->first.received = seen->first.received;
  // A connect gets its port late.
  if (end->tuple.local.port == 0 && seen->tuple.local.port != 0 && seen->tuple.remote.port != 0) {
    end->tuple = seen->tuple;
    by_pair_.emplace(PairKey::of(end->tuple), end);
  }
}

bool ClockOffsets::pair(const End& a, const End& b) {
  if (a.tuple.local != b.tuple.remote || a.tuple.remote != b.tuple.local) return false;
  const bool comparable = (a.first.sent && b.first.received) || (a.first.received && b.first.sent);
  return comparable ? may_be_ends(a.first, b.first) : magnitude(a.last - b.last) <= kSameTime;
}

std::optional<util::Duration> ClockOffsets::ahead_of(const End& a, const End& b) {
  const util::Duration half = a.half_round_trip.value_or(b.half_round_trip.value_or(util::Duration{}));
  // The server becomes ESTABLISHED with the ACK that its client sends in the moment in which it does.
  if (a.client_established && b.server_established) return *b.server_established - *a.client_established - half;
  if (b.client_established && a.server_established) return *b.client_established - *a.server_established + half;
  Bounds bounds;
  bounds.there(a.fin_sent, b.fin_received);
  bounds.there(a.rst_sent, b.rst_received);
  bounds.back(b.fin_sent, a.fin_received);
  bounds.back(b.rst_sent, a.rst_received);
  if (bounds.most && bounds.least) return *bounds.least + (*bounds.most - *bounds.least) / 2;
  if (bounds.most) return *bounds.most - half;
  if (bounds.least) return *bounds.least + half;
  return std::nullopt;
}

std::optional<ClockOffset> ClockOffsets::between(std::uint32_t first, std::uint32_t second) const {
  std::vector<util::Duration> values;
  for (const auto& [key, a] : by_pair_) {
    if (a->host != first) continue;
    const auto [from, to] = by_pair_.equal_range(key);
    for (auto it = from; it != to; ++it) {
      if (it->second->host != second || !pair(*a, *it->second)) continue;
      if (const auto value = ahead_of(*a, *it->second)) values.push_back(*value);
    }
  }
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  ClockOffset offset{values[values.size() / 2], {}, values.size()};
  for (util::Duration& value : values) value = magnitude(value - offset.ahead);
  std::sort(values.begin(), values.end());
  offset.give_or_take = nine_of_ten(std::move(values));
  return offset;
}

std::vector<std::optional<ClockOffset>> ClockOffsets::over_first(std::uint32_t hosts) const {
  std::vector<std::optional<ClockOffset>> found(hosts);
  found.at(0) = ClockOffset{};
  // From host to host, as connections lead.
  for (bool more = true; more;) {
    more = false;
    for (std::uint32_t host = 1; host < hosts; ++host) {
      for (std::uint32_t via = 0; via < hosts && !found[host]; ++via) {
        const auto step = found[via] ? between(via, host) : std::nullopt;
        if (!step) continue;
        found[host] =
            ClockOffset{found[via]->ahead + step->ahead, found[via]->give_or_take + step->give_or_take, step->pairs};
        more = true;
      }
    }
  }
  return found;
}

}  // namespace tcpwhy::core
