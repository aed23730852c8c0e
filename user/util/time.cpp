// SPDX-License-Identifier: GPL-2.0-only
#include "user/util/time.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <iterator>
#include <limits>
#include <optional>
#include <string_view>

namespace tcpwhy::util {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

struct WallTime {
  std::time_t seconds = 0;
  std::int64_t nanoseconds = 0;  // 0 to 999,999,999, before 1970 too
};

WallTime wall_time(BootTime time, const WallClock& clock) {
  const std::int64_t ns = clock.wall_ns(time);
  WallTime wall{static_cast<std::time_t>(ns / kNsPerSecond), ns % kNsPerSecond};
  if (wall.nanoseconds < 0) {
    wall.nanoseconds += kNsPerSecond;
    --wall.seconds;
  }
  return wall;
}

struct Unit {
  std::string_view name;
  std::int64_t ns;
};
// Of two names for one unit the one to be written stands last.
constexpr Unit kUnits[] = {
    {"ns", 1},
    {"us", 1'000},
    {"ms", 1'000'000},
    {"sec", kNsPerSecond},
    {"s", kNsPerSecond},
    {"m", 60 * kNsPerSecond},
    {"min", 60 * kNsPerSecond},
    {"h", 3'600 * kNsPerSecond},
    {"d", 86'400 * kNsPerSecond},
};

std::optional<std::int64_t> unit_ns(std::string_view name) {
  for (const Unit& unit : kUnits) {
    if (unit.name == name) {
      return unit.ns;
    }
  }
  return std::nullopt;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes the digits at the head of `text`; false where there are none or they do not fit.
bool take_number(std::string_view& text, std::int64_t& number) {
  std::size_t length = 0;
  number = 0;
  while (length < text.size() && is_digit(text[length])) {
    const int digit = text[length] - '0';
    if (number > (std::numeric_limits<std::int64_t>::max() - digit) / 10) {
      return false;
    }
    number = number * 10 + digit;
    ++length;
  }
  text.remove_prefix(length);
  return length > 0;
}

// Takes ".25" at the head of `text` as 25 of 100; no fraction is 0 of 1. Digits after the fourth are dropped.
bool take_fraction(std::string_view& text, std::int64_t& parts, std::int64_t& scale) {
  parts = 0;
  scale = 1;
  if (text.empty() || text.front() != '.') {
    return true;
  }
  text.remove_prefix(1);
  std::size_t length = 0;
  for (; length < text.size() && is_digit(text[length]); ++length) {
    if (scale < 10'000) {  // a day in ns times 10,000 still fits
      parts = parts * 10 + (text[length] - '0');
      scale *= 10;
    }
  }
  text.remove_prefix(length);
  return length > 0;
}

}  // namespace

WallOffset WallClock::at(BootTime time) const {
  if (!steps_->any) return at_start_;
  const std::lock_guard lock{steps_->mutex};
  const auto next = std::upper_bound(steps_->list.begin(), steps_->list.end(), time,
                                     [](BootTime t, const WallStep& step) { return t < step.from; });
  return next == steps_->list.begin() ? at_start_ : std::prev(next)->offset;
}

std::int64_t WallClock::wall_ns(BootTime time) const {
  std::int64_t sum = 0;
  const bool overflows = __builtin_add_overflow(time.time_since_epoch().count(), at(time).nanoseconds, &sum);
  return overflows ? std::numeric_limits<std::int64_t>::max() : sum;  // of a damaged recording
}

void WallClock::step(WallStep step) {
  const std::lock_guard lock{steps_->mutex};
  if (!steps_->list.empty() && step.from <= steps_->list.back().from) return;
  if (steps_->list.size() >= kMostSteps) return;
  steps_->list.push_back(step);
  steps_->any = true;
}

std::vector<WallStep> WallClock::steps() const {
  const std::lock_guard lock{steps_->mutex};
  return steps_->list;
}

BootTime WallClock::moment(std::int64_t wall_ns, Which which) const {
  const std::vector<WallStep> all = steps();
  std::optional<BootTime> shown;
  std::optional<BootTime> stepped_over;
  for (std::size_t i = 0; i <= all.size(); ++i) {
    const WallOffset offset = i == 0 ? at_start_ : all[i - 1].offset;
    const BootTime here{Duration{wall_ns - offset.nanoseconds}};
    const bool begun = i == 0 || here >= all[i - 1].from;
    const bool over = i < all.size() && here >= all[i].from;
    if (!begun && !stepped_over) stepped_over = all[i - 1].from;
    if (begun && !over && (!shown || which == Which::last)) shown = here;
  }
  return shown ? *shown : *stepped_over;
}

std::string rfc3339(BootTime time, const WallClock& clock) {
  const WallTime wall = wall_time(time, clock);
  std::tm tm{};
  gmtime_r(&wall.seconds, &tm);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                     tm.tm_hour, tm.tm_min, tm.tm_sec, wall.nanoseconds / 1'000);
}

std::string clock_time(BootTime time, const WallClock& clock) {
  const WallTime wall = wall_time(time, clock);
  std::tm tm{};
  localtime_r(&wall.seconds, &tm);
  return fmt::format("{:02}:{:02}:{:02}.{:03}", tm.tm_hour, tm.tm_min, tm.tm_sec, wall.nanoseconds / 1'000'000);
}

std::string moved_words(Duration d) {
  const auto moved = std::chrono::round<std::chrono::milliseconds>(d);
  return d < Duration::zero() ? human(-moved) + " back" : human(moved) + " ahead";
}

// Cut, never rounded up: "waited 3.5 s" must not be said of 3.46 s.
std::string human(Duration d) {
  if (d < Duration::zero()) {
    return "-" + human(-d);
  }
  const std::int64_t ms = to_ms(d);
  const std::int64_t seconds = ms / 1'000;
  if (ms < 1) {
    const std::int64_t tenths = d.count() / 100'000;
    return tenths == 0 ? "0 ms" : fmt::format("0.{} ms", tenths);
  }
  if (seconds < 1) {
    return fmt::format("{} ms", ms);
  }
  if (seconds < 10) {
    const std::int64_t tenths = ms % 1'000 / 100;
    return tenths == 0 ? fmt::format("{} s", seconds) : fmt::format("{}.{} s", seconds, tenths);
  }
  if (seconds <= 120) {
    return fmt::format("{} s", seconds);
  }
  const std::int64_t minutes = seconds / 60;
  if (minutes < 60) {
    return seconds % 60 == 0 ? fmt::format("{} min", minutes) : fmt::format("{} min {} s", minutes, seconds % 60);
  }
  return minutes % 60 == 0 ? fmt::format("{} h", minutes / 60) : fmt::format("{} h {} min", minutes / 60, minutes % 60);
}

bool parse_duration(const std::string& text, Duration& out) {
  std::string_view rest = text;
  std::int64_t whole = 0;
  std::int64_t parts = 0;
  std::int64_t scale = 1;
  if (!take_number(rest, whole) || !take_fraction(rest, parts, scale)) {
    return false;
  }
  const std::optional<std::int64_t> unit = unit_ns(rest);
  if (!unit || whole > (std::numeric_limits<std::int64_t>::max() - *unit) / *unit) {
    return false;
  }
  out = Duration{whole * *unit + *unit * parts / scale};
  return true;
}

Result<Duration> parse_positive_duration(const std::string& text) {
  Duration duration{};
  if (!parse_duration(text, duration) || duration <= Duration::zero()) {
    return Error{fmt::format("'{}' is not a duration", text), 0,
                 "write a number above 0 and its unit, as in 200ms, 1.5s, 10s, 3min or 2h"};
  }
  return duration;
}

std::string duration_word(Duration d) {
  const Unit* unit = std::begin(kUnits);
  for (const Unit& larger : kUnits) {
    unit = d.count() % larger.ns == 0 ? &larger : unit;
  }
  return fmt::format("{}{}", d.count() / unit->ns, unit->name);
}

}  // namespace tcpwhy::util
