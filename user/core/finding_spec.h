// SPDX-License-Identifier: GPL-2.0-only
// What is fixed of a finding, whatever the incident. Its detector's file defines it; help texts, thresholds, explanations,
// metrics and the checks of documents read it.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "user/util/time.h"

namespace tcpwhy::core {

enum class Family { handshake, stall, ending };

struct FindingSpec {
  std::string_view slug;
  Family family;
  int rank;      // nearness to the culprit within a story, each its own: the lowest is the root
  bool instant;  // over in an instant: phase "event". Else a condition that opens and closes
  // What --threshold SLUG=DURATION replaces; none where the finding does not wait for a time to pass.
  std::optional<util::Duration> threshold = std::nullopt;
  std::string_view threshold_means = {};     // "nothing acknowledged for this long"
  std::span<const std::string_view> causes;  // in their order of precedence; "unknown" is always possible
  std::string_view meaning;                  // one sentence
  bool of_idle_connections = false;  // which the kernel side tells of only when somebody asks, and from which age on
};

}  // namespace tcpwhy::core
