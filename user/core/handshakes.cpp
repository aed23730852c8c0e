// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/handshakes.h"

namespace tcpwhy::core {
namespace {

using abi::TcpState;

std::uint64_t key_of(std::uint32_t client, std::uint32_t server) { return std::uint64_t{client} << 32 | server; }

bool connected(TcpState from, TcpState to) { return from == TcpState::syn_sent && to == TcpState::established; }

}  // namespace

void Handshakes::pass(abi::Event& event) {
  if (auto* synack = std::get_if<abi::SynAckRetransmit>(&event.body)) {
    complete(*synack, event.host);
  } else if (const auto* transition = std::get_if<abi::Transition>(&event.body)) {
    on(*transition, event.host, event.time);
  } else if (const auto* change = std::get_if<abi::StateChange>(&event.body)) {
    const abi::Socket& s = change->socket;
    if (connected(change->from, change->to) && s.full)
      remember(s.snd_una, s.rcv_nxt, {event.host, s.id, s.tuple, change->owner, event.time});
  }
}

void Handshakes::on(const abi::Transition& e, std::uint32_t host, util::BootTime time) {
  const auto id = static_cast<std::uint64_t>(e.id);
  if (e.to == TcpState::syn_sent && e.pid != 0 && connecting_.size() < most_)
    connecting_[id] = {abi::OwnerSource::connect, e.pid, e.comm, {}, false, 0, e.host};
  if (e.from != TcpState::syn_sent) return;
  abi::Owner owner;
  if (auto known = connecting_.extract(id)) owner = std::move(known.mapped());
  if (e.to == TcpState::established) remember(e.snd_una, e.rcv_nxt, {host, e.id, e.tuple, owner, time});
}

void Handshakes::remember(std::uint32_t client, std::uint32_t server, Client who) {
  const std::uint64_t key = key_of(client, server);
  if (!clients_.insert_or_assign(key, std::move(who)).second) return;
  order_.push_back(key);
  if (order_.size() <= most_) return;
  clients_.erase(order_.front());
  order_.pop_front();
}

void Handshakes::complete(abi::SynAckRetransmit& synack, std::uint32_t host) const {
  if (synack.client != abi::SocketId::none) return;
  const auto it = clients_.find(key_of(synack.client_isn + 1, synack.server_isn + 1));
  if (it == clients_.end()) return;
  const Client& client = it->second;
  // Addresses that were translated on the way are another connection to the facts.
  if (client.host == host || client.tuple.local != synack.tuple.remote || client.tuple.remote != synack.tuple.local)
    return;
  synack.client = client.id;
  synack.client_established = client.established;
  synack.client_owner = client.owner;
  synack.client_netns = client.tuple.netns;
}

}  // namespace tcpwhy::core
