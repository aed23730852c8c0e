// SPDX-License-Identifier: GPL-2.0-only
#include "user/top/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "user/core/host.h"
#include "user/util/printable.h"

namespace tcpwhy::top {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};
// Unicode's East Asian Width W and F, in the ranges that matter; and what takes no column.
constexpr std::array<Range, 9> kWide{{{0x1100, 0x115F},
                                      {0x2E80, 0xA4CF},
                                      {0xAC00, 0xD7A3},
                                      {0xF900, 0xFAFF},
                                      {0xFE30, 0xFE6F},
                                      {0xFF00, 0xFF60},
                                      {0xFFE0, 0xFFE6},
                                      {0x1F300, 0x1FAFF},
                                      {0x20000, 0x3FFFD}}};
constexpr std::array<Range, 3> kNone{{{0x0300, 0x036F}, {0x200B, 0x200F}, {0xFE00, 0xFE0F}}};

template <std::size_t N>
bool is_in(const std::array<Range, N>& ranges, char32_t c) {
  return std::any_of(ranges.begin(), ranges.end(), [c](const Range& r) { return c >= r.first && c <= r.last; });
}

std::size_t width_of(char32_t c) { return is_in(kNone, c) ? 0 : is_in(kWide, c) ? 2 : 1; }

struct Character {
  std::size_t bytes = 1;
  std::size_t columns = 1;
};

Character first_of(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t wanted = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  const std::size_t size = std::min(wanted, text.size());
  char32_t c = size == 1 ? lead : lead & (0x7FU >> size);
  for (std::size_t i = 1; i < size; ++i) c = c << 6 | (static_cast<unsigned char>(text[i]) & 0x3FU);
  return {size, width_of(c)};
}

// So many bytes fit.
std::size_t fitting(std::string_view text, std::size_t width) {
  std::size_t at = 0;
  std::size_t used = 0;
  while (at < text.size()) {
    const Character c = first_of(text.substr(at));
    if (used + c.columns > width) break;
    at += c.bytes;
    used += c.columns;
  }
  return at;
}

std::string cut(std::string_view text, std::size_t width) {
  if (columns_of(text) <= width) return std::string{text};
  if (width == 0) return {};
  return std::string{text.substr(0, fitting(text, width - 1))} + "~";
}

std::string blanks(std::size_t count) { return std::string(count, ' '); }

}  // namespace

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    const Character c = first_of(text);
    columns += c.columns;
    text.remove_prefix(c.bytes);
  }
  return columns;
}

std::string left(std::string_view text, std::size_t width) {
  std::string out = cut(text, width);
  return out + blanks(width - std::min(width, columns_of(out)));
}

std::string right(std::string_view text, std::size_t width) {
  const std::string out = cut(text, width);
  return blanks(width - std::min(width, columns_of(out))) + out;
}

std::string keep_end(std::string_view text, std::size_t width) {
  if (columns_of(text) <= width) return left(text, width);
  if (width == 0) return {};
  while (columns_of(text) > width - 1) text.remove_prefix(first_of(text).bytes);
  return left("~" + std::string{text}, width);
}

std::string process_name(const std::optional<core::Process>& process, std::size_t width) {
  if (!process) return left("-", width);
  const std::string pid = fmt::format("[{}]", core::plain_pid(process->pid));
  const std::string name = util::printable(process->comm);
  if (columns_of(name) + pid.size() <= width || pid.size() + 2 > width) return left(name + pid, width);
  return left(cut(name, width - pid.size()) + pid, width);
}

std::string bytes(std::uint64_t count) {
  constexpr std::string_view kUnits = "KMGTPE";
  if (count < 1000) return std::to_string(count);
  auto value = static_cast<double>(count);
  for (const char unit : kUnits) {
    value /= 1024;
    if (value < 9.95) return fmt::format("{:.1f}{}", value, unit);
    if (value < 999.5) return fmt::format("{:.0f}{}", value, unit);
  }
  return "many";
}

std::string duration(util::Duration d) {
  using std::chrono::duration_cast;
  const std::int64_t ms = std::max<std::int64_t>(0, util::to_ms(d));
  const std::int64_t s = ms / 1000;
  if (ms < 9950) return fmt::format("{:.1f}s", static_cast<double>(ms) / 1000);
  if (s < 100) return fmt::format("{}s", s);
  if (s < 100 * 60) return fmt::format("{}m{:02}s", s / 60, s % 60);
  if (s < 100 * 3600) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  return fmt::format("{}d", s / 86400);
}

std::string grouped(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string bar(std::uint64_t value, std::uint64_t limit, std::size_t width) {
  if (width < 3) return std::string(width, ' ');
  const std::size_t room = width - 2;
  std::size_t filled = room;
  if (value < limit) filled = static_cast<std::size_t>(value * room / limit);
  if (value > 0) filled = std::max<std::size_t>(filled, 1);
  if (value == 0) filled = 0;
  return "[" + std::string(filled, '#') + std::string(room - filled, '.') + "]";
}

std::vector<std::string> wrapped(std::string_view text, std::size_t width, std::size_t hang) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    const bool is_first = columns_of(lines.back()) <= (lines.size() > 1 ? hang : 0);
    if (!is_first && columns_of(lines.back()) + 1 + columns_of(word) > width) lines.push_back(blanks(hang));
    const bool begins = columns_of(lines.back()) <= (lines.size() > 1 ? hang : 0);
    if (!begins) lines.back() += ' ';
    lines.back() += word;
  }
  return lines;
}

}  // namespace tcpwhy::top
