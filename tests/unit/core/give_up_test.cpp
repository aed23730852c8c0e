// SPDX-License-Identifier: GPL-2.0-only
// Against the kernel's timer by hand: with an RTO of r, the time-outs come r, 3r, 7r, 15r, 31r, 63r after the data, and
// the kernel gives up at the first of them where the model's time has passed since the first retransmission.
#include "user/core/give_up.h"

#include <gtest/gtest.h>

namespace tcpwhy::core {
namespace {

using namespace std::chrono_literals;
using util::Duration;

// Seen inside the handler of the first time-out: neither is the RTO doubled yet, nor retrans_stamp set.
abi::Socket first_timeout(unsigned retries2, Duration rto = 208ms) {
  abi::Socket s;
  s.full = true;
  s.in_timer = true;
  s.retransmits = 1;
  s.packets_out = 1;
  s.rto = rto;
  s.rto_max = 120s;
  s.retries2 = static_cast<std::uint8_t>(retries2);
  return s;
}

TEST(GiveUp, ThreeRetriesTakeTwiceWhatTheFormulaSays) {
  // The model: 0.2 + 0.4 + 0.8 + 1.6 = 3.0 s. Looked at 2r, 6r, 14r (2.912 s: not yet), 30r.
  EXPECT_EQ(give_up_in(first_timeout(3)), 30 * 208ms);
  // Measured from the data itself: a tail-loss probe delays the first time-out by another r. 32 x 208 ms = 6.66 s.
  EXPECT_NEAR(static_cast<double>(util::to_ms(*give_up_in(first_timeout(3)) + 2 * 208ms)), 6680, 50);
}

TEST(GiveUp, FiveRetriesTakeALittleMoreThanTheFormulaSays) {
  // The model: 12.6 s; 30r = 6.24 s is too early, 62r = 12.9 s is it.
  EXPECT_EQ(give_up_in(first_timeout(5)), 62 * 208ms);
  EXPECT_NEAR(static_cast<double>(util::to_ms(*give_up_in(first_timeout(5, 211ms)) + 2 * 211ms)), 13510, 50);
}

TEST(GiveUp, ALongerRtoNeedsFewerTimeouts) {
  EXPECT_EQ(give_up_in(first_timeout(3, 220ms)), 14 * 220ms);  // 3.08 s
  EXPECT_EQ(give_up_in(first_timeout(3, 3s)), 6s);             // the first look already
}

TEST(GiveUp, TheDefaultOfFifteenRetries) {
  // The model: 1023 x 200 ms + 6 x 120 s = 924.6 s. The time-outs: 2r ... 1022r = 212.576 s, then each 120 s.
  const Duration doubled = 1022 * 208ms;
  EXPECT_EQ(give_up_in(first_timeout(15)), doubled + 6 * 120s);
}

TEST(GiveUp, FromASampleItGoesOnWithTheArmedTimer) {
  abi::Socket s = first_timeout(3);
  s.in_timer = false;
  s.retransmits = 2;
  s.rto = 4 * 208ms;
  s.retrans_age = 500ms;  // first retransmission half a second ago: the second was at 416 ms
  s.timer_left = 6 * 208ms - 500ms;
  EXPECT_EQ(give_up_in(s), 30 * 208ms - 500ms);
}

TEST(GiveUp, AnOverdueTimerFiresNow) {
  abi::Socket s = first_timeout(3);
  s.in_timer = false;
  s.retrans_age = 5s;
  s.timer_left = -20ms;
  EXPECT_EQ(give_up_in(s), 0ms);
}

TEST(GiveUp, ALowerCeilingOfTheRtoShortensTheWaits) {
  abi::Socket s = first_timeout(5);
  s.rto_max = 1s;
  // The model: 0.2 + 0.4 + 0.8 + 1 + 1 + 1 = 4.4 s. Looked at 416, 1248, 2248, 3248, 4248 ms, 5248 ms.
  EXPECT_EQ(give_up_in(s), 5248ms);
}

TEST(GiveUp, TheUserTimeoutCutsTheLastWait) {
  abi::Socket s = first_timeout(15);
  s.user_timeout = 3s;
  EXPECT_EQ(give_up_in(s), 3s);  // between 14r and 30r
  s.user_timeout = 30s;
  EXPECT_EQ(give_up_in(s), 30s);
}

TEST(GiveUp, AUserTimeoutShorterThanTheNextWaitCutsThatOne) {
  abi::Socket s = first_timeout(15);
  s.user_timeout = 300ms;  // the next wait would be 416 ms
  EXPECT_EQ(give_up_in(s), 300ms);
  s.retrans_age = 290ms;
  EXPECT_EQ(give_up_in(s), 10ms);
  s.retrans_age = 400ms;  // over already
  EXPECT_EQ(give_up_in(s), 0ms);
}

TEST(GiveUp, AnOrphanHasItsOwnRetries) {
  abi::Socket s = first_timeout(15);
  s.orphan = true;
  s.orphan_retries = 3;
  EXPECT_EQ(give_up_in(s), 30 * 208ms);
  s.orphan_retries = 0;  // 8: the model says 102.2 s; 254r = 52.8 s is too early
  EXPECT_EQ(give_up_in(s), 510 * 208ms);
}

TEST(GiveUp, WithoutTheFactsThereIsNoAnswer) {
  EXPECT_FALSE(give_up_in({}));
  abi::Socket s = first_timeout(15);
  s.retransmits = 0;
  EXPECT_FALSE(give_up_in(s));
  s = first_timeout(15);
  s.rto = 0ms;
  EXPECT_FALSE(give_up_in(s));
  s = first_timeout(15);
  s.rto_max = 0ms;
  EXPECT_FALSE(give_up_in(s));
  s = first_timeout(15);
  s.full = false;
  EXPECT_FALSE(give_up_in(s));
}

}  // namespace
}  // namespace tcpwhy::core
