// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/in_span.h"

#include <algorithm>
#include <utility>

namespace tcpwhy::cli {

bool InSpan::note(const std::vector<core::Finding>& findings) {
  if (findings.empty()) return false;
  const bool within = findings.front().time >= since_;
  for (const core::Finding& f : findings) {
    if (within) count(f);
    if (!within && (f.phase == core::Phase::open || f.phase == core::Phase::update))
      open_.insert_or_assign(f.id, f);
    else
      open_.erase(f.id);
  }
  return within;
}

void InSpan::count(const core::Finding& finding) {
  if (ids_.insert(finding.id).second) count_[std::string{finding.slug}] += 1;
  if (!worst_ || finding.severity > *worst_) worst_ = finding.severity;
}

std::vector<core::Finding> InSpan::take_open() {
  std::vector<core::Finding> findings;
  for (const auto& [id, finding] : std::exchange(open_, {})) {
    count(finding);
    findings.push_back(finding);
  }
  return findings;
}

core::Summary InSpan::narrowed(core::Summary summary) const {
  if (since_ == util::BootTime{}) return summary;
  summary.started = std::min(std::max(summary.started, since_), summary.ended);
  summary.findings = count_;
  summary.worst = worst_;
  return summary;
}

}  // namespace tcpwhy::cli
