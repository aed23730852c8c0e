// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/pipeline.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "bpf/tcpwhy_abi.h"

namespace tcpwhy::core {
namespace {

using Bytes = std::vector<std::byte>;

template <typename Record>
Bytes bytes_of(Record record, std::uint16_t kind, std::uint64_t time_ns) {
  record.header = {time_ns, kind, sizeof(Record), 0, 0};
  Bytes bytes(sizeof(Record));
  std::memcpy(bytes.data(), &record, sizeof(record));
  return bytes;
}

Bytes tick(std::uint64_t time_ns) { return bytes_of(tw_tick{}, TW_KIND_TICK, time_ns); }

// Notes what it was shown.
class Witness final : public Detector {
 public:
  explicit Witness(std::vector<std::string>& seen)
      : Detector(
            {.slug = "witness", .family = Family::ending, .rank = 1, .instant = true, .causes = {}, .meaning = {}}),
        seen_(seen) {}
  void on_event(const abi::Event& event, Scene& scene) override {
    EXPECT_EQ(scene.now(), event.time);
    seen_.emplace_back(abi::name_of(event));
  }
  void on_tick(Scene&) override { seen_.emplace_back("on_tick"); }
  std::optional<Verdict> judge(const Case&, const Scene&) const override { return std::nullopt; }
  void describe(Finding&) const override {}

 private:
  std::vector<std::string>& seen_;
};

struct Witnessed {
  std::vector<std::string> seen;
  std::vector<std::string> events;
  std::vector<util::BootTime> ticks;
  Pipeline pipeline;

  Witnessed()
      : pipeline({}, detectors(),
                 {[](const auto&) {}, [this](const abi::Event& e) { events.emplace_back(abi::name_of(e)); },
                  [this](util::BootTime now) { ticks.push_back(now); }}) {}

