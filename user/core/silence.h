// SPDX-License-Identifier: GPL-2.0-only
// Silence: what a look at a socket adds to what earlier looks found. A stall makes no event; that nothing moved between
// two looks is its only proof, for each look that finds a change comes as a record.
#pragma once

#include "user/abi/event.h"
#include "user/core/connection.h"

namespace tcpwhy::core {

// Bytes that the process could read: a FIN takes a sequence number, but is no data.
std::uint32_t unread_data(const abi::Socket& socket);
// So much unread is a stall whatever the process does; below it, one must know that the process cannot read.
inline constexpr std::uint32_t kMuchUnread = 65536;
bool much_unread(const abi::Socket& socket);
// This end's own window takes less than one of the peer's segments.
bool own_window_is_shut(const abi::Socket& socket);
// The peer's window takes less than one segment, and data waits behind it.
bool window_is_shut(const abi::Socket& socket);

// Brings the connection's silence up to date with its newest facts (Connection::socket) as of `now`.
void look(Connection& connection, util::BootTime now);
// The same for a sweep's sample, which says more.
void look(Connection& connection, const abi::Sample& sample, util::BootTime now);

}  // namespace tcpwhy::core
