// SPDX-License-Identifier: GPL-2.0-only
#include "user/sink/shown.h"

namespace tcpwhy::sink {

Shown::Verdict Shown::judge(const core::Finding& finding) const {
  if (find(finding.id) != nullptr) {
    return Verdict::again;
  }
  return finding.severity >= minimum_ ? Verdict::first : Verdict::hidden;
}

void Shown::remember(const core::Finding& finding, const std::string& subject) {
  const auto [entry, is_new] =
      met_.try_emplace(finding.id, Met{std::string{finding.slug}, subject, finding.time, finding.severity});
  count_ += is_new ? 1 : 0;
  entry->second.severity = finding.severity;
  if (finding.phase == core::Phase::closed) {
    met_.erase(entry);
  } else if (met_.size() > kMost) {
    met_.erase(met_.begin());
  }
}

const Shown::Met* Shown::find(std::uint64_t id) const {
  const auto entry = met_.find(id);
  return entry == met_.end() ? nullptr : &entry->second;
}

}  // namespace tcpwhy::sink
