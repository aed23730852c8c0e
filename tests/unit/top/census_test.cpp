// SPDX-License-Identifier: GPL-2.0-only
#include "user/top/census.h"

#include <gtest/gtest.h>

#include "user/top/steady.h"

namespace tcpwhy::top {
namespace {

using abi::TcpState;

core::HeldSocket held(std::uint64_t id, std::uint32_t pid, TcpState state, std::uint32_t unread = 0,
                      std::uint32_t unacked = 0) {
  core::HeldSocket s;
  s.id = id;
  s.pid = pid;
  s.comm = "p" + std::to_string(pid);
  s.tuple.netns = 4026531840 + pid;
  s.state = state;
  s.unread = unread;
  s.unacked = unacked;
  return s;
}

TEST(Census, CountsByProcessAndState) {
  CensusTaker taker;
  taker.add(held(1, 10, TcpState::established, 100, 5));
  taker.add(held(2, 10, TcpState::close_wait, 26));
  taker.add(held(3, 10, TcpState::listen));
  taker.add(held(4, 11, TcpState::syn_sent, 0, 1));
  const Census census = taker.take();
  ASSERT_EQ(census.processes.size(), 2U);
  const ProcessUse& first = census.processes[0];
  EXPECT_EQ(first.connections(), 2U);
  EXPECT_EQ(first.established, 1U);
  EXPECT_EQ(first.close_wait, 1U);
  EXPECT_EQ(first.listening, 1U);
  EXPECT_EQ(first.unread, 125U);  // a FIN is no data
  EXPECT_EQ(first.unacked, 5U);
  EXPECT_EQ(census.processes[1].opening, 1U);
  EXPECT_EQ(census.processes[1].unacked, 0U);  // nor is a SYN
  EXPECT_EQ(census.connections, 3U);
  EXPECT_EQ(census.listeners, 1U);
}

TEST(Census, ASocketCountsOnceForAProcessAndOnceInAll) {
  CensusTaker taker;
  for (int descriptor = 0; descriptor < 3; ++descriptor) taker.add(held(1, 10, TcpState::established, 7));
  taker.add(held(1, 11, TcpState::established, 7));  // inherited by a child
  const Census census = taker.take();
  ASSERT_EQ(census.processes.size(), 2U);
  EXPECT_EQ(census.processes[0].established, 1U);
  EXPECT_EQ(census.processes[0].unread, 7U);
  EXPECT_EQ(census.processes[1].established, 1U);
  EXPECT_EQ(census.connections, 1U);
}

TEST(Census, EachCountBeginsAnew) {
  CensusTaker taker;
  taker.add(held(1, 10, TcpState::established));
  EXPECT_EQ(taker.take().connections, 1U);
  EXPECT_TRUE(taker.take().processes.empty());
  taker.add(held(1, 10, TcpState::established));
  EXPECT_EQ(taker.take().connections, 1U);
}

TEST(Census, TheFilterHolds) {
  core::Filter filter;
  filter.pids = {11};
  CensusTaker taker{filter};
  taker.add(held(1, 10, TcpState::established));
  taker.add(held(2, 11, TcpState::established));
  const Census census = taker.take();
  ASSERT_EQ(census.processes.size(), 1U);
  EXPECT_EQ(census.processes[0].pid, 11U);
  EXPECT_EQ(census.connections, 1U);
}

TEST(Steady, SmallChangesDoNotReorder) {
  Steady steady;
  const auto round = [&](std::uint64_t a, std::uint64_t b) {
    steady.begin_round();
    return std::pair{steady.value(1, a), steady.value(2, b)};
  };
  EXPECT_EQ(round(1000, 990), (std::pair<std::uint64_t, std::uint64_t>{1000, 990}));
  EXPECT_EQ(round(985, 1010), (std::pair<std::uint64_t, std::uint64_t>{1000, 990}));
  EXPECT_EQ(round(985, 1200), (std::pair<std::uint64_t, std::uint64_t>{1000, 1200}));
  EXPECT_EQ(round(0, 1200).first, 0U);
  EXPECT_EQ(round(1, 1200).first, 1U);  // something is not nothing
}

}  // namespace
}  // namespace tcpwhy::top
