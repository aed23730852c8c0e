// SPDX-License-Identifier: GPL-2.0-only
// Looks at a pipeline and keeps what a screen needs beyond the facts of the moment: the findings of the last minutes, the
// last events, and rates. Bounded; reads no clock: `now` is the stream's.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "user/core/pipeline.h"
#include "user/top/model.h"
#include "user/top/steady.h"

namespace tcpwhy::top {

// What a live source knows beside the stream.
struct Gauges {
  std::optional<double> sweep_share;
  std::optional<std::uint64_t> connections_seen;  // since the start
};

class Watch {
 public:
  explicit Watch(core::RunIdentity run) : run_(std::move(run)) {}

  // The pipeline's outlets.
  void on(const std::vector<core::Finding>& findings);
  void on(const abi::Event& event);
  void count(Census census, util::BootTime now);

  // Makes the model of now; to be called about once a second.
  Model look(const core::Pipeline& pipeline, const Gauges& gauges = {});
  // From the events that are kept.
  [[nodiscard]] Ladder ladder_of(const abi::Tuple& tuple, const core::KernelNames& names) const;
  // Findings told for the first time so far, of this severity or worse: tells that there is a new one.
  [[nodiscard]] std::uint64_t opened(core::Severity least) const;

 private:
  // Of a process, or a listener: its worst open finding.
  using Worst = std::map<std::uint64_t, std::pair<core::Severity, std::uint64_t>>;

  void forget_old(util::BootTime now);
  void rates(Header& header, const Gauges& gauges);
  void fill_header(Model& model, const core::Pipeline& pipeline, const Gauges& gauges);
  void fill_findings(Model& model, const std::map<std::uint64_t, std::uint64_t>& counts, util::BootTime now) const;
  void fill_connections(Model& model, const core::Facts& facts, const std::vector<core::OpenCase>& cases);
  void fill_listeners(Model& model, const core::Facts& facts) const;
  void fill_processes(Model& model, const core::Facts& facts);

  core::RunIdentity run_;
  std::map<std::uint64_t, FindingRow> findings_;  // by id
  std::array<std::uint64_t, 3> opened_{};         // by severity, as first told
  // The last events of connections, the oldest first; those of ordinary life by themselves, for they are many.
  std::deque<abi::Event> events_;
  std::deque<abi::Event> ordinary_;
  std::uint64_t event_count_ = 0;
  Census census_;
  std::optional<util::BootTime> counted_;
  util::BootTime started_{};
  // When the rates were last taken, and what of.
  util::BootTime rated_{};
  std::uint64_t rated_events_ = 0;
  std::uint64_t rated_connections_ = 0;
  std::optional<double> events_rate_;
  std::optional<double> connections_rate_;
  Steady unread_, unacked_, process_connections_, process_held_;
};

}  // namespace tcpwhy::top
