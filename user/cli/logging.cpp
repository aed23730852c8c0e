// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/logging.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <string_view>

namespace tcpwhy::cli {

void set_up_logging() {
  const char* no_color = std::getenv("NO_COLOR");
  const bool plain = no_color != nullptr && *no_color != '\0';
  auto logger = spdlog::stderr_color_mt("tcpwhy", plain ? spdlog::color_mode::never : spdlog::color_mode::automatic);
  logger->set_pattern("%n %^%l%$: %v");
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

namespace log {
void info(std::string_view words) { spdlog::info(words); }
void warn(std::string_view words) { spdlog::warn(words); }
void error(std::string_view words) { spdlog::error(words); }
}  // namespace log

}  // namespace tcpwhy::cli
