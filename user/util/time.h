// SPDX-License-Identifier: GPL-2.0-only
// The two clocks of the project: boot time (every record) and wall time (every line printed).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

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

// Turns boot time into wall time: wall = boot + offset.
struct WallOffset {
  std::int64_t nanoseconds = 0;
};

// Of what a file says: until the year 2116, so that no sum with a boot time overflows, however damaged it is.
inline WallOffset wall_offset(std::int64_t nanoseconds) {
  constexpr std::int64_t kLeast = -(std::int64_t{1} << 60);
  constexpr std::int64_t kMost = std::int64_t{1} << 62;
  return {nanoseconds < kLeast ? kLeast : nanoseconds > kMost ? kMost : nanoseconds};
}

// From this moment on the wall clock had another offset: somebody set it, NTP stepped it, or a leap second came.
struct WallStep {
  BootTime from{};
  WallOffset offset;
};

// The wall clock of one run: the offset at its start and its steps since, as the stream told of them, so that a replay
// prints the same times. Copies are of the same run and share the steps; any thread may ask.
class WallClock {
 public:
  WallClock(WallOffset at_start = {}) : at_start_(at_start) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] WallOffset at_start() const { return at_start_; }
  [[nodiscard]] WallOffset at(BootTime time) const;
  // Nanoseconds since 1970.
  [[nodiscard]] std::int64_t wall_ns(BootTime time) const;
  // One that is not later than the newest is known already, and changes nothing.
  void step(WallStep step);
  [[nodiscard]] std::vector<WallStep> steps() const;
  // When the clock showed this. What it showed twice is the first time for which = first, the last for which = last; what
  // it never showed is the moment in which it stepped over it.
  enum class Which : bool { first, last };
  [[nodiscard]] BootTime moment(std::int64_t wall_ns, Which which) const;

 private:
  static constexpr std::size_t kMostSteps = 100000;  // a damaged recording may tell of any number
  struct Steps {
    std::atomic<bool> any{false};
    std::mutex mutex;
    std::vector<WallStep> list;  // in the order of time
  };
  WallOffset at_start_;
  std::shared_ptr<Steps> steps_ = std::make_shared<Steps>();
};

// RFC 3339, UTC, microseconds: 2026-03-01T12:09:54.954123Z
std::string rfc3339(BootTime time, const WallClock& clock);
// 12:09:54.954, local time of the machine that prints unless TZ says otherwise.
std::string clock_time(BootTime time, const WallClock& clock);
// "3.5 s", "120 s", "2 min 5 s", "850 ms": for people.
std::string human(Duration d);
// "1 h ahead", "1.5 s back": how far a clock was moved, to the millisecond.
std::string moved_words(Duration d);
// "10s", "1.5s", "200ms", "3min", "2h": what --for and --threshold take. False where it is not a duration.
bool parse_duration(const std::string& text, Duration& out);
// The same, above 0; the Error says what to write.
Result<Duration> parse_positive_duration(const std::string& text);
// "1500ms", "15min": to be parsed again, to the nanosecond. Of what is not negative.
std::string duration_word(Duration d);

}  // namespace tcpwhy::util
