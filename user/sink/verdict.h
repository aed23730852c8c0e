// SPDX-License-Identifier: GPL-2.0-only
// What a bounded run says of a host, in the four words that monitoring knows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "user/core/finding.h"
#include "user/sink/problems.h"

namespace tcpwhy::sink {

// The exit code of `tcpwhy check`, and of every plugin of Nagios and its heirs.
enum class Health : std::uint8_t { ok = 0, warning = 1, critical = 2, unknown = 3 };

std::string_view word_of(Health health);  // "OK", "CRITICAL"
std::string_view slug_of(Health health);  // "ok", "critical"

// fail_on: the mildest severity that is not OK. doubts: what may have hidden a finding, a phrase each.
// A critical finding is critical whatever else was missed; without one, a doubt leaves it unknown.
Health judge(const Problems& problems, core::Severity fail_on, const std::vector<std::string>& doubts);

}  // namespace tcpwhy::sink