 private:
  std::vector<std::unique_ptr<Detector>> detectors() {
    std::vector<std::unique_ptr<Detector>> result;
    result.push_back(std::make_unique<Witness>(seen));
    return result;
  }
};

TEST(Pipeline, DetectorsSeeEventsThenTicksAndNeverOrdinaryTransitions) {
  Witnessed run;
  run.pipeline.feed(bytes_of(tw_transition{}, TW_KIND_TRANSITION, 5));
  run.pipeline.feed(bytes_of(tw_state{}, TW_KIND_STATE, 6));
  run.pipeline.feed(tick(7));
  EXPECT_EQ(run.seen, (std::vector<std::string>{"state", "tick", "on_tick"}));
  EXPECT_EQ(run.events, (std::vector<std::string>{"transition", "state", "tick"}));
  EXPECT_EQ(run.ticks, std::vector{util::boot_time(7)});
}

// Where nobody looks at events they are counted and move the clock: no more, but no less.
TEST(Pipeline, OrdinaryTransitionsCountTheSameWithoutBeingRead) {
  Pipeline shown{{}, {}, {[](const auto&) {}, [](const abi::Event&) {}}};
  Pipeline fed{{}, {}, {[](const auto&) {}, {}}};
  Pipeline told{{}, {}, {[](const auto&) {}, {}}};
  EXPECT_TRUE(shown.shows_events());
  EXPECT_FALSE(fed.shows_events());
  for (const std::uint64_t time : {5U, 9U, 7U}) {
    const Bytes record = bytes_of(tw_transition{}, TW_KIND_TRANSITION, time);
    shown.feed(record);
    fed.feed(record);
    told.feed_ordinary(util::boot_time(time));
  }
  for (Pipeline* pipeline : {&shown, &fed, &told}) {
    const Summary s = pipeline->summary();
    EXPECT_EQ(s.events.at("transition"), 3U);
    EXPECT_EQ(s.started, util::boot_time(5));
    EXPECT_EQ(s.ended, util::boot_time(9));
    Bytes cut = bytes_of(tw_transition{}, TW_KIND_TRANSITION, 10);
    cut.resize(cut.size() - 1);
    pipeline->feed(cut);
    EXPECT_EQ(pipeline->unreadable(), 1U);
  }
}

TEST(Pipeline, TheSummaryCountsEventsByKindAndNotTheClock) {
  Witnessed run;
  run.pipeline.feed(bytes_of(tw_state{}, TW_KIND_STATE, 1'000'000'000));
  run.pipeline.feed(bytes_of(tw_state{}, TW_KIND_STATE, 2'000'000'000));
  run.pipeline.feed(bytes_of(tw_seed_end{}, TW_KIND_SEED_END, 2'000'000'000));
  run.pipeline.feed(bytes_of(tw_sweep_end{}, TW_KIND_SWEEP_END, 2'000'000'000));
  tw_lost lost{};
  lost.count = 7;
  lost.kind = TW_KIND_STATE;
  run.pipeline.feed(bytes_of(lost, TW_KIND_LOST, 2'000'000'000));
  run.pipeline.feed(tick(3'000'000'000));
  const Summary s = run.pipeline.summary();
  EXPECT_EQ(s.events, (std::map<std::string, std::uint64_t>{{"state", 2}}));
  EXPECT_EQ(s.events_lost, 7U);
  EXPECT_EQ(s.started, util::boot_time(1'000'000'000));
  EXPECT_EQ(s.ended, util::boot_time(3'000'000'000));
  EXPECT_FALSE(s.worst);
}

TEST(Pipeline, EveryWayToLoseReachesTheSummary) {
  Witnessed run;
  for (std::uint32_t way = 0; way < TW_LOST_WAYS; ++way) {
    tw_lost lost{};
    lost.count = 10 + way;
    lost.kind = TW_KIND_SAMPLE;
    lost.way = way;
    run.pipeline.feed(bytes_of(lost, TW_KIND_LOST, 2'000'000'000));
  }
  const Summary s = run.pipeline.summary();
  ASSERT_EQ(s.losses.size(), abi::kLossWays);
  for (const auto& [way, count] : s.losses) EXPECT_EQ(count, 10U + static_cast<std::uint32_t>(way));
  EXPECT_EQ(s.events_lost, 10U + 11U) << "the other ways lose no event";
  EXPECT_EQ(run.pipeline.losses().events_by_kind(), (std::map<std::string, std::uint64_t>{{"sample", 21}}));
}

TEST(Pipeline, WhatCannotBeReadIsCounted) {
  Witnessed run;
  run.pipeline.feed(std::span<const std::byte>{});
  run.pipeline.feed(Bytes(3, std::byte{1}));
  run.pipeline.feed(bytes_of(tw_tick{}, 999, 5));
  Bytes cut = bytes_of(tw_state{}, TW_KIND_STATE, 5);
  cut.resize(cut.size() / 2);
  run.pipeline.feed(cut);
  EXPECT_EQ(run.pipeline.unreadable(), 4U);
  EXPECT_EQ(run.pipeline.summary().events.at("unreadable"), 4U);
  EXPECT_TRUE(run.seen.empty());
  run.pipeline.feed(tick(6));
  EXPECT_EQ(run.pipeline.unreadable(), 4U);
}

TEST(Pipeline, GarbageIsNeverFatal) {
  Witnessed run;
  std::mt19937 random{20};
  std::uniform_int_distribution<int> byte{0, 255};
  std::uniform_int_distribution<std::size_t> size{0, 400};
  std::uniform_int_distribution<int> kind{0, 40};
  const auto garbage = [&](std::size_t n) {
    Bytes bytes(n);
    for (std::byte& b : bytes) b = static_cast<std::byte>(byte(random));
    return bytes;
  };
  std::uint64_t fed = 0;
  for (int i = 0; i < 20000; ++i) {
    Bytes bytes = garbage(size(random));
    // Half of them with a header that fits, so that what is inside gets read.
    if (bytes.size() >= sizeof(tw_header) && i % 2 == 0) {
      const tw_header header{static_cast<std::uint64_t>(i) * 1'000'000, static_cast<std::uint16_t>(kind(random)),
                             static_cast<std::uint16_t>(bytes.size()), 0, 0};
      std::memcpy(bytes.data(), &header, sizeof(header));
    }
    run.pipeline.feed(bytes);
    fed += 1;
  }
  run.pipeline.finish();
  EXPECT_GT(run.pipeline.unreadable(), fed / 2);
  EXPECT_LT(run.pipeline.unreadable(), fed);
  EXPECT_EQ(run.pipeline.summary().events.at("unreadable"), run.pipeline.unreadable());
}

TEST(Pipeline, TimeNeverGoesBack) {
  Witnessed run;
  run.pipeline.feed(tick(9'000'000'000));
  run.pipeline.feed(bytes_of(tw_sweep_end{}, TW_KIND_SWEEP_END, 9'000'000'000));
  EXPECT_EQ(run.pipeline.facts().now(), util::boot_time(9'000'000'000));
}

}  // namespace
}  // namespace tcpwhy::core
