// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/pipeline.h"

#include "user/abi/decode.h"

namespace tcpwhy::core {

Pipeline::Pipeline(Settings settings, std::vector<std::unique_ptr<Detector>> detectors, Outlets outlets)
    : settings_(std::move(settings)),
      facts_(settings_.names, settings_.max_connections),
      book_(facts_, settings_),
      detectors_(std::move(detectors)),
      outlets_(std::move(outlets)) {
  const RunIdentity& run = settings_.identity;
  std::vector<std::string> hosts{run.host};
  for (const RunIdentity::Other& other : run.others) hosts.push_back(other.host);
  facts_.name_hosts(std::move(hosts));
}

void Pipeline::feed(std::span<const std::byte> record) {
  const util::Result<abi::Event> event = abi::decode(record);
  if (!event) {
    unreadable_ += 1;
    return;
  }
  feed(*event);
}

void Pipeline::feed(const abi::Event& event) {
  const std::string_view kind = abi::name_of(event);
  const auto count = counts_.find(kind);
  if (count == counts_.end())
    counts_.emplace(kind, 1);
  else
    count->second += 1;
  if (started_ == util::BootTime{}) started_ = event.time;

  facts_.apply(event);
  if (outlets_.event) outlets_.event(event);
  if (std::holds_alternative<abi::Transition>(event.body)) return;
  if (const auto* limited = std::get_if<abi::Limited>(&event.body))
    counts_[std::string{limited->kind} + "_left_out"] += limited->count;
  Scene scene{facts_, book_, settings_.identity.wall};
  for (const auto& detector : detectors_) detector->on_event(event, scene);
  if (!std::holds_alternative<abi::Tick>(event.body)) return;
  for (const auto& detector : detectors_) detector->on_tick(scene);
  const std::vector<Finding> findings = book_.settle();
  if (!findings.empty()) outlets_.findings(findings);
  if (outlets_.tick) outlets_.tick(facts_.now());
}

void Pipeline::finish() {
  const std::vector<Finding> findings = book_.finish();
  if (!findings.empty()) outlets_.findings(findings);
}

Summary Pipeline::summary() const {
  Summary s;
  s.started = started_;
  s.ended = facts_.now();
  for (const auto& [kind, count] : counts_)
    if (kind != "tick" && kind != "seed_end" && kind != "sweep_end" && kind != "lost" && kind != "limited")
      s.events[kind] = count;
  if (unreadable_) s.events["unreadable"] = unreadable_;
  s.events_lost = facts_.lost_total();
  s.connections = facts_.connections_total();
  s.connections_evicted = facts_.evicted();
  s.findings = book_.opened();
  s.worst = book_.worst();
  return s;
}

}  // namespace tcpwhy::core
