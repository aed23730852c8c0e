// SPDX-License-Identifier: GPL-2.0-only
#pragma once

namespace tcpwhy::cli {

// spdlog's default logger: to stderr, "tcpwhy info: attached ...", coloured on a terminal without
// NO_COLOR. Throws spdlog::spdlog_ex.
void set_up_logging();

}  // namespace tcpwhy::cli
