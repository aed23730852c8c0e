// SPDX-License-Identifier: GPL-2.0-only
// The two clocks of the project: boot time (every record) and wall time (every line printed).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "user/util/result.h"

namespace tcpwhy::util {

// CLOCK_BOOTTIME, what bpf_ktime_get_boot_ns() gives. The only clock that detectors see.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;
};
using BootTime = BootClock::time_point;
using Duration = std::chrono::nanoseconds;

// A host is up for less than 36 years; what a damaged record says beyond that would overflow whatever is computed from it.
inline BootTime boot_time(std::uint64_t nanoseconds) {
  constexpr std::uint64_t kLongest = 1ULL << 60;
  return BootTime{Duration{static_cast<Duration::rep>(nanoseconds < kLongest ? nanoseconds : kLongest)}};
}
inline std::int64_t to_ms(Duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); }

// Turns boot time into wall time: wall = boot + offset. Taken once at start and kept in META, so that a replay
// prints the same times.
struct WallOffset {
  std::int64_t nanoseconds = 0;
};

// RFC 3339, UTC, microseconds: 2026-03-01T12:09:54.954123Z
std::string rfc3339(BootTime time, WallOffset offset);
// 12:09:54.954, local time of the machine that prints unless TZ says otherwise.
std::string clock_time(BootTime time, WallOffset offset);
// "3.5 s", "120 s", "2 min 5 s", "850 ms": for people.
std::string human(Duration d);
// "10s", "1.5s", "200ms", "3min", "2h": what --for and --threshold take. False where it is not a duration.
bool parse_duration(const std::string& text, Duration& out);
// The same, above 0; the Error says what to write.
Result<Duration> parse_positive_duration(const std::string& text);
// "1500ms", "15min": to be parsed again, to the nanosecond. Of what is not negative.
std::string duration_word(Duration d);

}  // namespace tcpwhy::util
