// SPDX-License-Identifier: GPL-2.0-only
#include "user/util/time.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace tcpwhy::util {
namespace {

using namespace std::chrono_literals;

constexpr WallOffset kEpochAtBoot{};
// 2026-03-01T12:00:00Z
constexpr WallOffset kMarch{1'772'366'400'000'000'000};

TEST(Rfc3339, IsUtcWithMicroseconds) {
  EXPECT_EQ(rfc3339(boot_time(0), kEpochAtBoot), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(rfc3339(boot_time(594'954'123'999), kMarch), "2026-03-01T12:09:54.954123Z");
}

TEST(Rfc3339, CountsDownBeforeTheEpoch) {
  EXPECT_EQ(rfc3339(boot_time(0), WallOffset{-1'000}), "1969-12-31T23:59:59.999999Z");
}

TEST(BootTimes, WhatADamagedRecordSaysDoesNotOverflowWhatIsComputedFromIt) {
  const Duration longest = boot_time(~0ULL) - boot_time(0);
  EXPECT_GT(longest, Duration::zero());
  EXPECT_GT(longest * 4, longest);
  EXPECT_EQ(boot_time(1234).time_since_epoch().count(), 1234);
}

TEST(ClockTime, IsLocal) {
  setenv("TZ", "CET-1", 1);
  tzset();
  EXPECT_EQ(clock_time(boot_time(594'954'999'999), kMarch), "13:09:54.954");
  unsetenv("TZ");
  tzset();
}

TEST(Human, PicksTheUnitAndNeverRoundsUp) {
  const std::pair<Duration, std::string> rows[] = {
      {0s, "0 ms"},
      {99us, "0 ms"},
      {550us, "0.5 ms"},
      {1ms, "1 ms"},
      {850ms, "850 ms"},
      {999'999us, "999 ms"},
      {1s, "1 s"},
      {3'499ms, "3.4 s"},
      {3'500ms, "3.5 s"},
      {9'999ms, "9.9 s"},
      {10'900ms, "10 s"},
      {120s, "120 s"},
      {120'999ms, "120 s"},
      {121s, "2 min 1 s"},
      {125s, "2 min 5 s"},
      {180s, "3 min"},
      {59min + 59s, "59 min 59 s"},
      {2h, "2 h"},
      {125min, "2 h 5 min"},
      {-3'500ms, "-3.5 s"},
  };
  for (const auto& [duration, words] : rows) {
    EXPECT_EQ(human(duration), words);
  }
}

TEST(ParseDuration, TakesANumberAndAUnit) {
  const std::pair<std::string, Duration> rows[] = {
      {"10s", 10s},
      {"1.5s", 1'500ms},
      {"200ms", 200ms},
      {"3min", 3min},
      {"10m", 10min},
      {"2h", 2h},
      {"1d", 24h},
      {"7us", 7us},
      {"5ns", 5ns},
      {"0s", 0s},
      {"0.25s", 250ms},
      {"0.0001s", 100us},
      {"1.99999s", 1'999'900us},
  };
  for (const auto& [text, duration] : rows) {
    Duration parsed{-1};
    EXPECT_TRUE(parse_duration(text, parsed)) << text;
    EXPECT_EQ(parsed, duration) << text;
  }
}

TEST(ParseDuration, RefusesEverythingElse) {
  for (const char* text : {"", "10", "s", "-1s", "+1s", "1 s", "1s ", "1.s", ".5s", "1,5s", "10S", "1x", "2min5s",
                           "99999999999999999999s", "300000d", "0x10s"}) {
    Duration untouched{42};
    EXPECT_FALSE(parse_duration(text, untouched)) << text;
    EXPECT_EQ(untouched.count(), 42) << text;
  }
}

TEST(ParseDuration, SaysWhatToWriteWhereNothingWouldPass) {
  EXPECT_EQ(*parse_positive_duration("1ns"), 1ns);
  for (const char* text : {"0s", "5", "", "off"}) {
    const Result<Duration> parsed = parse_positive_duration(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().hint.find("200ms"), std::string::npos);
  }
}

TEST(DurationWord, IsParsedAgainToTheNanosecond) {
  const std::pair<Duration, std::string> rows[] = {
      {1ns, "1ns"},
      {1'500us, "1500us"},
      {200ms, "200ms"},
      {1'500ms, "1500ms"},
      {1s, "1s"},
      {60s, "1min"},
      {90s, "90s"},
      {15min, "15min"},
      {2h, "2h"},
      {48h, "2d"},
      {Duration::max() - 1ns, "9223372036854775806ns"},
  };
  for (const auto& [duration, word] : rows) {
    EXPECT_EQ(duration_word(duration), word);
    EXPECT_EQ(*parse_positive_duration(word), duration);
  }
}

TEST(WallClock, HowFarItWasMoved) {
  EXPECT_EQ(moved_words(Duration{3'599'999'999'940}), "1 h ahead");
  EXPECT_EQ(moved_words(Duration{-1'500'000'000}), "1.5 s back");
}

TEST(WallClock, AStepHoldsFromItsMomentOn) {
  WallClock clock{kMarch};
  const WallClock copy = clock;
  clock.step({boot_time(10'000'000'000), {kMarch.nanoseconds + 3'600'000'000'000}});
  EXPECT_EQ(rfc3339(boot_time(9'999'999'000), clock), "2026-03-01T12:00:09.999999Z");
  EXPECT_EQ(rfc3339(boot_time(10'000'000'000), clock), "2026-03-01T13:00:10.000000Z");
  EXPECT_EQ(rfc3339(boot_time(10'000'000'000), copy), "2026-03-01T13:00:10.000000Z") << "a copy is of the same run";
  EXPECT_EQ(clock.at_start().nanoseconds, kMarch.nanoseconds);
}

TEST(WallClock, AStepThatIsKnownChangesNothing) {
  WallClock clock;
  clock.step({boot_time(20), {5}});
  clock.step({boot_time(20), {6}});
  clock.step({boot_time(10), {7}});
  ASSERT_EQ(clock.steps().size(), 1U);
  EXPECT_EQ(clock.at(boot_time(15)).nanoseconds, 0);
  EXPECT_EQ(clock.at(boot_time(25)).nanoseconds, 5);
}

TEST(WallClock, WhenItShowedATime) {
  using enum WallClock::Which;
  WallClock clock;
  EXPECT_EQ(clock.moment(50, first), BootTime{Duration{50}});
  clock.step({BootTime{Duration{100}}, {1000}});  // it shows 0 to 99, 1100 to 1199, and 190 again
  clock.step({BootTime{Duration{200}}, {-10}});
  EXPECT_EQ(clock.moment(50, first), BootTime{Duration{50}});
  EXPECT_EQ(clock.moment(1150, first), BootTime{Duration{150}});
  EXPECT_EQ(clock.moment(1150, last), BootTime{Duration{1160}});
  EXPECT_EQ(clock.moment(195, last), BootTime{Duration{205}});
  EXPECT_EQ(clock.moment(150, first), BootTime{Duration{100}}) << "it stepped over that";
}

}  // namespace
}  // namespace tcpwhy::util
