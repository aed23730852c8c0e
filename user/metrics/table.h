// SPDX-License-Identifier: GPL-2.0-only
// The one table of every metric: name, type, unit, labels, help. Rendering, doc/metrics.md's test and the collector all
// read it. Names and labels are a contract: adding is fine, renaming is not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tcpwhy::metrics {

enum class Type : std::uint8_t { counter, gauge };

struct Metric {
  std::string_view name;  // of the family: a counter's samples add "_total"
  Type type;
  std::string_view unit;  // "seconds", "bytes", "ratio": the name ends with it; empty: a number of things
  std::span<const std::string_view> labels;
  std::string_view help;  // one sentence
};

// Rows of the table, in its order.
enum class Id : std::uint8_t {
  findings_opened,
  findings_escalated,
  findings_cases,
  findings_open,
  findings_open_cases,
  findings_forgotten,
  accept_queue_depth,
  accept_queue_limit,
  accept_queue_fill,
  accept_queue_sockets,
  accept_queue_drops,
  listeners,
  listeners_in_other,
  resets,
  retransmits,
  synack_retransmits,
  events,
  events_lost,
  events_left_out,
  events_unreadable,
  losses,
  connections_tracked,
  connections_tracked_limit,
  connections_evicted,
  evictions,
  behind,
  sweeps,
  sweep_cpu,
  sweep_interval,
  recording_bytes,
  recording_lost,
  cpu,
  resident_memory,
  start_time,
  snapshot_time,
  build_info,
};
inline constexpr std::size_t kMetrics = static_cast<std::size_t>(Id::build_info) + 1;

std::span<const Metric, kMetrics> table();
inline const Metric& metric(Id id) { return table()[static_cast<std::size_t>(id)]; }

}  // namespace tcpwhy::metrics
