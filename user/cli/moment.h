// SPDX-License-Identifier: GPL-2.0-only
// --since and --until: a moment of a recording.
#pragma once

#include <string>

#include "user/util/result.h"
#include "user/util/time.h"

namespace tcpwhy::cli {

// "2026-03-01T12:09:54.5Z"; "12:09:54" or "12:09", local time, the first such moment from `start` on; "+90s", after
// `start`. The time zero where text is empty.
util::Result<util::BootTime> parse_moment(const std::string& text, util::BootTime start, util::WallOffset wall);

}  // namespace tcpwhy::cli
