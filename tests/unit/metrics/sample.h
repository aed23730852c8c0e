// SPDX-License-Identifier: GPL-2.0-only
// Findings and listeners for the tests of the metrics.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "user/core/connection.h"
#include "user/core/finding.h"
#include "user/metrics/snapshot.h"

namespace tcpwhy::metrics {

inline util::BootTime second(std::int64_t n) { return util::BootTime{std::chrono::seconds{n}}; }

inline core::Finding finding(std::uint64_t id, core::Phase phase, core::Severity severity, std::uint64_t cases,
                             std::int64_t at_second = 1) {
  core::Finding f;
  f.id = id;
  f.slug = "stall-unread";
  f.cause = "process-busy";
  f.phase = phase;
  f.severity = severity;
  f.count_total = cases;
  f.time = second(at_second);
  return f;
}

inline core::Listener listener(std::uint64_t id, std::uint16_t port, std::uint32_t queue, std::uint32_t limit,
                               std::uint32_t drops = 0) {
  core::Listener l;
  l.id = abi::SocketId{id};
  l.tuple.local = {*util::parse_address("10.0.0.1"), port};
  l.tuple.netns = 7;
  l.queue = queue;
  l.limit = limit;
  l.drops = drops;
  l.drops_known = true;
  return l;
}

inline std::size_t series_of(const Snapshot& snapshot, Id id) {
  return static_cast<std::size_t>(std::count_if(snapshot.samples().begin(), snapshot.samples().end(),
                                                [id](const Sample& s) { return s.id == id; }));
}

}  // namespace tcpwhy::metrics
