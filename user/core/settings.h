// SPDX-License-Identifier: GPL-2.0-only
// What a run is judged by: part of a recording, so that a replay starts from the same.
#pragma once

#include "user/core/filter.h"
#include "user/core/finding.h"
#include "user/core/kernel_names.h"
#include "user/core/thresholds.h"

namespace tcpwhy::core {

struct Settings {
  RunIdentity identity;
  KernelNames names;
  Filter filter;
  Filter narrowing;  // of a report: over the filter of the run that was recorded
  Thresholds thresholds;
  std::size_t max_connections = 262144;
  util::Duration window = std::chrono::seconds{10};
};

}  // namespace tcpwhy::core
