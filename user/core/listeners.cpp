// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/listeners.h"

#include <algorithm>
#include <array>

#include "user/core/host.h"

namespace tcpwhy::core {
namespace {

constexpr std::size_t kMostAddresses = 65536;
constexpr std::size_t kMostGone = 4096;
constexpr std::size_t kMostGoneOfAPort = 64;
// Of namespaces that have an address, or a listener at it, when any of them will do.
constexpr std::size_t kMostPlaces = 64;

constexpr util::Address kAnyV6{};
constexpr util::Address kAnyV4{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}};
constexpr std::array kAny{kAnyV4, kAnyV6};

const Listener* earlier(const Listener* a, const Listener* b) {
  if (!a || !b) return a ? a : b;
  return b->first_seen < a->first_seen ? b : a;
}

}  // namespace

LocalAddresses::LocalAddresses() : table_(kMostAddresses) {
  table_.on_evict([this](const Place& place, Nothing&) { sorted_.erase(place); });
}

void LocalAddresses::note(const util::Address& address, std::uint32_t netns, util::BootTime now) {
  if (address.is_unspecified() || address.is_loopback()) return;
  const Place place{address, netns};
  if (table_.use(place, now).is_new) sorted_.insert(place);
}

bool LocalAddresses::has(const util::Address& address, std::uint32_t netns) const {
  if (address.is_loopback() || (netns && table_.contains({address, netns}))) return true;
  const auto first = sorted_.lower_bound({address, 0});
  return !netns && first != sorted_.end() && first->first == address;
}

std::vector<std::uint32_t> LocalAddresses::namespaces_of(const util::Address& address) const {
  std::vector<std::uint32_t> result;
  for (auto it = sorted_.lower_bound({address, 0}); it != sorted_.end() && it->first == address; ++it) {
    result.push_back(it->second);
    if (result.size() == kMostPlaces) break;
  }
  return result;
}

Listeners::Listeners(std::size_t most) : table_(most, kMostGone) {
  table_.on_evict([this](std::uint64_t, Listener& l) { leave(l); });
}

void Listeners::leave(const Listener& l) {
  if (const auto here = listening_.find(place_of(l)); here != listening_.end()) {
    std::erase(here->second, l.id);
    if (here->second.empty()) listening_.erase(here);
  }
  if (const auto port = gone_.find(l.tuple.local.port); port != gone_.end()) {
    std::erase(port->second, l.id);
    if (port->second.empty()) gone_.erase(port);
  }
}

Listener& Listeners::listen(abi::SocketId id, const abi::Tuple& tuple, std::uint32_t host, util::BootTime now,
                            std::uint64_t source) {
  const auto [l, is_new] = table_.use(static_cast<std::uint64_t>(id), now, source);
  if (!is_new && !l.ended && l.tuple.local == tuple.local && l.tuple.netns == tuple.netns) return l;
  if (is_new) {
    l.id = id;
    l.host = host;
    l.first_seen = now;
  } else {
    leave(l);
  }
  l.tuple = tuple;
  l.tuple.remote = {};
  l.ended.reset();
  listening_[place_of(l)].push_back(id);
  return l;
}

void Listeners::end(Listener& l, util::BootTime now) {
  leave(l);
  l.ended = now;
  std::deque<abi::SocketId>& gone = gone_[l.tuple.local.port];
  gone.push_back(l.id);
  if (gone.size() > kMostGoneOfAPort) gone.pop_front();
  table_.retire(static_cast<std::uint64_t>(l.id));
}

const Listener* Listeners::first_at(const Place& place) const {
  const auto here = listening_.find(place);
  return here == listening_.end() ? nullptr : find(here->second.front());
}

const Listener* Listeners::first_in_any(std::uint16_t port, const util::Address& address) const {
  const Listener* first = nullptr;
  std::size_t looked_at = 0;
  for (auto it = listening_.lower_bound({port, address, 0}); it != listening_.end(); ++it) {
    if (std::get<0>(it->first) != port || std::get<1>(it->first) != address || ++looked_at > kMostPlaces) break;
    first = earlier(first, find(it->second.front()));
  }
  return first;
}

// In another namespace of this host, else on another host; null where several would do: ambiguous addresses name nobody.
const Listener* Listeners::elsewhere(const util::Endpoint& endpoint, std::uint32_t netns,
                                     const LocalAddresses& local) const {
  const std::uint32_t host = host_of_netns(netns);
  std::vector<const Listener*> here, there;
  const auto add = [&](const std::vector<abi::SocketId>& ids) {
    for (const abi::SocketId id : ids) {
      const Listener* l = find(id);
      if (l && l->tuple.netns != netns) (l->host == host ? here : there).push_back(l);
      if (here.size() > 1) return;
    }
  };
  std::size_t looked_at = 0;
  for (auto it = listening_.lower_bound({endpoint.port, endpoint.addr, 0}); it != listening_.end(); ++it) {
    const auto& [port, address, in] = it->first;
    if (port != endpoint.port || address != endpoint.addr || ++looked_at > kMostPlaces) break;
    add(it->second);
  }
  for (const std::uint32_t in : local.namespaces_of(endpoint.addr))
    for (const util::Address& any : kAny)
      if (const auto it = listening_.find({endpoint.port, any, in}); it != listening_.end()) add(it->second);
  const std::vector<const Listener*>& nearest = here.empty() ? there : here;
  return nearest.size() == 1 ? nearest.front() : nullptr;
}

const Listener* Listeners::at(const util::Endpoint& endpoint, std::uint32_t netns, const LocalAddresses& local) const {
  const Listener* here =
      netns ? first_at({endpoint.port, endpoint.addr, netns}) : first_in_any(endpoint.port, endpoint.addr);
  if (here) return here;
  // A wildcard listens on addresses of its own host and namespace only.
  for (const util::Address& any : kAny) {
    if (netns && local.has(endpoint.addr, netns))
      here = earlier(here, first_at({endpoint.port, any, netns}));
    else if (!netns && endpoint.addr.is_loopback())
      here = earlier(here, first_in_any(endpoint.port, any));
    else if (!netns)
      for (const std::uint32_t in : local.namespaces_of(endpoint.addr))
        here = earlier(here, first_at({endpoint.port, any, in}));
  }
  if (here || !netns || endpoint.addr.is_loopback()) return here;
  return elsewhere(endpoint, netns, local);
}

const Listener* Listeners::gone_at(const util::Endpoint& endpoint, std::uint32_t netns) const {
  const auto port = gone_.find(endpoint.port);
  if (port == gone_.end()) return nullptr;
  const Listener* best = nullptr;
  for (const abi::SocketId id : port->second) {
    const Listener* l = find(id);
    if (!l || !l->ended || (l->tuple.local.addr != endpoint.addr && !l->tuple.local.addr.is_unspecified())) continue;
    if (netns && l->tuple.netns != netns && endpoint.addr.is_loopback()) continue;
    if (!best || *l->ended > *best->ended) best = l;
  }
  return best;
}

}  // namespace tcpwhy::core
