// SPDX-License-Identifier: GPL-2.0-only
// Recordings of several hosts are read as one stream. What a host's kernel makes unique for itself alone carries the host's
// number there; that of the first host, and of a single run, is 0 and changes nothing.
#pragma once

#include <cstdint>

#include "user/abi/event.h"

namespace tcpwhy::core {

inline constexpr std::uint32_t kMostHosts = 16;

namespace host_bits {
inline constexpr unsigned kPid = 22;  // PID_MAX_LIMIT is 2^22
// Inode numbers of namespaces grow from 0xF0000000; those of the initial ones are just below (include/linux/proc_ns.h).
inline constexpr unsigned kNetns = 24;
inline constexpr std::uint32_t bits_of_first_host(std::uint32_t netns) { return netns >> 28 == 0xE ? 0xF : 0; }
// Bit 63 is left alone: keys of the facts' own making have it set.
inline constexpr std::uint64_t kSocket = 0x1E3779B97F4A7C15ULL;
}  // namespace host_bits

// 0, "not known", stays 0.
inline std::uint32_t tag_pid(std::uint32_t pid, std::uint32_t host) {
  return pid == 0 ? 0 : pid | host << host_bits::kPid;
}
inline std::uint32_t plain_pid(std::uint32_t pid) { return pid & ((1U << host_bits::kPid) - 1); }
inline std::uint32_t host_of_pid(std::uint32_t pid) { return pid >> host_bits::kPid & (kMostHosts - 1); }

inline std::uint32_t tag_netns(std::uint32_t netns, std::uint32_t host) {
  return netns == 0 ? 0 : netns ^ host << host_bits::kNetns;
}
inline std::uint32_t host_of_netns(std::uint32_t netns) {
  return (netns >> host_bits::kNetns & (kMostHosts - 1)) ^ host_bits::bits_of_first_host(netns);
}
inline std::uint32_t plain_netns(std::uint32_t netns) { return netns ^ host_of_netns(netns) << host_bits::kNetns; }

// A case about a whole host stands on a listener that no cookie will ever name, one for each host and condition.
inline constexpr std::uint64_t kStandIns = ~0ULL;
inline abi::SocketId stand_in(std::uint32_t host, std::uint32_t condition) {
  return abi::SocketId{kStandIns - std::uint64_t{condition} * kMostHosts - host};
}
// 0 of what is none.
inline std::uint32_t host_of_stand_in(abi::SocketId id) {
  const std::uint64_t below = kStandIns - static_cast<std::uint64_t>(id);
  return below < 16ULL * kMostHosts ? static_cast<std::uint32_t>(below) & (kMostHosts - 1) : 0;
}

// Its own inverse.
inline abi::SocketId tag_socket(abi::SocketId id, std::uint32_t host) {
  if (id == abi::SocketId::none) return id;
  return abi::SocketId{static_cast<std::uint64_t>(id) ^ (host * host_bits::kSocket & ~(1ULL << 63))};
}

}  // namespace tcpwhy::core
