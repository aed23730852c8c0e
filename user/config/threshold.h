// SPDX-License-Identifier: GPL-2.0-only
// One threshold in the user's words, from a flag or from a file. An Error says what is wrong and what to write instead.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "user/core/thresholds.h"
#include "user/detect/catalogue.h"
#include "user/util/result.h"

namespace tcpwhy::config {

using Limit = core::Thresholds::Limit;

// The finding of this name; the Error suggests the nearest, or lists all where none is near.
util::Result<const detect::FindingSpec*> find_finding(const std::string& slug);

// A duration, or "off". how_to_say_off: what to write where the finding has no duration.
util::Result<Limit> parse_limit(const detect::FindingSpec& finding, const std::string& text,
                                const std::string& how_to_say_off);

// What --threshold takes: [PORT:]FINDING=DURATION or [PORT:]FINDING=off.
struct Threshold {
  std::optional<std::uint16_t> service_port;  // none: every port
  std::string slug;
  Limit limit;
};
util::Result<Threshold> parse_threshold(const std::string& text);

}  // namespace tcpwhy::config
