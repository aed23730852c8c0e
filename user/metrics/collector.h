// SPDX-License-Identifier: GPL-2.0-only
// From the pipeline of a live run to snapshots. On the pipeline's thread; it changes nothing that findings rest on.
#pragma once

#include <cstdint>
#include <optional>

#include "user/core/pipeline.h"
#include "user/metrics/event_counts.h"
#include "user/metrics/finding_counts.h"
#include "user/metrics/listener_series.h"
#include "user/metrics/snapshot.h"

namespace tcpwhy::metrics {

// What the stream does not tell: measured by whoever runs it.
struct RunFigures {
  std::uint64_t sweeps = 0;
  double sweep_walk_s = 0;     // CPU
  double sweep_tracked_s = 0;  // CPU
  double sweep_interval_s = 0;
  std::uint64_t most_connections = 0;
  struct Recording {
    std::uint64_t bytes = 0;
    std::uint64_t lost = 0;
  };
  std::optional<Recording> recording;
  double cpu_s = 0;
  std::uint64_t resident_bytes = 0;
  double started_s = 0;  // Unix time
  double now_s = 0;      // Unix time
};

class Collector {
 public:
  // every_transition: the kernel side tells all that it can (record, --events).
  explicit Collector(bool every_transition) : events_(every_transition) {}

  // So that what findings and events say is counted, besides what the outlets do already. The collector must outlive them.
  void watch(core::Outlets& outlets);
  [[nodiscard]] Snapshot take(const core::Pipeline& pipeline, const RunFigures& figures);

 private:
  void add_events(Snapshot& snapshot, const core::Pipeline& pipeline) const;

  FindingCounts findings_;
  EventCounts events_;
  ListenerSeries listeners_;
};

}  // namespace tcpwhy::metrics
