// SPDX-License-Identifier: GPL-2.0-only
// tcpwhy report --format html: two passes over the recording, one page.
#pragma once

#include "user/cli/options.h"
#include "user/cli/replay.h"

namespace tcpwhy::cli {

// What cannot go together with --format html, before anything is read.
util::Status check_html(const ReportOptions& options);
// Returns an ExitCode.
int report_html(const ReportOptions& options, Recordings& recordings, const Joined& joined,
                const core::Settings& settings, const Span& span);

}  // namespace tcpwhy::cli
