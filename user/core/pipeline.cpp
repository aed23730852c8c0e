// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/pipeline.h"

#include "user/abi/decode.h"
#include "user/abi/header.h"

namespace tcpwhy::core {

namespace {

// Of several hosts' recordings, each may have been filtered in its own way: they are what there is.
Filter filter_to_match(const Settings& settings) {
  if (!settings.narrowing.empty()) return settings.narrowing;
  return settings.other_filters.empty() ? settings.filter : Filter{};
}

}  // namespace

Pipeline::Pipeline(Settings settings, std::vector<std::unique_ptr<Detector>> detectors, Outlets outlets)
    : settings_(std::move(settings)),
      matches_(filter_to_match(settings_)),
      facts_(settings_.names, {settings_.max_connections, settings_.table_bytes}),
      book_(facts_, settings_),
      detectors_(std::move(detectors)),
      outlets_(std::move(outlets)) {
  const RunIdentity& run = settings_.identity;
  std::vector<std::string> hosts{run.host};
  for (const RunIdentity::Other& other : run.others) hosts.push_back(other.host);
  facts_.name_hosts(std::move(hosts));
}

void Pipeline::feed(std::span<const std::byte> record) {
  const std::optional<abi::RecordHeader> header = abi::peek_header(record);
  if (!shows_events() && header && abi::is_ordinary(header->kind, header->size))
    return feed_ordinary(util::boot_time(header->time_ns));
  const util::Result<abi::Event> event = abi::decode(record);
  if (!event) {
    unreadable_ += 1;
    return;
  }
  feed(*event);
}

void Pipeline::feed(const abi::Event& event) {
  note(event.body.index(), event.time);
  matches_.note(event);
  facts_.apply(event);
  // Of several hosts' times all are printed by the first one's clock.
  if (const auto* clock = std::get_if<abi::Clock>(&event.body); clock && event.host == 0)
    settings_.identity.wall.step({event.time, clock->offset});
  if (outlets_.event) outlets_.event(event);
  if (std::holds_alternative<abi::Transition>(event.body)) return;
  if (const auto* limited = std::get_if<abi::Limited>(&event.body))
    left_out_[std::string{limited->kind}] += limited->count;
  if (const auto* lost = std::get_if<abi::Lost>(&event.body)) losses_.add(*lost);
  if (outlets_.fact) outlets_.fact(event);
  Scene scene{facts_, book_, settings_.identity.wall};
  for (const auto& detector : detectors_) detector->on_event(event, scene);
  if (std::holds_alternative<abi::Tick>(event.body)) tick(scene);
}

void Pipeline::feed_ordinary(util::BootTime time) {
  note(abi::kTransitionIndex, time);
  facts_.advance(time);
}

void Pipeline::note(std::size_t kind, util::BootTime time) {
  counts_[kind] += 1;
  if (started_ == util::BootTime{}) started_ = time;
}

void Pipeline::tick(Scene& scene) {
  for (const auto& detector : detectors_) detector->on_tick(scene);
  const std::vector<Finding> findings = book_.settle();
  if (!findings.empty()) outlets_.findings(findings);
  if (outlets_.tick) outlets_.tick(facts_.now());
}

void Pipeline::finish() {
  const std::vector<Finding> findings = book_.finish();
  if (!findings.empty()) outlets_.findings(findings);
}

std::vector<std::pair<std::string_view, std::uint64_t>> Pipeline::events() const {
  std::vector<std::pair<std::string_view, std::uint64_t>> result;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    const std::string_view kind = abi::name_of(i);
    if (kind != "tick" && kind != "seed_end" && kind != "sweep_end" && kind != "lost" && kind != "limited" &&
        kind != "still")
      result.emplace_back(kind, counts_[i]);
  }
  return result;
}

Summary Pipeline::summary() const {
  Summary s;
  s.started = started_;
  s.ended = facts_.now();
  for (const auto& [kind, count] : events())
    if (count > 0) s.events[std::string{kind}] = count;
  for (const auto& [kind, count] : left_out_) s.events[kind + "_left_out"] = count;
  if (unreadable_) s.events["unreadable"] = unreadable_;
  s.events_lost = losses_.events();
  s.losses = losses_.by_way();
  s.connections = facts_.connections_total();
  s.connections_evicted = facts_.evicted();
  s.evictions = facts_.evictions();
  for (const auto& [table, count] : book_.evictions()) s.evictions[table] += count;
  s.behind = book_.behind();
  s.findings = book_.opened();
  s.worst = book_.worst();
  return s;
}

}  // namespace tcpwhy::core
