// SPDX-License-Identifier: GPL-2.0-only
// What is said on standard error.
#pragma once

#include <string_view>

namespace tcpwhy::cli {

// spdlog's default logger: to stderr, "tcpwhy info: attached ...", coloured on a terminal without
// NO_COLOR. Throws spdlog::spdlog_ex.
void set_up_logging();

// A line each, through that logger, from any thread. The words are put together by the caller: formatting inside spdlog is
// 50 KiB of code, and three seconds of compiling, in each file that does it.
namespace log {
void info(std::string_view words);
void warn(std::string_view words);
void error(std::string_view words);
}  // namespace log

}  // namespace tcpwhy::cli
