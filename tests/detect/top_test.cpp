// SPDX-License-Identifier: GPL-2.0-only
// What the screen shows of an incident: from a script through the pipeline.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/detect/incident.h"
#include "user/detect/detectors.h"
#include "user/source/script.h"
#include "user/top/watch.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;

const std::string kServed = R"(
  at 0ms  listen srv 10.0.0.1:80 by app[77]
  connect cli 10.0.0.9:50000 -> 10.0.0.1:80
  child in of cli on srv by app[77] watched
  sweeps on
)";

// The screen's model after the script.
class Looking {
 public:
  explicit Looking(std::string_view script)
      : watch_(core::RunIdentity{}), pipeline_(settings(), make_all(core::Thresholds{}), outlets()) {
    const auto parsed = source::parse_script(script);
    if (!parsed) return;
    for (const auto& record : parsed->records) pipeline_.feed(record);
    good_ = true;
  }
  top::Model look() {
    EXPECT_TRUE(good_) << "the script is wrong";
    return watch_.look(pipeline_);
  }
  top::Watch& watch() { return watch_; }
  core::Pipeline& pipeline() { return pipeline_; }

 private:
  static core::Settings settings() {
    core::Settings settings;
    settings.names = source::script_names();
    return settings;
  }
  core::Outlets outlets() {
    return {[this](const std::vector<core::Finding>& findings) { watch_.on(findings); },
            [this](const abi::Event& event) { watch_.on(event); }};
  }
  top::Watch watch_;
  core::Pipeline pipeline_;
  bool good_ = false;
};

TEST(Top, AnOpenFindingHasItsConnectionItsProcessAndItsListener) {
  Looking screen{kServed + "at 1s receive in 100000\nat 2.5s process 77 state T\nuntil 4s"};
  const top::Model model = screen.look();
  ASSERT_EQ(model.findings.size(), 1U);
  EXPECT_EQ(model.findings[0].finding.slug, "stall-unread");
  EXPECT_EQ(model.findings[0].state, top::FindingRow::State::open);
  EXPECT_EQ(model.findings[0].count, 1U);
  EXPECT_GE(model.findings[0].duration, 2s);
  ASSERT_EQ(model.connections.size(), 1U);
  EXPECT_EQ(model.connections[0].what, "stall-unread");
  EXPECT_EQ(model.connections[0].severity, core::Severity::warning);
  EXPECT_EQ(model.connections[0].finding, model.findings[0].finding.id);
  EXPECT_EQ(model.connections[0].unread, 100000U);
  EXPECT_EQ(model.header.in_trouble, 1U);
  EXPECT_EQ(model.header.open_warning, 1U);
  ASSERT_EQ(model.listeners.size(), 1U);
  EXPECT_EQ(model.listeners[0].endpoint.port, 80);
  EXPECT_FALSE(model.all_processes);
  ASSERT_EQ(model.processes.size(), 1U);
  EXPECT_EQ(model.processes[0].use.pid, 77U);
  EXPECT_EQ(model.processes[0].severity, core::Severity::warning);
  EXPECT_EQ(model.processes[0].use.unread, 100000U);
}

TEST(Top, BelowTheThresholdItIsInTroubleAndInNoFinding) {
  Looking screen{kServed + "at 1s receive in 100000\nuntil 2s"};
  const top::Model model = screen.look();
  EXPECT_TRUE(model.findings.empty());
  ASSERT_EQ(model.connections.size(), 1U);
  EXPECT_FALSE(model.connections[0].severity);
  EXPECT_EQ(model.connections[0].what, "(unread)");
}

TEST(Top, WhatIsOverStaysForAWhile) {
  Looking screen{kServed + "at 1s receive in 100000\nat 2.5s process 77 state T\nat 4s read in\nuntil 8s"};
  const top::Model model = screen.look();
  ASSERT_EQ(model.findings.size(), 1U);
  EXPECT_EQ(model.findings[0].state, top::FindingRow::State::ended);
  EXPECT_TRUE(model.connections.empty());
  EXPECT_EQ(model.header.in_trouble, 0U);
  EXPECT_EQ(model.header.open_warning, 0U);
  EXPECT_EQ(screen.watch().opened(core::Severity::warning), 1U);
  EXPECT_EQ(screen.watch().opened(core::Severity::critical), 0U);
}

