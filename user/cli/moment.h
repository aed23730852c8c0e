// SPDX-License-Identifier: GPL-2.0-only
// --since and --until: a moment of a recording.
#pragma once

#include <string>

#include "user/util/result.h"
#include "user/util/time.h"

namespace tcpwhy::cli {

// "2026-03-01T12:09:54.5Z"; "12:09:54" or "12:09", local time, the first such moment from `start` on; "+90s", after
// `start`. The time zero where text is empty.
// A time that the clock showed twice, for it was set back, is the first for --since and the last for --until.
util::Result<util::BootTime> parse_moment(const std::string& text, util::BootTime start, const util::WallClock& wall,
                                          util::WallClock::Which which);

}  // namespace tcpwhy::cli
