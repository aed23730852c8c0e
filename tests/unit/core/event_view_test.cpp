// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/event_view.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace tcpwhy::core {
namespace {

using namespace std::chrono_literals;

abi::Socket socket_of() {
  abi::Socket s;
  s.id = abi::SocketId{99};
  s.full = true;
  s.state = abi::TcpState::established;
  s.tuple = {{*util::parse_address("10.0.0.1"), 50000}, {*util::parse_address("10.0.0.9"), 80}, 7};
  s.snd_una = 100;
  s.write_seq = 105;
  s.rto = 208ms;
  s.retransmits = 2;
  return s;
}

EventView view(decltype(abi::Event::body) body) {
  const KernelNames names{{{15, "NETFILTER_DROP"}}, {{11, "TCP_ABORT_ON_CLOSE"}}};
  const auto event = event_view({util::boot_time(1), std::move(body)}, names, true);
  EXPECT_TRUE(event);
  return event.value_or(EventView{});
}

TEST(EventView, AChangeOfStateTellsItsConnectionOwnerAndNumbers) {
  abi::StateChange e;
  e.socket = socket_of();
  e.socket.err = ETIMEDOUT;
  e.from = abi::TcpState::established;
  e.to = abi::TcpState::close;
  e.owner.source = abi::OwnerSource::connect;
  e.owner.pid = 4410;
  e.owner.comm = "curl";
  const EventView v = view(e);
  EXPECT_EQ(v.kind, "state");
  EXPECT_EQ(v.id, 99U);
  ASSERT_TRUE(v.connection);
  EXPECT_EQ(util::to_string(v.connection->remote), "10.0.0.9:80");
  EXPECT_EQ(v.connection->netns, 7U);
  EXPECT_EQ(v.from, "ESTABLISHED");
  EXPECT_EQ(v.to, "CLOSE");
  ASSERT_TRUE(v.owner);
  EXPECT_EQ(v.owner->pid, 4410U);
  EXPECT_EQ(v.values.number("unacked"), 5);
  EXPECT_EQ(v.values.number("rto_ms"), 208);
  EXPECT_EQ(v.values.number("timeouts"), 2);
  EXPECT_EQ(v.values.number("error"), ETIMEDOUT);
}

TEST(EventView, ATransitionTellsItsSequenceNumbers) {
  abi::Transition e;
  e.id = abi::SocketId{5};
  e.tuple = socket_of().tuple;
  e.from = abi::TcpState::syn_sent;
  e.to = abi::TcpState::established;
  e.snd_nxt = 0xffffffffU;
  const EventView v = view(e);
  EXPECT_EQ(v.id, 5U);
  EXPECT_EQ(v.to, "ESTABLISHED");
  EXPECT_EQ(v.values.number("snd_nxt"), 0xffffffffLL);
  EXPECT_FALSE(v.owner);  // it did not run in its owner's context
  e.pid = 12;
  e.comm = "nginx";
  EXPECT_EQ(view(e).owner->comm, "nginx");
}

TEST(EventView, ReasonsAreNamesAndSegmentsNumbers) {
  abi::Drop drop;
  drop.tuple = socket_of().tuple;
  drop.reason = 15;
  drop.segment.payload = 5;
  drop.segment.ack = true;
  const EventView v = view(drop);
  EXPECT_EQ(v.values.text("reason"), "NETFILTER_DROP");
  EXPECT_EQ(v.values.number("payload"), 5);
  EXPECT_TRUE(v.values.flag("ack"));
  EXPECT_FALSE(v.values.has("queue"));  // of a listener only
  abi::ResetSent sent;
  sent.socket = socket_of();
  sent.reason = 11;
  EXPECT_EQ(view(sent).values.text("reason"), "TCP_ABORT_ON_CLOSE");
  EXPECT_TRUE(view(sent).values.has("passive"));
  EXPECT_FALSE(view(sent).values.flag("passive"));
}

TEST(EventView, AListenerHasAQueueInsteadOfData) {
  abi::Sample sample;
  sample.socket = socket_of();
  sample.socket.state = abi::TcpState::listen;
  sample.socket.listener = true;
  sample.socket.queue = 3;
  const EventView v = view(sample);
  EXPECT_EQ(v.values.number("queue"), 3);
  EXPECT_FALSE(v.values.has("unacked"));
}

TEST(EventView, WhatIsAboutNoConnectionHasNone) {
  EXPECT_FALSE(view(abi::Lost{"state", 7}).connection);
  EXPECT_EQ(view(abi::Lost{"state", 7}).values.number("count"), 7);
  EXPECT_EQ(view(abi::Lost{"state", 7}).values.text("of"), "state");
  EXPECT_FALSE(view(abi::Lost{"state", 7}).values.has("way")) << "as in recordings that know no ways";
  EXPECT_EQ(view(abi::Lost{"sample", 7, abi::LossWay::unswept}).values.text("way"), "not_swept");
}

TEST(EventView, TheClockIsNoEventAndFieldsAreMadeWhereTheyAreWanted) {
  EXPECT_FALSE(event_view({util::boot_time(1), abi::Tick{}}, {}, true));
  abi::Retransmit e;
  e.socket = socket_of();
  const auto words = event_view({util::boot_time(1), e}, {}, false);
  ASSERT_TRUE(words);
  EXPECT_NE(words->line, "");
  EXPECT_TRUE(words->values.entries().empty());
}

}  // namespace
}  // namespace tcpwhy::core
