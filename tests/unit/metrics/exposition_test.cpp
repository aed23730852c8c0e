// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/exposition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tcpwhy::metrics {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

Snapshot sample() {
  Snapshot s;
  s.add(Id::accept_queue_depth, {"a\"b\\c\nd", "7"}, 2.0);
  s.add(Id::accept_queue_fill, {"x", "7"}, 0.25);
  s.add(Id::resets, {"sent"}, std::uint64_t{3});
  s.add(Id::resets, {"received"}, std::uint64_t{0});
  s.add(Id::cpu, 1.5);
  s.add(Id::resident_memory, std::uint64_t{1} << 40);
  return s;
}

TEST(Exposition, OpenMetrics) {
  const std::string text = render(sample(), Exposition::openmetrics);
  EXPECT_THAT(text, HasSubstr("# TYPE tcpwhy_resets counter\ntcpwhy_resets_total{direction=\"sent\"} 3\n"
                              "tcpwhy_resets_total{direction=\"received\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE tcpwhy_cpu_seconds counter\n# UNIT tcpwhy_cpu_seconds seconds\n"
                              "tcpwhy_cpu_seconds_total 1.5\n"));
  EXPECT_THAT(text, HasSubstr("tcpwhy_accept_queue_fill_ratio{listener=\"x\",netns=\"7\"} 0.25\n"));
  EXPECT_THAT(text, EndsWith("\n# EOF\n"));
}

TEST(Exposition, Prometheus) {
  const std::string text = render(sample(), Exposition::prometheus);
  EXPECT_THAT(text, HasSubstr("# TYPE tcpwhy_resets_total counter\ntcpwhy_resets_total{direction=\"sent\"} 3\n"));
  EXPECT_THAT(text, Not(HasSubstr("# UNIT")));
  EXPECT_THAT(text, Not(HasSubstr("# EOF")));
}

TEST(Exposition, LabelsAreEscaped) {
  for (const Exposition exposition : {Exposition::openmetrics, Exposition::prometheus})
    EXPECT_THAT(render(sample(), exposition),
                HasSubstr(R"(tcpwhy_accept_queue_depth{listener="a\"b\\c\nd",netns="7"} 2)"
                          "\n"));
}

TEST(Exposition, WholeNumbersStayWhole) {
  EXPECT_THAT(render(sample(), Exposition::prometheus), HasSubstr("tcpwhy_resident_memory_bytes 1099511627776\n"));
}

TEST(Exposition, EachFamilyIsIntroducedOnce) {
  const std::string text = render(sample(), Exposition::openmetrics);
  std::size_t times = 0;
  for (std::size_t at = 0; (at = text.find("# HELP tcpwhy_resets ", at)) != std::string::npos; ++at) times += 1;
  EXPECT_EQ(times, 1U);
}

TEST(Negotiation, PrometheusGetsOpenMetrics) {
  EXPECT_EQ(negotiate("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                      "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
            Exposition::openmetrics);
  EXPECT_EQ(negotiate("text/plain;q=0.2, Application/OpenMetrics-Text; Version=\"1.0.0\"; Q=0.9"),
            Exposition::openmetrics);
}

TEST(Negotiation, OthersGetPlainText) {
  for (const char* accept :
       {"", "*/*", "text/html,*/*;q=0.8", "text/plain", "application/openmetrics-text;q=0", "image/png",
        ";;;,,,=", "application/openmetrics-text;version=2.0.0", "application/openmetrics-text;q=nonsense",
        "application/openmetrics-text;q=0.3,text/plain;q=0.4", "application/openmetrics-text;q=-1"})
    EXPECT_EQ(negotiate(accept), Exposition::prometheus) << accept;
}

TEST(Negotiation, TheTypeSaysWhatIsGiven) {
  EXPECT_EQ(content_type(Exposition::openmetrics), "application/openmetrics-text; version=1.0.0; charset=utf-8");
  EXPECT_EQ(content_type(Exposition::prometheus), "text/plain; version=0.0.4; charset=utf-8");
}

}  // namespace
}  // namespace tcpwhy::metrics
