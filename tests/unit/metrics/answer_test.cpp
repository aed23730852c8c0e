// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tcpwhy::metrics {
namespace {

using testing::HasSubstr;

std::shared_ptr<const Snapshot> snapshot(double cpu) {
  Snapshot s;
  s.add(Id::cpu, cpu);
  return std::make_shared<const Snapshot>(std::move(s));
}

TEST(Answers, MetricsInTheFormatThatIsAskedFor) {
  Answers answers;
  const auto newest = snapshot(1);
  const Answer plain = answers.to({"GET", "/metrics", "", false}, newest);
  EXPECT_EQ(plain.status, 200U);
  EXPECT_THAT(*plain.body, HasSubstr("# TYPE tcpwhy_cpu_seconds_total counter"));
  const Answer open = answers.to({"GET", "/metrics?x=/y", "application/openmetrics-text", false}, newest);
  EXPECT_THAT(std::string{open.type}, HasSubstr("openmetrics"));
  EXPECT_THAT(*open.body, HasSubstr("# EOF"));
}

TEST(Answers, ASnapshotIsMadeIntoTextOnce) {
  Answers answers;
  const auto first = snapshot(1);
  const auto text = answers.to({"GET", "/metrics", "", false}, first).body;
  EXPECT_EQ(answers.to({"HEAD", "/metrics", "", false}, first).body, text);
  const auto next = answers.to({"GET", "/metrics", "", false}, snapshot(2)).body;
  EXPECT_THAT(*next, HasSubstr("tcpwhy_cpu_seconds_total 2"));
  EXPECT_THAT(*text, HasSubstr("tcpwhy_cpu_seconds_total 1")) << "whoever still sends it keeps it";
}

TEST(Answers, NotYet) { EXPECT_EQ(Answers{}.to({"GET", "/metrics", "", false}, nullptr).status, 503U); }

TEST(Answers, WhatElseIsAsked) {
  Answers answers;
  const auto newest = snapshot(1);
  EXPECT_EQ(answers.to({"GET", "/", "", false}, newest).status, 200U);
  EXPECT_THAT(*answers.to({"GET", "/", "", false}, nullptr).body, HasSubstr("/metrics"));
  for (const char* target : {"", "*", "/metrics/", "//metrics", "/metricsx", "/../metrics", "http://x/metrics"})
    EXPECT_EQ(answers.to({"GET", target, "", false}, newest).status, 404U) << target;
  for (const char* method : {"POST", "PUT", "DELETE", "get", "", "OPTIONS", "CONNECT"})
    EXPECT_EQ(answers.to({method, "/metrics", "", false}, newest).status, 405U) << method;
  EXPECT_EQ(answers.to({"GET", "/metrics", "", true}, newest).status, 413U);
}

}  // namespace
}  // namespace tcpwhy::metrics
