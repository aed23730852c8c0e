// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/event_counts.h"

#include <gtest/gtest.h>

namespace tcpwhy::metrics {
namespace {

struct EventCountsTest : testing::Test {
  EventCounts counts{false};
  void sent(std::uint64_t id) {
    abi::ResetSent e;
    e.socket.id = abi::SocketId{id};
    counts.on(abi::Event{{}, e});
  }
  void received(std::uint64_t id) {
    abi::ResetReceived e;
    e.socket.id = abi::SocketId{id};
    counts.on(abi::Event{{}, e});
  }
  void ticks(int n) {
    for (int i = 0; i < n; ++i) counts.on(abi::Event{{}, abi::Tick{}});
  }
  double resets(const std::string& direction) const {
    Snapshot s;
    counts.add_to(s);
    return s.value(Id::resets, {direction});
  }
};

TEST_F(EventCountsTest, ResetsByDirection) {
  sent(1);
  received(2);
  received(3);
  ticks(2);
  EXPECT_EQ(resets("sent"), 1);
  EXPECT_EQ(resets("received"), 2);
}

TEST_F(EventCountsTest, TheHookThatFiresBeforeAnEndSendsOneCountsNothingReceived) {
  received(1);
  sent(1);
  received(2);
  ticks(1);  // the tick may come between the two
  sent(2);
  ticks(3);
  EXPECT_EQ(resets("sent"), 2);
  EXPECT_EQ(resets("received"), 0);
}

TEST_F(EventCountsTest, ALaterResetOfTheSameSocketTakesNothingBack) {
  received(1);
  ticks(2);
  sent(1);
  EXPECT_EQ(resets("received"), 1);
}

TEST_F(EventCountsTest, RetransmitsByType) {
  for (const auto type : {abi::RetransmitType::timeout, abi::RetransmitType::timeout, abi::RetransmitType::syn}) {
    abi::Retransmit e;
    e.type = type;
    counts.on(abi::Event{{}, e});
  }
  Snapshot s;
  counts.add_to(s);
  EXPECT_EQ(s.value(Id::retransmits, {"timeout"}), 2);
  EXPECT_EQ(s.value(Id::retransmits, {"syn"}), 1);
  EXPECT_EQ(s.value(Id::retransmits, {"probe"}), 0);
  EXPECT_EQ(s.value(Id::retransmits, {"fast"}), -1) << "the kernel side does not tell them: 0 would be a lie";
}

TEST_F(EventCountsTest, EveryRetransmitWhereTheKernelSideTellsThem) {
  Snapshot s;
  EventCounts{true}.add_to(s);
  EXPECT_EQ(s.value(Id::retransmits, {"fast"}), 0);
  EXPECT_EQ(s.value(Id::retransmits, {"tail_loss"}), 0);
}

TEST_F(EventCountsTest, SynAcksByWhatMadeThem) {
  for (const bool by_timer : {true, true, false}) {
    abi::SynAckRetransmit e;
    e.by_timer = by_timer;
    counts.on(abi::Event{{}, e});
  }
  Snapshot s;
  counts.add_to(s);
  EXPECT_EQ(s.value(Id::synack_retransmits, {"timer"}), 2);
  EXPECT_EQ(s.value(Id::synack_retransmits, {"duplicate_syn"}), 1);
}

}  // namespace
}  // namespace tcpwhy::metrics
