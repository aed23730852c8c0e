// SPDX-License-Identifier: GPL-2.0-only
// Phrases that sinks for people share.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "user/core/finding.h"

namespace tcpwhy::sink {

// "1,234,567"
std::string grouped(std::uint64_t number);
// "1 event", "1,200 events"
std::string counted(std::uint64_t count, std::string_view noun);

// Of a closed finding: "recovered after 5.2 s", "curl[12] was killed by SIGKILL after 5.2 s", "no longer observed after
// 5.2 s: tcpwhy's table had no room; whether it still holds is unknown".
std::string end_of(const core::Finding& finding);
[[nodiscard]] inline bool open_at_end(const core::Finding& finding) { return finding.ended == core::Ended::trace_end; }
// Closed for want of room in tcpwhy's tables, not because its condition is over.
[[nodiscard]] inline bool is_forgotten(const core::Finding& finding) { return finding.ended == core::Ended::forgotten; }

// "   on web-2   netns 4026532201": the host where there are several, the namespace where it is neither `known` to the
// reader nor the tool's own; else empty.
std::string place_of(const core::Finding& finding, const core::RunIdentity& run, std::uint32_t known = 0);

}  // namespace tcpwhy::sink
