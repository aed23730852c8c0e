// SPDX-License-Identifier: GPL-2.0-only
// A TCP socket that a process holds, as a count of all of them sees it. For a screen: no event, and no finding rests on it.
#pragma once

#include <cstdint>
#include <string>

#include "user/abi/event.h"

namespace tcpwhy::core {

struct HeldSocket {
  std::uint64_t id = 0;  // tells it from the others of the same count
  std::uint32_t pid = 0;
  util::BootTime start{};  // of the process
  std::string comm;
  abi::Tuple tuple;
  std::uint64_t cgroup_id = 0;
  abi::TcpState state = abi::TcpState::unknown;
  std::uint32_t unread = 0;   // bytes that wait for the process
  std::uint32_t unacked = 0;  // bytes that it wrote and the other end has not acknowledged
};

}  // namespace tcpwhy::core
