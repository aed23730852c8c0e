// SPDX-License-Identifier: GPL-2.0-only
// The TcpExt counters of a network namespace that corroborate findings, from /proc/PID/net/netstat of a process in it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "user/abi/event.h"

namespace tcpwhy::host {

// 0 where the process is gone, or may not be looked at.
std::uint32_t read_netns(std::uint32_t pid);
// Absent where the process is gone. What a kernel does not count is 0.
std::optional<abi::Mib> read_mib(std::uint32_t pid);
// Of the text of a netstat file: a line of names, a line of values, each begun by "TcpExt:".
std::array<std::uint64_t, abi::kMibNames.size()> parse_mib(std::string_view netstat);

}  // namespace tcpwhy::host
