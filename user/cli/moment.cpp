// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/moment.h"

#include <fmt/format.h>

#include <ctime>
#include <optional>
#include <vector>

namespace tcpwhy::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kNs = 1'000'000'000;
constexpr auto kLongest = 24h * 366 * 50;  // after the start: longer than any host was up, and no sum overflows
constexpr std::time_t kLastSecond = 4'600'000'000;  // in 2115: no sum of nanoseconds overflows

// What follows the seconds: nothing, or ".5"; `end`: what must come last.
std::optional<std::int64_t> fraction_ns(const char* text, const std::string& end) {
  std::int64_t ns = 0;
  if (*text == '.') {
    std::int64_t unit = kNs / 10;
    for (++text; *text >= '0' && *text <= '9'; ++text, unit /= 10) ns += (*text - '0') * unit;
  }
  return text == end ? std::optional{ns} : std::nullopt;
}

std::optional<std::int64_t> absolute_ns(const std::string& text) {
  std::tm fields{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &fields);
  const auto fraction = rest ? fraction_ns(rest, "Z") : std::nullopt;
  if (!fraction) return std::nullopt;
  const std::time_t seconds = ::timegm(&fields);
  if (seconds < 0 || seconds > kLastSecond) return std::nullopt;
  return static_cast<std::int64_t>(seconds) * kNs + *fraction;
}

std::optional<std::int64_t> clock_ns(const std::string& text, std::int64_t start_ns) {
  const std::time_t start = start_ns / kNs;
  std::tm fields{};
  ::localtime_r(&start, &fields);
  fields.tm_sec = 0;
  const char* rest = ::strptime(text.c_str(), "%H:%M:%S", &fields);
  if (!rest) rest = ::strptime(text.c_str(), "%H:%M", &fields);
  const auto fraction = rest ? fraction_ns(rest, "") : std::nullopt;
  if (!fraction) return std::nullopt;
  fields.tm_isdst = -1;
  std::int64_t ns = static_cast<std::int64_t>(::mktime(&fields)) * kNs + *fraction;
  // Of a recording that began within this second, it is the begin.
  if (ns < start_ns - start_ns % kNs) {
    fields.tm_mday += 1;
    fields.tm_isdst = -1;
    ns = static_cast<std::int64_t>(::mktime(&fields)) * kNs + *fraction;
  }
  return ns;
}

// Where the clock was set, each stretch of it has such a moment of its own: nothing where none lies within its stretch.
std::optional<util::BootTime> moment_of_day(const std::string& text, util::BootTime start, const util::WallClock& wall,
                                            util::WallClock::Which which) {
  std::vector<util::BootTime> begins{start};
  for (const util::WallStep& step : wall.steps())
    if (step.from > start) begins.push_back(step.from);
  std::optional<util::BootTime> found;
  for (std::size_t i = 0; i < begins.size() && begins.size() > 1; ++i) {
    const auto ns = clock_ns(text, wall.wall_ns(begins[i]));
    if (!ns) return std::nullopt;
    const util::BootTime here{util::Duration{*ns - wall.at(begins[i]).nanoseconds}};
    const bool within = i + 1 == begins.size() || here < begins[i + 1];
    // The last stretch goes on for ever: what it shows days later was not meant where another shows it.
    if (within && (!found || (which == util::WallClock::Which::last && here - begins[i] < 12h))) found = here;
  }
  return found;
}

}  // namespace

util::Result<util::BootTime> parse_moment(const std::string& text, util::BootTime start, const util::WallClock& wall,
                                          util::WallClock::Which which) {
  if (text.empty()) return util::BootTime{};
  util::Duration after{};
  if (text.front() == '+' && util::parse_duration(text.substr(1), after) && after < kLongest) return start + after;
  if (const auto moment = moment_of_day(text, start, wall, which)) return *moment;
  std::optional<std::int64_t> ns = absolute_ns(text);
  if (!ns) ns = clock_ns(text, wall.wall_ns(start));
  if (!ns)
    return util::Error{fmt::format("'{}' is no time", text), 0,
                       "write 2026-03-01T12:09:54Z, 12:09:54, or +90s for 90 s after the start"};
  return wall.moment(*ns, which);
}

}  // namespace tcpwhy::cli
