// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/collector.h"

#include <utility>

#include "user/util/version.h"

namespace tcpwhy::metrics {

void Collector::watch(core::Outlets& outlets) {
  outlets.findings = [this, then = std::move(outlets.findings)](const std::vector<core::Finding>& findings) {
    findings_.on(findings);
    if (then) then(findings);
  };
  outlets.fact = [this, then = std::move(outlets.fact)](const abi::Event& event) {
    events_.on(event);
    if (then) then(event);
  };
}

void Collector::add_events(Snapshot& snapshot, const core::Pipeline& pipeline) const {
  const auto kinds = pipeline.events();
  for (const auto& [kind, count] : kinds) snapshot.add(Id::events, {std::string{kind}}, count);
  std::map<std::string, std::uint64_t> lost = pipeline.losses().events_by_kind();
  for (const auto& [kind, count] : kinds) lost.try_emplace(std::string{kind}, 0);
  for (const auto& [kind, count] : lost) snapshot.add(Id::events_lost, {kind}, count);
  std::map<std::string, std::uint64_t> left_out = pipeline.left_out();
  left_out.try_emplace("drop", 0);
  for (const auto& [kind, count] : left_out) snapshot.add(Id::events_left_out, {kind}, count);
  snapshot.add(Id::events_unreadable, pipeline.unreadable());
  const core::LossCounts losses = pipeline.losses().by_way();
  for (std::size_t i = 0; i < abi::kLossWays; ++i) {
    const auto way = static_cast<abi::LossWay>(i);
    const auto count = losses.find(way);
    snapshot.add(Id::losses, {std::string{abi::to_string(way)}}, count == losses.end() ? 0 : count->second);
  }
}

Snapshot Collector::take(const core::Pipeline& pipeline, const RunFigures& figures) {
  findings_.on(pipeline.open_findings());
  std::vector<const core::Listener*> listeners;
  pipeline.facts().listeners().for_each([&](const core::Listener& l) { listeners.push_back(&l); });
  listeners_.look(listeners);

  Snapshot s;
  findings_.add_to(s);
  listeners_.add_to(s);
  events_.add_to(s);
  add_events(s, pipeline);
  s.add(Id::connections_tracked, std::uint64_t{pipeline.facts().connections_tracked()});
  s.add(Id::connections_tracked_limit, figures.most_connections);
  s.add(Id::connections_evicted, pipeline.facts().evicted());
  const core::Summary summary = pipeline.summary();
  std::map<std::string, std::uint64_t> evictions = summary.evictions;
  evictions.try_emplace("connections", 0);
  for (const auto& [table, count] : evictions) s.add(Id::evictions, {table}, count);
  s.add(Id::behind, std::chrono::duration<double>{summary.behind}.count());
  s.add(Id::sweeps, figures.sweeps);
  s.add(Id::sweep_cpu, {"walk"}, figures.sweep_walk_s);
  s.add(Id::sweep_cpu, {"tracked"}, figures.sweep_tracked_s);
  s.add(Id::sweep_interval, figures.sweep_interval_s);
  if (figures.recording) {
    s.add(Id::recording_bytes, figures.recording->bytes);
    s.add(Id::recording_lost, figures.recording->lost);
  }
  s.add(Id::cpu, figures.cpu_s);
  s.add(Id::resident_memory, figures.resident_bytes);
  s.add(Id::start_time, figures.started_s);
  s.add(Id::snapshot_time, figures.now_s);
  s.add(Id::build_info, {std::string{util::version()}, std::string{util::commit()}}, 1.0);
  return s;
}

}  // namespace tcpwhy::metrics
