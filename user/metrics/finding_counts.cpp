// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/finding_counts.h"

#include <algorithm>

#include "user/detect/catalogue.h"

namespace tcpwhy::metrics {
namespace {

using core::Severity;

constexpr Severity kSeverities[] = {Severity::info, Severity::warning, Severity::critical};
// An event is told again within two windows of aggregation, or under a new id.
constexpr util::Duration kEventsKnown = std::chrono::minutes{1};

std::string word(Severity severity) { return std::string{core::to_string(severity)}; }

}  // namespace

FindingCounts::FindingCounts() {
  for (const detect::FindingSpec& row : detect::catalogue()) {
    const std::string slug{row.slug};
    forgotten_[slug] = 0;
    std::vector<std::string> causes{row.causes.begin(), row.causes.end()};
    causes.emplace_back("unknown");
    for (const std::string& cause : causes) {
      cases_[{slug, cause}] = 0;
      for (const Severity severity : kSeverities) opened_[{slug, cause, severity}] = 0;
    }
    for (const Severity severity : {Severity::warning, Severity::critical}) escalated_[{slug, severity}] = 0;
  }
}

void FindingCounts::grown(Known& known, std::string_view finding, std::string_view cause, std::uint64_t cases) {
  if (cases > known.cases) cases_[{std::string{finding}, std::string{cause}}] += cases - known.cases;
  known.cases = std::max(known.cases, cases);
}

void FindingCounts::on(const core::Finding& f) {
  const std::string slug{f.slug};
  const auto [it, is_new] = known_.try_emplace(f.id);
  Known& known = it->second;
  known.last = f.time;
  const bool first = f.phase == core::Phase::open || f.phase == core::Phase::event;
  if (is_new && !first) {
    // Its beginning is forgotten: what it counted before was counted then.
    known = {f.severity, f.count_total, true, f.time};
  } else if (is_new) {
    known = {f.severity, 0, f.phase == core::Phase::event, f.time};
    opened_[{slug, std::string{f.cause}, f.severity}] += 1;
  } else if (f.severity > known.severity) {
    escalated_[{slug, f.severity}] += 1;
    known.severity = f.severity;
  }
  grown(known, f.slug, f.cause, f.count_total);
  if (f.ended == core::Ended::forgotten) forgotten_[slug] += 1;
  if (f.phase == core::Phase::closed) known_.erase(it);
}

void FindingCounts::on(const std::vector<core::Finding>& findings) {
  for (const core::Finding& finding : findings) on(finding);
  if (!findings.empty()) forget(findings.back().time);
}

void FindingCounts::on(const std::vector<core::OpenFinding>& open) {
  for (auto& [key, row] : open_) row = {};
  for (const core::OpenFinding& f : open) {
    Open& row = open_[{std::string{f.slug}, std::string{f.cause}, f.severity}];
    row.findings += 1;
    row.cases += f.cases;
    if (const auto known = known_.find(f.id); known != known_.end())
      grown(known->second, f.slug, f.cause, f.cases_total);
  }
}

void FindingCounts::forget(util::BootTime now) {
  std::erase_if(known_, [now](const auto& k) { return k.second.instant && now - k.second.last > kEventsKnown; });
}

void FindingCounts::add_to(Snapshot& snapshot) const {
  for (const auto& [key, count] : opened_)
    snapshot.add(Id::findings_opened, {key.finding, key.cause, word(key.severity)}, count);
  for (const auto& [key, count] : escalated_)
    snapshot.add(Id::findings_escalated, {key.first, word(key.second)}, count);
  for (const auto& [key, count] : cases_) snapshot.add(Id::findings_cases, {key.first, key.second}, count);
  for (const auto& [key, row] : open_)
    snapshot.add(Id::findings_open, {key.finding, key.cause, word(key.severity)}, row.findings);
  for (const auto& [key, row] : open_)
    snapshot.add(Id::findings_open_cases, {key.finding, key.cause, word(key.severity)}, row.cases);
  for (const auto& [slug, count] : forgotten_) snapshot.add(Id::findings_forgotten, {slug}, count);
}

}  // namespace tcpwhy::metrics
