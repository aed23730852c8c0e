// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/live_log.h"

#include <bpf/libbpf.h>
#include <spdlog/spdlog.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string_view>

namespace tcpwhy::source {
namespace {

constexpr std::size_t kLinesKept = 4;
constexpr std::size_t kLongestLine = 200;

// libbpf's callback has no context argument; it runs only in the thread that loads.
std::deque<std::string>& warnings() {
  static std::deque<std::string> lines;
  return lines;
}

struct FreeText {
  void operator()(char* text) const { std::free(text); }
};

// A verifier log is one message of thousands of lines, of which the last ones tell.
void remember_last_lines(std::string_view message) {
  while (!message.empty()) {
    const std::string_view line = message.substr(0, message.find('\n'));
    message.remove_prefix(std::min(line.size() + 1, message.size()));
    if (line.empty() || line.find("PROG LOAD LOG") != std::string_view::npos) continue;
    warnings().emplace_back(line.substr(0, kLongestLine));
    if (warnings().size() > kLinesKept) warnings().pop_front();
  }
}

[[gnu::format(printf, 2, 0)]] int on_message(libbpf_print_level level, const char* format, va_list arguments) {
  const auto shown_at = level == LIBBPF_DEBUG ? spdlog::level::trace : spdlog::level::debug;
  if (level != LIBBPF_WARN && !spdlog::should_log(shown_at)) return 0;
  char* raw = nullptr;
  const int length = vasprintf(&raw, format, arguments);
  if (length < 0) return 0;
  const std::unique_ptr<char, FreeText> owner{raw};
  std::string_view message{raw, static_cast<std::size_t>(length)};
  while (!message.empty() && message.back() == '\n') message.remove_suffix(1);
  spdlog::log(shown_at, message);
  if (level == LIBBPF_WARN) remember_last_lines(message);
  return 0;
}

}  // namespace

void capture_libbpf_messages() {
  warnings().clear();
  libbpf_set_print(on_message);
}

std::string take_libbpf_warnings() {
  std::string text;
  for (const std::string& line : warnings()) text += (text.empty() ? "" : "; ") + line;
  warnings().clear();
  return text;
}

void log_info(const std::string& text) { spdlog::info("{}", text); }
void log_debug(const std::string& text) { spdlog::debug("{}", text); }

}  // namespace tcpwhy::source
