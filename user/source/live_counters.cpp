// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/live_counters.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "user/host/mib.h"

namespace tcpwhy::source {
namespace {

constexpr std::size_t kMostNamespaces = 1024;
constexpr std::uint8_t kListen = 10;  // TCP_LISTEN

}  // namespace

void NamespaceCounters::note_listener(std::span<const std::byte> record, std::uint16_t kind) {
  const auto note = [this](const auto& r) {
    const bool is_new = r.socket.state == kListen && r.owner.pid != 0 && netns_.size() < kMostNamespaces &&
                        netns_.insert(r.socket.tuple.netns).second;
    if (is_new) want(r.owner.pid);
  };
  if (kind == TW_KIND_SEED && record.size() >= sizeof(tw_seed)) {
    tw_seed seed;
    std::memcpy(&seed, record.data(), sizeof(seed));
    note(seed);
  } else if (kind == TW_KIND_STATE && record.size() >= sizeof(tw_state)) {
    tw_state state;
    std::memcpy(&state, record.data(), sizeof(state));
    if (state.to == kListen) state.socket.state = kListen;
    note(state);
  }
}

void NamespaceCounters::read(const std::function<void(tw_mib&)>& on_counters) {
  std::set<std::uint32_t> done;
  for (const std::uint32_t pid : std::exchange(pids_, {})) {
    const std::uint32_t netns = host::read_netns(pid);
    if (netns == 0 || !done.insert(netns).second) continue;
    const auto mib = host::read_mib(pid);
    if (!mib) continue;
    tw_mib record{};
    record.netns = mib->netns;
    std::copy(mib->values.begin(), mib->values.end(), std::begin(record.values));
    on_counters(record);
  }
}

}  // namespace tcpwhy::source
