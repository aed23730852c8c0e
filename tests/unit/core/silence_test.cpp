// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/silence.h"

#include <gtest/gtest.h>

namespace tcpwhy::core {
namespace {

using abi::TcpState;
using namespace std::chrono_literals;

const auto kNow = util::boot_time(1'000'000'000'000);

Connection open() {
  Connection c;
  c.state = TcpState::established;
  c.socket.full = true;
  c.socket.has_socket = true;
  c.socket.state = TcpState::established;
  c.socket.mss = 1448;
  c.socket.snd_wnd = c.socket.rcv_wnd = 65536;
  c.socket.rcv_mss = 1448;
  c.socket.keepalive = true;
  return c;
}

// A look of a sweep.
void sweep(Connection& c, util::BootTime now) {
  abi::Sample sample;
  sample.socket = c.socket;
  look(c, sample, now);
}

// What an event shows may be over in the next moment: a process that closes at once what its peer closed.
TEST(Silence, AnEventEndsOneButBeginsNone) {
  Connection c = open();
  c.socket.rcv_nxt = kMuchUnread;
  c.socket.write_seq = 5000;
  c.socket.snd_wnd = 0;
  look(c, kNow);
  EXPECT_FALSE(c.silence.any());
  sweep(c, kNow);
  EXPECT_TRUE(c.silence.unread && c.silence.window_shut);
  c.socket.copied_seq = kMuchUnread;
  look(c, kNow + 1s);
  EXPECT_FALSE(c.silence.unread);
  c.socket.state = TcpState::close_wait;
  look(c, kNow + 2s);
  EXPECT_FALSE(c.silence.close_wait);
}

TEST(Silence, AFinIsNoData) {
  abi::Socket s;
  s.rcv_nxt = 26;
  s.state = TcpState::established;
  EXPECT_EQ(unread_data(s), 26U);
  for (const TcpState state : {TcpState::close_wait, TcpState::last_ack, TcpState::closing}) {
    s.state = state;
    EXPECT_EQ(unread_data(s), 25U);
  }
  s.copied_seq = 26;
  EXPECT_EQ(unread_data(s), 0U);
}

TEST(Silence, MuchIsSoManyBytesOrAShutWindow) {
  abi::Socket s = open().socket;
  s.rcv_nxt = kMuchUnread - 1;
  EXPECT_FALSE(much_unread(s));
  s.rcv_nxt = kMuchUnread;
  EXPECT_TRUE(much_unread(s));
  s.rcv_nxt = 5;
  s.rcv_wnd = 1447;
  EXPECT_TRUE(much_unread(s));
  s.rcv_nxt = 0;
  EXPECT_FALSE(much_unread(s));
}

TEST(Silence, SequenceNumbersWrap) {
  abi::Socket s = open().socket;
  s.copied_seq = 0xfffffff0U;
  s.rcv_nxt = 0x10;
  EXPECT_EQ(unread_data(s), 32U);
  s.snd_nxt = 0xfffffff0U;
  s.write_seq = 0x10;
  s.snd_wnd = 0;
  EXPECT_TRUE(window_is_shut(s));
  s.snd_nxt = 0x10;
  EXPECT_FALSE(window_is_shut(s));
}

TEST(Silence, UnreadBeginsAnewWhereTheProcessRead) {
  Connection c = open();
  c.socket.rcv_nxt = 100000;
  sweep(c, kNow);
  EXPECT_EQ(c.silence.unread, kNow);
  sweep(c, kNow + 1s);
  EXPECT_EQ(c.silence.unread, kNow);
  EXPECT_FALSE(c.silence.last_read);
  c.socket.copied_seq = 1000;
  sweep(c, kNow + 2s);
  EXPECT_EQ(c.silence.unread, kNow + 2s);
  EXPECT_EQ(c.silence.last_read, kNow + 2s);
  c.socket.copied_seq = 100000;
  sweep(c, kNow + 3s);
  EXPECT_FALSE(c.silence.unread);
}

TEST(Silence, ALittleThatJustArrivedIsAboutToBeRead) {
  Connection c = open();
  c.socket.rcv_nxt = 5;
  c.socket.received_age = 599ms;
  sweep(c, kNow);
  EXPECT_FALSE(c.silence.unread);
  c.socket.received_age = 600ms;
  sweep(c, kNow + 1ms);
  EXPECT_EQ(c.silence.unread, kNow + 1ms);
}

TEST(Silence, AWindowIsShutWhileNothingGoesOut) {
  Connection c = open();
  c.socket.snd_wnd = 0;
  c.socket.write_seq = 100;
  sweep(c, kNow);
  EXPECT_EQ(c.silence.window_shut, kNow);
  c.socket.snd_nxt = 10;
  sweep(c, kNow + 1s);
  EXPECT_EQ(c.silence.window_shut, kNow + 1s);
  c.socket.snd_wnd = 65536;
  sweep(c, kNow + 2s);
  EXPECT_FALSE(c.silence.window_shut);
}

TEST(Silence, AClosingEndWaitsForItsAcknowledgment) {
  Connection c = open();
  c.socket.state = TcpState::fin_wait1;
  c.socket.write_seq = c.socket.snd_nxt = 6;
  sweep(c, kNow);
  EXPECT_EQ(c.silence.closing, kNow);
  c.socket.snd_una = 3;
  sweep(c, kNow + 1s);
  EXPECT_EQ(c.silence.closing, kNow + 1s);
  c.socket.snd_una = 6;
  sweep(c, kNow + 2s);
  EXPECT_FALSE(c.silence.closing);
}

TEST(Silence, TheFinToldWhenCloseWaitBegan) {
  Connection c = open();
  c.socket.state = TcpState::close_wait;
  c.socket.segment_age = 5s;
  sweep(c, kNow);
  EXPECT_EQ(c.silence.close_wait, kNow - 5s);
  c.socket.segment_age = 0s;  // an acknowledgment of late changes nothing
  sweep(c, kNow + 1s);
  EXPECT_EQ(c.silence.close_wait, kNow - 5s);
  c.socket.state = TcpState::last_ack;
  sweep(c, kNow + 2s);
  EXPECT_FALSE(c.silence.close_wait);
}

TEST(Silence, OnlyASampleBeginsAWaitForAnAnswer) {
  Connection c = open();
  c.socket.bytes_acked = 101;
  c.socket.sent_age = 2s;
  c.socket.received_age = 3s;
  look(c, kNow);
  EXPECT_FALSE(c.silence.awaiting);
  abi::Sample sample;
  sample.answers = 7;
  sample.usual_wait = 200ms;
  look(c, sample, kNow);
  EXPECT_EQ(c.silence.awaiting, kNow - 2s);
  EXPECT_EQ(c.silence.answers, 7U);
  EXPECT_EQ(c.silence.usual_wait, 200ms);
  c.socket.sent_age = 2996ms;  // as coarse as jiffies
  sweep(c, kNow + 1s);
  EXPECT_EQ(c.silence.awaiting, kNow - 2s);
  c.socket.bytes_received = 5;
  c.socket.received_age = 0s;
  sweep(c, kNow + 1s);
  EXPECT_FALSE(c.silence.awaiting);
}

TEST(Silence, AServersEndAwaitsNothing) {
  Connection c = open();
  c.socket.bytes_acked = 101;
  c.socket.sent_age = c.socket.received_age = 20s;
  c.socket.accepted = true;
  look(c, abi::Sample{}, kNow);
  EXPECT_FALSE(c.silence.awaiting);
}

TEST(Silence, IdleSinceItsLastWord) {
  Connection c = open();
  c.socket.sent_age = 20min;
  c.socket.received_age = 16min;
  look(c, abi::Sample{}, kNow);
  EXPECT_FALSE(c.silence.idle);  // keepalive guards it
  c.socket.keepalive = false;
  look(c, abi::Sample{}, kNow);
  EXPECT_EQ(c.silence.idle, kNow - 16min);
  c.socket.user_timeout = 30s;
  look(c, abi::Sample{}, kNow);
  EXPECT_FALSE(c.silence.idle);
}

TEST(Silence, AMinisocketSaysNothing) {
  Connection c = open();
  c.socket.rcv_nxt = 100000;
  sweep(c, kNow);
  c.socket = {};
  sweep(c, kNow + 1s);
  EXPECT_EQ(c.silence.unread, kNow);
}

}  // namespace
}  // namespace tcpwhy::core
