// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/clock_offset.h"

#include <gtest/gtest.h>

namespace tcpwhy::core {
namespace {

using namespace std::chrono_literals;
using abi::TcpState;

constexpr util::WallOffset kWall{1'700'000'000'000'000'000};

// Two hosts, the second's clock `ahead` of the first's, and packets that take `way` from one to the other.
class TwoHosts {
 public:
  TwoHosts(util::Duration ahead, util::Duration way) : ahead_(ahead), way_(way) {}

  // From the first host to the second, where not `back`.
  void connect(std::uint16_t port, util::Duration at, util::Duration delay = 0ns, bool back = false,
               std::uint32_t server_isn = 9000) {
    const std::uint32_t client = back ? 1 : 0;
    const abi::Tuple tuple = back ? mirrored_hosts(port) : tuple_of(port);
    abi::Tuple early = tuple;
    early.local.port = 0;
    put(client, {abi::SocketId{port}, early, TcpState::close, TcpState::syn_sent}, at);
    put(client, {abi::SocketId{port}, tuple, TcpState::syn_sent, TcpState::established, 0, 1001, 1001, 9001},
        at + 2 * way_);
    put(1 - client,
        {abi::SocketId{port}, tuple.mirrored(), TcpState::syn_recv, TcpState::established, 0, server_isn + 1,
         server_isn + 1, 1001},
        at + 3 * way_ + delay);
  }
  void reset(std::uint16_t port, util::Duration at, std::optional<util::Duration> srtt) {
    abi::Socket s;
    s.id = abi::SocketId{port};
    s.full = true;
    s.state = TcpState::established;
    s.tuple = tuple_of(port);
    s.snd_una = 1000, s.bytes_acked = 0, s.rcv_nxt = 9001;
    s.srtt = srtt.value_or(0ns);
    clocks.on(0, {util::BootTime{at}, abi::ResetSent{.socket = s}}, kWall);
    abi::Socket other = s;
    other.tuple = s.tuple.mirrored();
    other.accepted = true;
    other.snd_una = 9001, other.rcv_nxt = 1001;
    clocks.on(1, {util::BootTime{at + way_ + ahead_}, abi::ResetReceived{.socket = other}}, kWall);
  }
  ClockOffsets clocks;

 private:
  static abi::Tuple tuple_of(std::uint16_t port) {
    return {{*util::parse_address("10.0.0.1"), port}, {*util::parse_address("10.0.0.2"), 80}, 1};
  }
  static abi::Tuple mirrored_hosts(std::uint16_t port) {
    return {{*util::parse_address("10.0.0.2"), port}, {*util::parse_address("10.0.0.1"), 80}, 1};
  }
  void put(std::uint32_t host, abi::Transition t, util::Duration at) {
    // Each host's own boot time, too, is another; its anchor makes up for it.
    const util::Duration booted = host == 1 ? util::Duration{1000s} : util::Duration{};
    clocks.on(host, {util::BootTime{at + booted + (host == 1 ? ahead_ : util::Duration{})}, std::move(t)},
              util::WallOffset{kWall.nanoseconds - booted.count()});
  }
  util::Duration ahead_;
  util::Duration way_;
};

TEST(ClockOffsets, ThreeWayHandshakesTellTheDifference) {
  for (const util::Duration ahead : {util::Duration{1250ms}, util::Duration{-3h}, util::Duration{}}) {
    TwoHosts hosts{ahead, 20ms};
    for (std::uint16_t i = 0; i < 12; ++i) hosts.connect(static_cast<std::uint16_t>(5000 + i), i * 1s);
    const auto offset = hosts.clocks.between(0, 1);
    ASSERT_TRUE(offset);
    EXPECT_EQ(offset->ahead, ahead);
    EXPECT_EQ(offset->give_or_take, 0ns);
    EXPECT_EQ(offset->pairs, 12U);
  }
}

TEST(ClockOffsets, TheMedianBearsAcksThatCameLate) {
  TwoHosts hosts{1250ms, 20ms};
  for (std::uint16_t i = 0; i < 20; ++i)
    hosts.connect(static_cast<std::uint16_t>(5000 + i), i * 1s, i % 5 == 0 ? util::Duration{400ms} : util::Duration{},
                  i % 2 == 1);
  const auto offset = hosts.clocks.between(0, 1);
  ASSERT_TRUE(offset);
  EXPECT_EQ(offset->ahead, 1250ms);
  EXPECT_EQ(offset->give_or_take, 400ms);
}

TEST(ClockOffsets, AResetTellsToo) {
  TwoHosts hosts{1250ms, 20ms};
  hosts.reset(6000, 5s, 40ms);
  EXPECT_EQ(hosts.clocks.between(0, 1)->ahead, 1250ms);
  TwoHosts unknown{1250ms, 20ms};
  unknown.reset(6000, 5s, std::nullopt);
  EXPECT_EQ(unknown.clocks.between(0, 1)->ahead, 1270ms);
}

TEST(ClockOffsets, OtherSequenceNumbersAreNoPair) {
  TwoHosts hosts{1250ms, 20ms};
  hosts.connect(5000, 1s, 0ns, false, 70000);
  EXPECT_FALSE(hosts.clocks.between(0, 1));
  EXPECT_FALSE(hosts.clocks.over_first(2)[1]);
}

TEST(ClockOffsets, WhatIsOneHostsOwnTellsNothing) {
  ClockOffsets clocks;
  abi::Transition t;
  t.id = abi::SocketId{1};
  t.tuple = {{*util::parse_address("127.0.0.1"), 5000}, {*util::parse_address("127.0.0.1"), 80}, 1};
  t.from = TcpState::syn_sent;
  t.to = TcpState::established;
  t.snd_una = 1001, t.rcv_nxt = 9001;
  clocks.on(0, {util::BootTime{1s}, t}, kWall);
  t.tuple = t.tuple.mirrored();
  t.from = TcpState::syn_recv;
  t.snd_una = 9001, t.rcv_nxt = 1001;
  clocks.on(1, {util::BootTime{1s}, t}, kWall);
  EXPECT_FALSE(clocks.between(0, 1));
}

}  // namespace
}  // namespace tcpwhy::core
