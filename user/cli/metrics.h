// SPDX-License-Identifier: GPL-2.0-only
// --metrics: a live run's numbers, gathered once a second on its thread and served by another.
#pragma once

#include <chrono>
#include <memory>

#include "user/cli/options.h"
#include "user/metrics/collector.h"
#include "user/metrics/server.h"
#include "user/recording/recorder.h"
#include "user/source/live.h"

namespace tcpwhy::cli {

class Metrics {
 public:
  // Listens, while there still is every privilege. Null where nobody asked for it.
  static util::Result<std::unique_ptr<Metrics>> open(const TraceOptions& options);

  void watch(core::Outlets& outlets) { collector_.watch(outlets); }
  // First when every hook is live; then once a second: more often it does nothing. recorder: null where nothing is recorded.
  void publish(const core::Pipeline& pipeline, const source::LiveSource& source, const recording::Recorder* recorder);

 private:
  Metrics(std::unique_ptr<metrics::Server> server, const TraceOptions& options)
      : server_(std::move(server)),
        collector_(options.events || options.every_transition),
        most_connections_(options.max_connections) {}

  std::unique_ptr<metrics::Server> server_;
  metrics::Collector collector_;
  std::uint64_t most_connections_;
  std::chrono::system_clock::time_point started_{};
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace tcpwhy::cli
