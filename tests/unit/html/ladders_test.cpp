// SPDX-License-Identifier: GPL-2.0-only
#include "user/html/ladders.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "user/html/queues.h"

namespace tcpwhy::html {
namespace {

using namespace std::chrono_literals;
using abi::TcpState;

const util::Endpoint kClient{*util::parse_address("127.0.0.1"), 50000};
const util::Endpoint kServer{*util::parse_address("127.0.0.1"), 8080};

core::LedgerRow row() {
  core::LedgerRow row;
  row.client = kClient;
  row.server = kServer;
  row.first = util::BootTime{1s};
  row.last = util::BootTime{1h};
  return row;
}

abi::Event look(util::Duration at, std::uint32_t unread) {
  abi::Sample sample;
  sample.socket.tuple = {kServer, kClient, 1};
  sample.socket.full = true;
  sample.socket.state = TcpState::established;
  sample.socket.rcv_nxt = unread;
  return {util::BootTime{at}, sample};
}

abi::Event retransmit(util::Duration at) {
  abi::Retransmit again;
  again.socket.tuple = {kClient, kServer, 1};
  again.type = abi::RetransmitType::timeout;
  return {util::BootTime{at}, again};
}

std::string of(const Ladders& ladders) {
  std::string json;
  ladders.json([&json](std::string_view text) { json += text; });
  return json;
}

TEST(Ladders, LooksThatShowTheSameAreOneStep) {
  const core::LedgerRow only = row();
  const core::KernelNames names;
  Ladders ladders{{&only}, names};
  ladders.on(look(2s, 5));
  ladders.on(look(3s, 5));
  ladders.on(look(4s, 6));
  const std::string json = of(ladders);
  EXPECT_EQ(json, R"([{"steps":[[1000000,1,"sample","looked at: ESTABLISHED unread 5 window 0/0","ESTABLISHED",)"
                  R"([null,null,null,0,5,0,0],2],)"
                  R"([3000000,1,"sample","looked at: ESTABLISHED unread 6 window 0/0","ESTABLISHED",)"
                  R"([null,null,null,0,6,0,0],1]]}])");
}

TEST(Ladders, ALongLifeKeepsItsBeginAndItsEnd) {
  const core::LedgerRow only = row();
  const core::KernelNames names;
  Ladders ladders{{&only}, names};
  const int all = static_cast<int>(Ladders::kFirstSteps + Ladders::kLastSteps) + 25;
  for (int i = 0; i < all; ++i) ladders.on(retransmit(2s + i * 1ms));
  const std::string json = of(ladders);
  EXPECT_NE(json.find(R"("left_out":25,"left_out_after":600)"), std::string::npos);
  EXPECT_NE(json.find("[1000000,0,"), std::string::npos);
  EXPECT_NE(json.find("[" + std::to_string(1'000'000 + (all - 1) * 1000) + ",0,"), std::string::npos);
  EXPECT_EQ(json.find("[" + std::to_string(1'000'000 + 610 * 1000) + ",0,"), std::string::npos);
}

TEST(Ladders, WhatIsOfNoChosenConnectionIsNotKept) {
  core::LedgerRow other = row();
  other.client.port = 50001;
  const core::KernelNames names;
  Ladders ladders{{&other}, names};
  ladders.on(retransmit(2s));
  EXPECT_EQ(of(ladders), R"([{"steps":[]}])");
}

TEST(Ladders, SoManyFitAsHaveStepsTogether) {
  std::vector<core::LedgerRow> rows(300, row());
  for (core::LedgerRow& r : rows) r.events = 100'000;
  std::vector<const core::LedgerRow*> all;
  for (const core::LedgerRow& r : rows) all.push_back(&r);
  EXPECT_EQ(Ladders::fitting(all), Ladders::kMostSteps / (Ladders::kFirstSteps + Ladders::kLastSteps));
  EXPECT_EQ(Ladders::fitting({}), 0U);
}

TEST(Queues, ThinningKeepsTheLongestQueue) {
  core::RunIdentity run;
  People people{run};
  Queues queues;
  for (int i = 0; i < 10'000; ++i) {
    abi::Sample sample;
    sample.socket.id = abi::SocketId{7};
    sample.socket.tuple.local = kServer;
    sample.socket.full = sample.socket.listener = true;
    sample.socket.limit = 128;
    sample.socket.queue = i == 4711 ? 129 : 3;
    sample.socket.drops = static_cast<std::uint32_t>(100 + i);
    queues.on({util::BootTime{1s + i * 500ms}, sample});
  }
  const std::string json = queues.json(run, people);
  EXPECT_NE(json.find(R"("queue_max":129,"limit":128,"refused":9999)"), std::string::npos) << json.substr(0, 300);
  EXPECT_NE(json.find(",129,128,4711]"), std::string::npos);
  EXPECT_LE(static_cast<std::size_t>(std::count(json.begin(), json.end(), '[')), Queues::kMostPoints + 3);
}

}  // namespace
}  // namespace tcpwhy::html
