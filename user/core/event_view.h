// SPDX-License-Identifier: GPL-2.0-only
// One event as fields (--events --format json): doc/events.md says what each kind has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "user/abi/event.h"
#include "user/core/finding.h"
#include "user/core/kernel_names.h"

namespace tcpwhy::core {

struct EventView {
  util::BootTime time{};
  std::uint32_t host = 0;  // of several: RunIdentity
  std::string_view kind;
  std::string line;  // in words: event_text()
  // Of the connection, or the listener, from the end that it happened to; absent where it is about none.
  std::optional<ConnectionView> connection;
  std::uint64_t id = 0;    // the socket's cookie, 0 where it is not known
  std::string_view state;  // of the socket
  std::string_view from;   // of a change of state
  std::string_view to;
  std::optional<Process> owner;  // of that end, where the event tells it
  Evidence values;               // what else its kind has, by name
};

// Nothing for what event_text() has no words for. The fields are filled only where `with_fields` says so.
std::optional<EventView> event_view(const abi::Event& event, const KernelNames& names, bool with_fields);

}  // namespace tcpwhy::core
