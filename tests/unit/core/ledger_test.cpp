// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tcpwhy::core {
namespace {

using namespace std::chrono_literals;
using abi::TcpState;
using testing::HasSubstr;

const abi::Tuple kClient{{*util::parse_address("127.0.0.1"), 50000}, {*util::parse_address("127.0.0.1"), 8080}, 1};

// The ordinary life of a connection: 5 bytes asked, 7 answered.
class Life {
 public:
  explicit Life(Ledger& ledger, util::Duration at = 0s) : ledger_(ledger), now_(at) {}
  void client(TcpState from, TcpState to, std::uint32_t una, std::uint32_t pid = 0) {
    put(kClient, from, to, una, pid);
  }
  void server(TcpState from, TcpState to, std::uint32_t una, std::uint32_t pid = 0) {
    put(kClient.mirrored(), from, to, una, pid);
  }
  void live() {
    using enum TcpState;
    client(syn_sent, established, 1001, 50);
    server(syn_recv, established, 9001);
    client(established, fin_wait1, 1006, 50);
    server(established, close_wait, 9008);
    server(close_wait, last_ack, 9008, 33);
    client(fin_wait1, fin_wait2, 1007);
    client(fin_wait2, close, 1007);
    server(last_ack, close, 9009);
  }

 private:
  void put(const abi::Tuple& tuple, TcpState from, TcpState to, std::uint32_t una, std::uint32_t pid) {
    abi::Transition t;
    t.tuple = tuple;
    t.from = from;
    t.to = to;
    t.snd_una = una;
    t.pid = pid;
    t.comm = pid == 50 ? "curl" : "lighttpd";
    ledger_.on(abi::Event{util::BootTime{now_ += 1ms}, t});
  }
  Ledger& ledger_;
  util::Duration now_;
};

TEST(Ledger, BothEndsAreOneRow) {
  Ledger ledger;
  Life{ledger}.live();
  ASSERT_EQ(ledger.rows().size(), 1U);
  const LedgerRow& row = ledger.rows().front();
  EXPECT_EQ(util::to_string(row.client), "127.0.0.1:50000");
  EXPECT_EQ(util::to_string(row.server), "127.0.0.1:8080");
  EXPECT_EQ(name_of(row.client_end.owner), "curl[50]");
  EXPECT_EQ(name_of(row.server_end.owner), "lighttpd[33]");
  EXPECT_EQ(row.client_end.bytes_sent(), 5U);
  EXPECT_EQ(row.server_end.bytes_sent(), 7U);
  EXPECT_EQ(row.last - row.first, 7ms);
  EXPECT_EQ(row.events, 8U);
  EXPECT_TRUE(row.over());
  EXPECT_FALSE(row.worst);
}

TEST(Ledger, TheSameAddressesAgainAreAnotherRow) {
  Ledger ledger;
  Life{ledger}.live();
  Life{ledger, 1s}.live();
  ASSERT_EQ(ledger.rows().size(), 2U);
  EXPECT_EQ(ledger.rows()[1].client_end.bytes_sent(), 5U);
  EXPECT_EQ(ledger.find(kClient.local), &ledger.rows()[1]);
  EXPECT_EQ(ledger.find(kClient.remote), &ledger.rows()[1]);
}

TEST(Ledger, WhoConnectedIsTheClientWhateverThePorts) {
  Ledger ledger;
  abi::Transition t;
  t.tuple = kClient.mirrored();
  t.from = TcpState::syn_sent;
  t.to = TcpState::established;
  ledger.on(abi::Event{util::BootTime{1s}, t});
  EXPECT_EQ(ledger.rows().front().client.port, 8080);
  EXPECT_TRUE(ledger.rows().front().client_end.seen);
}

TEST(Ledger, AFindingMarksItsConnection) {
  Ledger ledger;
  Life{ledger}.live();
  Finding f;
  f.slug = "reset";
  f.severity = Severity::warning;
  f.connection = ConnectionView{7, kClient.remote, kClient.local, 1, ConnectionRole::server, "CLOSE"};
  ledger.on(std::vector{f});
  f.severity = Severity::info;
  ledger.on(std::vector{f});
  EXPECT_EQ(ledger.rows().front().worst, Severity::warning);
  EXPECT_EQ(ledger.rows().front().slug, "reset");
  EXPECT_EQ(ledger.find(7), &ledger.rows().front());
  EXPECT_EQ(ledger.find(8), nullptr);
}

// Its SYN was sent again, so that the event says more; the server's port is the higher one.
TEST(Ledger, WhoConnectedIsTheClientWhateverTheEvent) {
  Ledger ledger;
  abi::StateChange change;
  change.socket.tuple = kClient.mirrored();
  change.socket.full = true;
  change.from = TcpState::syn_sent;
  change.to = TcpState::established;
  ledger.on(abi::Event{util::BootTime{1s}, change});
  EXPECT_EQ(ledger.rows().front().client.port, 8080);
}

TEST(Ledger, TheSameLoopbackAddressesInTwoNamespacesAreTwo) {
  Ledger ledger;
  for (const std::uint32_t netns : {1U, 2U}) {
    abi::Transition t;
    t.tuple = kClient;
    t.tuple.netns = netns;
    t.from = TcpState::syn_sent;
    t.to = TcpState::established;
    ledger.on(abi::Event{util::BootTime{1s}, t});
  }
  ASSERT_EQ(ledger.rows().size(), 2U);
  abi::Transition other;
  other.tuple = kClient;
  other.tuple.netns = 2;
  EXPECT_FALSE(ladder_step({util::BootTime{1s}, other}, ledger.rows().front(), {}));
  EXPECT_TRUE(ladder_step({util::BootTime{1s}, other}, ledger.rows().back(), {}));
}

TEST(Ledger, WhatDoesNotFitIsCounted) {
  Ledger ledger{1};
  Life{ledger}.live();
  abi::Transition t;
  t.tuple = kClient;
  t.tuple.local.port = 50001;
  ledger.on(abi::Event{util::BootTime{1s}, t});
  EXPECT_EQ(ledger.rows().size(), 1U);
  EXPECT_EQ(ledger.left_out(), 1U);
}

TEST(LadderStep, StandsOnItsSideAndCountsFromTheFirstByte) {
  Ledger ledger;
  Life{ledger}.live();
  const LedgerRow& row = ledger.rows().front();
  abi::Retransmit e;
  e.type = abi::RetransmitType::timeout;
  e.socket.tuple = kClient.mirrored();
  e.socket.full = true;
  e.socket.snd_una = 9004;
  e.socket.snd_nxt = e.socket.write_seq = 9008;
  e.socket.rcv_nxt = 1006;
  const auto step = ladder_step({util::BootTime{4ms}, e}, row, {});
  ASSERT_TRUE(step);
  EXPECT_FALSE(step->at_client);
  EXPECT_THAT(step->text, HasSubstr("from byte 3"));
  EXPECT_THAT(step->text, HasSubstr("sent 7 unacked 4 received 5"));
  EXPECT_EQ(step->kind, "retransmit");
  ASSERT_TRUE(step->numbers);
  EXPECT_EQ(step->numbers->sent, 7U);
  EXPECT_EQ(step->numbers->acked, 3U);
  EXPECT_EQ(step->numbers->received, 5U);
  EXPECT_EQ(step->numbers->unacked, 4U);
  e.socket.tuple.remote.port = 1;
  EXPECT_FALSE(ladder_step({util::BootTime{4ms}, e}, row, {}));
  EXPECT_FALSE(ladder_step({util::BootTime{4ms}, abi::Tick{}}, row, {}));
}

TEST(LadderStep, ASynSentAgainBeginsAtNoByte) {
  Ledger ledger;
  Life{ledger}.live();
  abi::Retransmit e;
  e.type = abi::RetransmitType::syn;
  e.socket.tuple = kClient;
  e.socket.full = true;
  e.socket.retransmits = 2;
  const auto step = ladder_step({util::BootTime{4ms}, e}, ledger.rows().front(), {});
  ASSERT_TRUE(step);
  EXPECT_THAT(step->text, HasSubstr("SYN sent again, time-outs 2"));
  EXPECT_THAT(step->text, testing::Not(HasSubstr("from byte")));
}

}  // namespace
}  // namespace tcpwhy::core
