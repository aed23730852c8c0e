// SPDX-License-Identifier: GPL-2.0-only
// The findings of which a line stands in a report's span: what a summary of it counts.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "user/core/finding.h"

namespace tcpwhy::cli {

class InSpan {
 public:
  // Zero: no bound.
  explicit InSpan(util::BootTime since) : since_(since) {}
  // Whether these are in the span; if so they are counted.
  bool note(const std::vector<core::Finding>& findings);
  // The conditions that were open as the span began and of which it tells nothing (yet), as they were told last; counted, and
  // given once.
  std::vector<core::Finding> take_open();
  // That of the whole run, narrowed to the span.
  [[nodiscard]] core::Summary narrowed(core::Summary summary) const;

 private:
  void count(const core::Finding& finding);

  util::BootTime since_;
  std::map<std::uint64_t, core::Finding> open_;  // before the span
  std::set<std::uint64_t> ids_;
  std::map<std::string, std::uint64_t> count_;
  std::optional<core::Severity> worst_;
};

}  // namespace tcpwhy::cli
