// SPDX-License-Identifier: GPL-2.0-only
// The arithmetic that the kernel side keeps a service's usual wait with (bpf/usual_wait.h), as detectors use it: 20 times.
#include <gtest/gtest.h>
#include <linux/types.h>

#include <algorithm>
#include <random>

#include "bpf/usual_wait.h"

namespace tcpwhy::source {
namespace {

constexpr std::uint64_t kMs = 1000, kSecond = 1000 * kMs;

class Service {
 public:
  void answers(std::uint64_t wait_us, int times = 1) {
    for (int i = 0; i < times; ++i) usual_us_ = tw_usual_after(usual_us_, count_++, wait_us);
  }
  [[nodiscard]] std::uint64_t usual() const { return usual_us_; }
  [[nodiscard]] std::uint64_t allowed() const { return 20 * usual_us_; }

 private:
  std::uint64_t usual_us_ = 0;
  std::uint32_t count_ = 0;
};

TEST(UsualWait, TheFirstAnswerIsAllThatIsKnown) {
  Service service;
  service.answers(30 * kSecond);
  EXPECT_EQ(service.usual(), 30 * kSecond);
}

TEST(UsualWait, AConstantWaitStays) {
  Service service;
  service.answers(7 * kMs, 5000);
  EXPECT_EQ(service.usual(), 7 * kMs);
}

TEST(UsualWait, OneSlowAnswerOfManyBuysLittleAndIsForgotten) {
  Service four, sixty;
  for (Service* service : {&four, &sixty}) service->answers(5 * kMs, 300);
  four.answers(4 * kSecond);
  EXPECT_LT(four.allowed(), 10 * kSecond) << "a stall of 30 s is reported at its threshold";
  sixty.answers(60 * kSecond);
  EXPECT_LT(sixty.allowed(), 80 * kSecond);
  sixty.answers(5 * kMs, 600);
  EXPECT_LT(sixty.allowed(), 10 * kSecond);
}

TEST(UsualWait, ASlowFirstAnswerIsForgottenToo) {
  Service service;
  service.answers(60 * kSecond);
  service.answers(5 * kMs, 1200);
  EXPECT_LT(service.allowed(), 10 * kSecond);
}

TEST(UsualWait, LongPollsAmongQuickAnswersCountAsUsualFromTheFirst) {
  Service service;
  service.answers(5 * kMs, 49);
  for (int i = 0; i < 200; ++i) {
    service.answers(30 * kSecond);
    EXPECT_GE(service.allowed(), 30 * kSecond) << "after " << i;
    service.answers(5 * kMs, 49);  // 2% are long
    EXPECT_GE(service.allowed(), 30 * kSecond) << "before the next, after " << i;
  }
}

TEST(UsualWait, LongPollsThatComeAtRandomCountAsUsual) {
  std::mt19937 random{1};
  std::bernoulli_distribution is_long{0.02};
  Service service;
  int early = 0, longs = 0;
  for (int i = 0; i < 100'000; ++i) {
    if (!is_long(random)) {
      service.answers(5 * kMs);
      continue;
    }
    if (i > 1000) longs += 1, early += service.allowed() < 30 * kSecond ? 1 : 0;
    service.answers(30 * kSecond);
  }
  EXPECT_GT(longs, 1000);
  EXPECT_LT(early * 100, longs) << early << " of " << longs << " long polls would have been reported";
}

TEST(UsualWait, StaysBetweenTheShortestAndTheLongestWait) {
  std::mt19937 random{2};
  std::uniform_int_distribution<std::uint64_t> wait{3 * kMs, 900 * kSecond};
  Service service;
  std::uint64_t least = ~std::uint64_t{0}, most = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t now = wait(random);
    least = std::min(least, now);
    most = std::max(most, now);
    service.answers(now);
    ASSERT_GE(service.usual(), least);
    ASSERT_LE(service.usual(), most);
  }
}

TEST(UsualWait, AWaitBeyondAllBoundsIsADay) {
  EXPECT_EQ(tw_usual_after(0, 0, ~std::uint64_t{0}), TW_USUAL_MOST_US);
  EXPECT_LE(tw_usual_after(TW_USUAL_MOST_US, 0xffffffff, ~std::uint64_t{0}), TW_USUAL_MOST_US);
}

}  // namespace
}  // namespace tcpwhy::source
