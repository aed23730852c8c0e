// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/in_span.h"

#include <algorithm>

namespace tcpwhy::cli {

bool InSpan::note(const std::vector<core::Finding>& findings) {
  if (findings.empty() || findings.front().time < since_) return false;
  for (const core::Finding& f : findings) {
    if (ids_.insert(f.id).second) count_[std::string{f.slug}] += 1;
    if (!worst_ || f.severity > *worst_) worst_ = f.severity;
  }
  return true;
}

core::Summary InSpan::narrowed(core::Summary summary) const {
  if (since_ == util::BootTime{}) return summary;
  summary.started = std::max(summary.started, since_);
  summary.findings = count_;
  summary.worst = worst_;
  return summary;
}

}  // namespace tcpwhy::cli
