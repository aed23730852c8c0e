// SPDX-License-Identifier: GPL-2.0-only
// What a run is judged by: part of a recording, so that a replay starts from the same.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "user/core/filter.h"
#include "user/core/finding.h"
#include "user/core/kernel_names.h"

namespace tcpwhy::core {

struct Settings {
  RunIdentity identity;
  KernelNames names;
  Filter filter;
  std::map<std::string, std::optional<util::Duration>, std::less<>> thresholds;  // by slug; nullopt: off
  std::size_t max_connections = 262144;
  util::Duration window = std::chrono::seconds{10};
};

}  // namespace tcpwhy::core
