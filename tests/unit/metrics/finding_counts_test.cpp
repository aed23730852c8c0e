// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/finding_counts.h"

#include <gtest/gtest.h>

#include "tests/unit/metrics/sample.h"
#include "user/detect/catalogue.h"

namespace tcpwhy::metrics {
namespace {

using core::Phase;
using core::Severity;

struct FindingCountsTest : testing::Test {
  FindingCounts counts;
  double value(Id id, const std::vector<std::string>& labels) const {
    Snapshot snapshot;
    counts.add_to(snapshot);
    return snapshot.value(id, labels);
  }
  double opened(const std::string& severity) const {
    return value(Id::findings_opened, {"stall-unread", "process-busy", severity});
  }
  double cases() const { return value(Id::findings_cases, {"stall-unread", "process-busy"}); }
};

TEST_F(FindingCountsTest, EveryFindingIsThereBeforeItHappens) {
  for (const detect::FindingSpec& row : detect::catalogue()) {
    EXPECT_EQ(value(Id::findings_opened, {std::string{row.slug}, std::string{row.causes[0]}, "critical"}), 0)
        << row.slug;
    EXPECT_EQ(value(Id::findings_opened, {std::string{row.slug}, "unknown", "info"}), 0) << row.slug;
    EXPECT_EQ(value(Id::findings_escalated, {std::string{row.slug}, "critical"}), 0) << row.slug;
  }
  EXPECT_EQ(value(Id::findings_open, {"stall-unread", "process-busy", "warning"}), -1) << "a gauge is there when it is";
}

TEST_F(FindingCountsTest, WhatWasForgottenIsCounted) {
  EXPECT_EQ(value(Id::findings_forgotten, {"stall-unread"}), 0);
  for (const core::Ended how : {core::Ended::recovered, core::Ended::forgotten}) {
    core::Finding f = finding(how == core::Ended::forgotten ? 2 : 1, Phase::open, Severity::warning, 1);
    counts.on(std::vector{f});
    f.phase = Phase::closed;
    f.ended = how;
    counts.on(std::vector{f});
  }
  EXPECT_EQ(value(Id::findings_forgotten, {"stall-unread"}), 1);
}

TEST_F(FindingCountsTest, ManyConnectionsAreOneFinding) {
  counts.on(std::vector{finding(1, Phase::open, Severity::warning, 3)});
  counts.on(std::vector{finding(1, Phase::update, Severity::warning, 10)});
  counts.on(std::vector{finding(1, Phase::closed, Severity::warning, 12)});
  EXPECT_EQ(opened("warning"), 1);
  EXPECT_EQ(cases(), 12);
}

TEST_F(FindingCountsTest, WhatGetsWorseIsNotOpenedTwice) {
  counts.on(std::vector{finding(1, Phase::open, Severity::info, 1)});
  counts.on(std::vector{finding(1, Phase::update, Severity::critical, 1)});
  counts.on(std::vector{finding(1, Phase::update, Severity::critical, 1)});
  EXPECT_EQ(opened("info"), 1);
  EXPECT_EQ(opened("critical"), 0);
  EXPECT_EQ(value(Id::findings_escalated, {"stall-unread", "critical"}), 1);
  EXPECT_EQ(value(Id::findings_escalated, {"stall-unread", "warning"}), 0);
}

TEST_F(FindingCountsTest, OpenOnesAreAsTheyStandNotAsTheyWereTold) {
  counts.on(std::vector{finding(1, Phase::open, Severity::warning, 3)});
  counts.on(std::vector<core::OpenFinding>{{1, "stall-unread", "process-busy", Severity::warning, 5, 6},
                                           {2, "stall-unread", "process-busy", Severity::warning, 1, 1}});
  EXPECT_EQ(value(Id::findings_open, {"stall-unread", "process-busy", "warning"}), 2);
  EXPECT_EQ(value(Id::findings_open_cases, {"stall-unread", "process-busy", "warning"}), 6);
  EXPECT_EQ(cases(), 6) << "of the one that was told";
  counts.on(std::vector<core::OpenFinding>{});
  EXPECT_EQ(value(Id::findings_open, {"stall-unread", "process-busy", "warning"}), 0) << "the row stays";
  EXPECT_EQ(cases(), 6);
}

TEST_F(FindingCountsTest, EventsAreCountedAndForgotten) {
  counts.on(std::vector{finding(1, Phase::event, Severity::critical, 1, 1)});
  counts.on(std::vector{finding(1, Phase::update, Severity::critical, 4, 11)});
  EXPECT_EQ(opened("critical"), 1);
  EXPECT_EQ(cases(), 4);
  counts.on(std::vector{finding(2, Phase::event, Severity::critical, 1, 1000)});
  // Long after, and with its beginning forgotten: what it had counted is not counted again.
  counts.on(std::vector{finding(1, Phase::update, Severity::critical, 4, 1001)});
  counts.on(std::vector{finding(1, Phase::update, Severity::critical, 6, 1002)});
  EXPECT_EQ(opened("critical"), 2);
  EXPECT_EQ(cases(), 7);
}

}  // namespace
}  // namespace tcpwhy::metrics
