// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/live_wants.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "user/abi/decode.h"

namespace tcpwhy::source {
namespace {

constexpr util::Address kAnyV6{};
constexpr util::Address kAnyV4{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}};

std::vector<util::Address> spellings(const util::Address& address) {
  if (address == kAnyV4 || address == kAnyV6) return {kAnyV4, kAnyV6};
  return {address};
}

template <std::size_t N>
void copy_text(char (&to)[N], const std::string& from) {
  std::memcpy(to, from.data(), std::min(N - 1, from.size()));  // zeroed before
}

}  // namespace

std::vector<WantedKey> wanted_keys(const abi::Tuple& tuple) {
  std::vector<WantedKey> keys;
  const bool is_listener = tuple.remote.port == 0 && (tuple.remote.addr == kAnyV4 || tuple.remote.addr == kAnyV6);
  const std::vector<util::Address> remotes = is_listener ? std::vector{kAnyV4, kAnyV6} : std::vector{tuple.remote.addr};
  for (const util::Address& local : spellings(tuple.local.addr)) {
    for (const util::Address& remote : remotes) {
      WantedKey key;
      std::memcpy(key.tuple.local, local.bytes.data(), sizeof(key.tuple.local));
      std::memcpy(key.tuple.remote, remote.bytes.data(), sizeof(key.tuple.remote));
      key.tuple.local_port = tuple.local.port;
      key.tuple.remote_port = tuple.remote.port;
      keys.push_back(key);
    }
  }
  return keys;
}

void PendingWants::add_socket(const abi::Tuple& tuple) {
  const std::vector<WantedKey> keys = wanted_keys(tuple);
  if (sockets_.size() + keys.size() > Programs::kMostWanted)
    overflowed_ = true;
  else
    sockets_.insert(keys.begin(), keys.end());
}

void PendingWants::add(const std::vector<abi::Tuple>& sockets) {
  for (const abi::Tuple& tuple : sockets) add_socket(tuple);
}

PendingWants::Sockets PendingWants::take_sockets() {
  return {std::exchange(sockets_, {}), !std::exchange(overflowed_, false)};
}

tw_process to_record(const host::Process& process) {
  tw_process record{};
  record.start_ns = process.start_ns;
  record.pid = process.pid;
  record.threads = process.threads;
  record.open_fds = process.open_fds.value_or(TW_NEVER);
  record.fd_limit = process.fd_limit.value_or(TW_NEVER);
  record.state = process.state;
  record.cpu_ns = process.cpu_ns;
  record.polling = process.polling.value_or(TW_NEVER);
  record.read_age_ms = TW_NEVER;
  copy_text(record.wait_channel, process.wait_channel);
  copy_text(record.cgroup, process.cgroup);
  return record;
}

core::HeldSocket to_held(const tw_held& record) {
  core::HeldSocket held;
  held.id = record.id;
  held.pid = record.pid;
  held.start = util::boot_time(record.start_ns);
  held.comm.assign(std::begin(record.comm), std::find(std::begin(record.comm), std::end(record.comm), '\0'));
  held.tuple = abi::to_tuple(record.tuple);
  held.cgroup_id = record.cgroup_id;
  held.state = static_cast<abi::TcpState>(record.state);
  held.unread = record.unread;
  held.unacked = record.unacked;
  return held;
}

tw_host to_record(const host::TcpUse& use) {
  tw_host record{};
  record.memory_pages = use.memory_pages;
  record.memory_low = use.memory_low;
  record.memory_pressure = use.memory_pressure;
  record.memory_high = use.memory_high;
  record.orphans = use.orphans;
  record.orphans_limit = use.orphans_limit;
  return record;
}

tw_sweep_end to_record(const SweepRun& sweep, util::Duration interval) {
  tw_sweep_end record{};
  record.interval_ms = static_cast<__u32>(interval / std::chrono::milliseconds{1});
  record.flags = TW_SWEEP_CONFIRMS;
  record.visited = sweep.visited;
  record.still = sweep.still;
  return record;
}

}  // namespace tcpwhy::source
