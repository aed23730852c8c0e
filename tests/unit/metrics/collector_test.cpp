// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/collector.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/unit/metrics/sample.h"

namespace tcpwhy::metrics {
namespace {

RunFigures figures() {
  RunFigures f;
  f.sweeps = 9;
  f.sweep_walk_s = 0.5;
  f.most_connections = 1000;
  f.started_s = 100.5;
  f.now_s = 200;
  return f;
}

struct CollectorTest : testing::Test {
  Collector collector{false};
  std::vector<std::string> passed_on;
  core::Outlets watched;
  core::Pipeline pipeline = make();

  core::Pipeline make() {
    core::Outlets outlets;
    outlets.findings = [this](const auto&) { passed_on.emplace_back("findings"); };
    outlets.fact = [this](const abi::Event&) { passed_on.emplace_back("fact"); };
    collector.watch(outlets);
    watched = outlets;
    core::Settings settings;
    settings.max_connections = 1000;
    return core::Pipeline{std::move(settings), {}, std::move(outlets)};
  }
  void feed(std::int64_t at, decltype(abi::Event::body) body) {
    pipeline.feed(abi::Event{second(at), std::move(body)});
  }
};

abi::Seed listening() {
  abi::Seed e;
  e.socket.id = abi::SocketId{5};
  e.socket.tuple.local = {*util::parse_address("::1"), 443};
  e.socket.tuple.netns = 7;
  e.socket.state = abi::TcpState::listen;
  e.socket.full = e.socket.listener = true;
  e.socket.queue = 3;
  e.socket.limit = 128;
  return e;
}

TEST_F(CollectorTest, WhatTheStreamTells) {
  feed(1, listening());
  abi::ResetSent reset;
  reset.socket.tuple.local = {*util::parse_address("10.0.0.1"), 80};
  feed(2, reset);
  feed(2, abi::Lost{"drop", 3});
  feed(2, abi::Limited{"drop", 4});
  feed(3, abi::Tick{});
  pipeline.feed(std::span<const std::byte>{});  // no record at all
  const Snapshot s = collector.take(pipeline, figures());
  EXPECT_EQ(s.value(Id::accept_queue_depth, {"[::1]:443", "7"}), 3);
  EXPECT_EQ(s.value(Id::accept_queue_limit, {"[::1]:443", "7"}), 128);
  EXPECT_EQ(s.value(Id::resets, {"sent"}), 1);
  EXPECT_EQ(s.value(Id::events, {"reset_sent"}), 1);
  EXPECT_EQ(s.value(Id::events, {"retransmit"}), 0);
  EXPECT_EQ(s.value(Id::events, {"tick"}), -1);
  EXPECT_EQ(s.value(Id::events_lost, {"drop"}), 3);
  EXPECT_EQ(s.value(Id::events_lost, {"state"}), 0);
  EXPECT_EQ(s.value(Id::events_left_out, {"drop"}), 4);
  EXPECT_EQ(s.value(Id::events_unreadable), 1);
  EXPECT_EQ(s.value(Id::connections_tracked_limit), 1000);
  EXPECT_GE(s.value(Id::connections_tracked), 0);
}

TEST_F(CollectorTest, EveryWayToLoseIsASeriesFromTheStart) {
  for (std::size_t i = 0; i < abi::kLossWays; ++i) {
    const std::string way{abi::to_string(static_cast<abi::LossWay>(i))};
    EXPECT_EQ(collector.take(pipeline, figures()).value(Id::losses, {way}), 0) << way;
    feed(2, abi::Lost{"sample", 10 + i, static_cast<abi::LossWay>(i)});
    EXPECT_EQ(collector.take(pipeline, figures()).value(Id::losses, {way}), 10 + i) << way;
  }
  const Snapshot s = collector.take(pipeline, figures());
  EXPECT_EQ(s.value(Id::events_lost, {"sample"}), 10 + 11) << "the other ways lose no event";
  EXPECT_EQ(s.value(Id::behind), 0);
}

TEST_F(CollectorTest, WhatTheRunnerMeasured) {
  const Snapshot s = collector.take(pipeline, figures());
  EXPECT_EQ(s.value(Id::sweeps), 9);
  EXPECT_EQ(s.value(Id::sweep_cpu, {"walk"}), 0.5);
  EXPECT_EQ(s.value(Id::start_time), 100.5);
  EXPECT_EQ(s.value(Id::snapshot_time), 200);
  EXPECT_EQ(s.value(Id::recording_bytes), -1) << "nothing is recorded";
  RunFigures recording = figures();
  recording.recording = {4096, 2};
  const Snapshot with = collector.take(pipeline, recording);
  EXPECT_EQ(with.value(Id::recording_bytes), 4096);
  EXPECT_EQ(with.value(Id::recording_lost), 2);
}

TEST_F(CollectorTest, FindingsGoOnToWhomTheyWentBefore) {
  watched.findings({finding(1, core::Phase::open, core::Severity::critical, 2)});
  feed(1, abi::SweepEnd{});
  EXPECT_EQ(passed_on, (std::vector<std::string>{"findings", "fact"}));
  const Snapshot s = collector.take(pipeline, figures());
  EXPECT_EQ(s.value(Id::findings_opened, {"stall-unread", "process-busy", "critical"}), 1);
  EXPECT_EQ(s.value(Id::findings_cases, {"stall-unread", "process-busy"}), 2);
}

// What a reader of either format refuses: a family in two places, a series twice, labels that are not the table's.
TEST_F(CollectorTest, EverySnapshotIsInOrder) {
  feed(1, listening());
  RunFigures all = figures();
  all.recording = {1, 1};
  (void)collector.take(pipeline, all);
  const Snapshot s = collector.take(pipeline, all);
  std::set<std::pair<Id, std::vector<std::string>>> series;
  Id last{};
  for (const Sample& sample : s.samples()) {
    EXPECT_GE(sample.id, last) << metric(sample.id).name;
    last = sample.id;
    EXPECT_EQ(sample.labels.size(), metric(sample.id).labels.size()) << metric(sample.id).name;
    EXPECT_TRUE(series.emplace(sample.id, sample.labels).second) << metric(sample.id).name;
  }
  EXPECT_LT(s.samples().size(), 600U) << "bounded";
}

}  // namespace
}  // namespace tcpwhy::metrics