TEST(Top, WhatIsOpenWhenTheRunEndsStaysOpen) {
  Looking screen{kServed + "at 1s receive in 100000\nat 2.5s process 77 state T\nuntil 4s"};
  screen.pipeline().finish();
  const top::Model model = screen.look();
  ASSERT_EQ(model.findings.size(), 1U);
  EXPECT_EQ(model.findings[0].state, top::FindingRow::State::open);
  EXPECT_EQ(model.header.open_warning, 1U);
}

TEST(Top, WhatHappenedLongAgoIsForgotten) {
  Looking screen{kServed + "at 1s receive in 100000\nat 2.5s process 77 state T\nat 4s read in\nuntil 700s"};
  EXPECT_TRUE(screen.look().findings.empty());
}

TEST(Top, ALadderHasTheStepsAndTheFindings) {
  Looking screen{kConnected +
                 "at 1s send out 100\nat 1.2s timeout out\nat 1.6s timeout out\nat 2.4s timeout out\nuntil 6s"};
  const top::Model model = screen.look();
  ASSERT_FALSE(model.connections.empty());
  const top::Ladder ladder = screen.watch().ladder_of(model.connections[0].tuple, source::script_names());
  EXPECT_EQ(util::to_string(ladder.client), "10.0.0.1:50000");
  EXPECT_EQ(util::to_string(ladder.server), "10.0.0.9:80");
  const auto has = [&](top::LadderLine::At at, std::string_view words) {
    return std::any_of(ladder.lines.begin(), ladder.lines.end(), [&](const top::LadderLine& line) {
      return line.at == at && line.text.find(words) != std::string::npos;
    });
  };
  EXPECT_TRUE(has(top::LadderLine::At::client, "sent again (time-out)"));
  EXPECT_TRUE(has(top::LadderLine::At::finding, "stall-unacked"));
  EXPECT_TRUE(std::is_sorted(ladder.lines.begin(), ladder.lines.end(),
                             [](const auto& a, const auto& b) { return a.time < b.time; }));
}

TEST(Top, ACountOfAllProcessesTakesThePlaceOfWhatEventsTold) {
  Looking screen{kServed + "until 1s"};
  top::Census census;
  census.processes = {{.pid = 5, .start = {}, .comm = "busy", .established = 3}};
  census.connections = 3;
  screen.watch().count(census, screen.pipeline().facts().now());
  const top::Model model = screen.look();
  EXPECT_TRUE(model.all_processes);
  ASSERT_EQ(model.processes.size(), 1U);
  EXPECT_EQ(model.processes[0].use.pid, 5U);
  EXPECT_EQ(model.header.connections, 3U);
}

// Ten thousand are one line among the findings and the worst few hundred among the connections.
TEST(Top, AFloodStaysBounded) {
  std::string script = "at 0ms listen srv 10.0.0.1:80 by app[77]\nsweeps on\n";
  script += each(1500,
                 "connect cli%n 10.0.0.9:%p -> 10.0.0.1:80\nchild in%n of cli%n on srv by app[77] watched\n"
                 "receive in%n 100000\n");
  Looking screen{script + "at 2.5s process 77 state T\nuntil 6s"};
  const top::Model model = screen.look();
  EXPECT_EQ(model.header.in_trouble, 1500U);
  EXPECT_EQ(model.connections.size() + model.connections_left_out, 1500U);
  EXPECT_LE(model.connections.size(), 500U);
  ASSERT_FALSE(model.findings.empty());
  EXPECT_EQ(model.findings[0].count, 1500U);
  EXPECT_TRUE(std::is_sorted(model.connections.begin(), model.connections.end(), [](const auto& a, const auto& b) {
    return std::tuple{-static_cast<int>(*a.severity), a.since, a.number} <
           std::tuple{-static_cast<int>(*b.severity), b.since, b.number};
  }));
}

}  // namespace
}  // namespace tcpwhy::detect
