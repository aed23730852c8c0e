// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/moment.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace tcpwhy::cli {
namespace {

using namespace std::chrono_literals;

class Moment : public testing::Test {
 protected:
  Moment() {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }
  // The recording began at 2026-03-01T12:00:00Z, 1000 s after boot.
  static std::string of(const std::string& text) {
    const auto moment = parse_moment(text, start, wall, util::WallClock::Which::first);
    return moment ? util::rfc3339(*moment, wall) : moment.error().what;
  }
  static constexpr util::BootTime start{1000s};
  static constexpr util::WallOffset wall{(1'772'366'400LL - 1000) * 1'000'000'000};
};

TEST_F(Moment, ADateAndTime) {
  EXPECT_EQ(of("2026-03-01T12:09:54Z"), "2026-03-01T12:09:54.000000Z");
  EXPECT_EQ(of("2026-03-01T12:09:54.25Z"), "2026-03-01T12:09:54.250000Z");
}

TEST_F(Moment, AClockTimeIsTheFirstFromTheStartOn) {
  EXPECT_EQ(of("12:09:54"), "2026-03-01T12:09:54.000000Z");
  EXPECT_EQ(of("12:09"), "2026-03-01T12:09:00.000000Z");
  EXPECT_EQ(of("03:10:00.5"), "2026-03-02T03:10:00.500000Z");
}

TEST_F(Moment, AfterTheStart) { EXPECT_EQ(of("+90s"), "2026-03-01T12:01:30.000000Z"); }

TEST_F(Moment, WhatIsNoTimeIsSaid) {
  for (const char* text :
       {"noon", "12", "+", "+x", "+106751d", "2026-03-01", "12:09:54Z", "25:00:00", "9999-01-01T00:00:00Z"})
    EXPECT_EQ(of(text), std::string{"'"} + text + "' is no time");
}

TEST_F(Moment, OfAClockThatWasSetBack) {
  util::WallClock clock{wall};
  clock.step({start + 600s, {wall.nanoseconds - 3600LL * 1'000'000'000}});  // at 12:10 it was set to 11:10
  const auto at = [&](util::WallClock::Which which) {
    return *parse_moment("2026-03-01T12:05:00Z", start, clock, which) - start;
  };
  EXPECT_EQ(at(util::WallClock::Which::first), 300s);
  EXPECT_EQ(at(util::WallClock::Which::last), 300s + 3600s);
}

TEST_F(Moment, OfDayAfterTheClockWasSet) {
  const auto at = [](const std::string& text, const util::WallClock& clock, util::WallClock::Which which) {
    return std::chrono::duration_cast<std::chrono::seconds>(*parse_moment(text, start, clock, which) - start).count();
  };
  util::WallClock back{wall};
  back.step({start + 600s, {wall.nanoseconds - 3600LL * 1'000'000'000}});  // at 12:10 it was set to 11:10
  EXPECT_EQ(at("11:30", back, util::WallClock::Which::first), 1800);
  EXPECT_EQ(at("12:05", back, util::WallClock::Which::first), 300);
  EXPECT_EQ(at("12:05", back, util::WallClock::Which::last), 3900);
  util::WallClock from_1970{util::WallOffset{-1000LL * 1'000'000'000}};
  from_1970.step({start + 60s, {wall.nanoseconds}});  // it began at midnight, NTP set it to 12:01
  EXPECT_EQ(at("12:09:54", from_1970, util::WallClock::Which::last), 594);
}

TEST_F(Moment, NothingIsTheTimeZero) {
  EXPECT_EQ(*parse_moment("", start, wall, util::WallClock::Which::first), util::BootTime{});
}

}  // namespace
}  // namespace tcpwhy::cli
