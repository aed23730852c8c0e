// SPDX-License-Identifier: GPL-2.0-only
// What there is to see at one moment: plain values, made of facts and findings (watch.h), turned into lines by layout.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "user/abi/event.h"
#include "user/core/finding.h"
#include "user/top/census.h"

namespace tcpwhy::top {

using Level = std::optional<core::Severity>;  // none: in no open finding

struct FindingRow {
  enum class State : std::uint8_t { open, event, ended };
  core::Finding finding;  // its last line
  State state = State::open;
  std::uint64_t count = 1;    // of an open one: now
  util::Duration duration{};  // of an open one: until now
};

struct ConnectionRow {
  std::uint64_t number = 0;  // as in findings; never reused
  abi::Tuple tuple;
  core::ConnectionRole role = core::ConnectionRole::unknown;
  abi::TcpState state = abi::TcpState::unknown;
  std::optional<core::Process> owner;
  Level severity;
  std::string_view what;      // the slug of its worst open finding; else in which silence it is
  std::uint64_t finding = 0;  // id; 0: in none
  util::BootTime since{};
  std::uint32_t unread = 0;
  std::uint32_t unacked = 0;
  std::uint32_t retransmits = 0;
  std::uint64_t unread_order = 0;  // Steady
  std::uint64_t unacked_order = 0;
};

struct ListenerRow {
  std::uint64_t id = 0;
  util::Endpoint endpoint;
  std::uint32_t netns = 0;
  std::optional<core::Process> owner;
  std::size_t owners = 0;
  std::uint32_t queue = 0;
  std::uint32_t limit = 0;
  std::optional<util::Duration> head_waits;
  std::uint64_t refused = 0;  // segments, since the queue was last seen drained
  Level severity;
  std::uint64_t finding = 0;
};

struct ProcessRow {
  ProcessUse use;
  Level severity;  // of the open findings whose culprit it is
  std::uint64_t finding = 0;
  std::uint64_t connections_order = 0;  // Steady
  std::uint64_t held_order = 0;
};

// One connection step by step, as far as events told of it.
struct LadderLine {
  enum class At : std::uint8_t { client, server, finding };
  util::BootTime time{};
  At at = At::client;
  std::string text;
  Level severity;  // of a finding
};
struct Ladder {
  util::Endpoint client;
  util::Endpoint server;
  std::optional<core::Process> client_owner;
  std::optional<core::Process> server_owner;
  std::vector<LadderLine> lines;
};

struct Header {
  std::string host;
  util::BootTime now{};
  util::WallClock wall;
  util::Duration watched{};
  // Of all processes' sockets; absent in a recording, and until they were counted.
  std::optional<std::uint64_t> connections;
  std::uint64_t processes = 0;
  util::BootTime counted{};
  std::uint64_t in_trouble = 0;
  std::uint64_t listeners = 0;
  std::optional<double> events_per_second;
  std::optional<double> connections_per_second;  // new ones
  std::uint64_t lost = 0;
  std::optional<double> sweep_share;  // of one CPU
  util::Duration sweep_interval{};
  std::uint64_t open_critical = 0;
  std::uint64_t open_warning = 0;
  std::uint64_t open_info = 0;
};

struct Model {
  Header header;
  std::vector<FindingRow> findings;  // by id
  std::vector<ConnectionRow> connections;
  std::uint64_t connections_left_out = 0;  // of those in trouble: what is kept are the worst
  std::vector<ListenerRow> listeners;
  std::vector<ProcessRow> processes;
  bool all_processes = false;            // counted; else only those of connections that events told of
  std::vector<std::string> explanation;  // of the finding that was asked for: its page, a line each
  Ladder ladder;                         // of the connection that was asked for
  std::string boot_id;                   // first 8 of it, as connections' ids have it
};

}  // namespace tcpwhy::top
