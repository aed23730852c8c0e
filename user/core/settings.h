// SPDX-License-Identifier: GPL-2.0-only
// What a run is judged by: part of a recording, so that a replay starts from the same.
#pragma once

#include <algorithm>
#include <vector>

#include "user/core/filter.h"
#include "user/core/finding.h"
#include "user/core/kernel_names.h"
#include "user/core/thresholds.h"

namespace tcpwhy::core {

struct Settings {
  RunIdentity identity;
  KernelNames names;
  Filter filter;
  Filter narrowing;                        // of a report: over the filter of the run that was recorded
  std::vector<Filter> other_filters = {};  // of the other hosts' runs: a finding passes where one of all lets it
  Thresholds thresholds;
  std::size_t max_connections = 262144;
  std::size_t table_bytes = std::size_t{128} << 20;  // what facts and findings may hold together
  util::Duration window = std::chrono::seconds{10};

  // Whether the filters let this be told.
  [[nodiscard]] bool lets_through(const Finding& finding) const {
    const auto passes = [&finding](const Filter& f) { return f.empty() || f.passes(finding); };
    return passes(narrowing) && (passes(filter) || std::any_of(other_filters.begin(), other_filters.end(), passes));
  }
};

}  // namespace tcpwhy::core
