// SPDX-License-Identifier: GPL-2.0-only
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/detect/incident.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "timed-out";
using namespace std::chrono_literals;

const std::string kStalled = R"(
  at 0ms    connect cli 10.0.0.1:50000 -> 10.0.0.9:22 by ssh[4410]
  at 10ms   established cli
  set cli retries2 3
  at 38ms   send cli 5
  at 246ms  timeout cli
  at 662ms  timeout cli
  at 1494ms timeout cli
  at 3158ms timeout cli
)";

TEST(TimedOut, TheRetransmissionsAreUsedUp) {
  const Told told = tell(kStalled + "at 6486ms error cli ETIMEDOUT\nclose cli\nuntil 8s");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "retransmit-timeout critical certain network");
  EXPECT_EQ(told.phases(kSlug), "event");
  EXPECT_EQ(ends(f), "10.0.0.1:50000 ssh[4410] - 10.0.0.9:22");
  EXPECT_EQ(f.count, 1U);
  EXPECT_EQ(f.evidence.text("errno"), "ETIMEDOUT");
  EXPECT_EQ(f.evidence.number("unacked_bytes"), 5);
  EXPECT_EQ(f.evidence.number("rtos"), 4);
  EXPECT_TRUE(f.evidence.has("rst_sent"));
  EXPECT_FALSE(f.evidence.flag("rst_sent"));
  EXPECT_EQ(f.evidence.number("since_last_ack_ms"), 6476);
  EXPECT_EQ(told.last("stall-unacked").ended, core::Ended::timed_out);
  EXPECT_EQ(told.phases("reset"), "");
}

TEST(TimedOut, NewerKernelsReportTheErrorAfterTheEnd) {
  const Told told = tell(kStalled + "at 6486ms close cli err ETIMEDOUT\nerror cli ETIMEDOUT\nuntil 8s");
  EXPECT_EQ(told.phases(kSlug), "event");
  EXPECT_EQ(brief(told.first(kSlug)), "retransmit-timeout critical certain network");
}

TEST(TimedOut, KeepaliveProbesWithoutAnAnswer) {
  const Told told = tell(R"(
    at 0ms   connect cli 10.0.0.1:50000 -> 10.0.0.9:22 by ssh[4410]
    at 10ms  established cli
    at 60s   reset-sent cli reason TCP_KEEPALIVE_TIMEOUT keepalive probes 3
    error cli ETIMEDOUT
    close cli
    until 62s
  )");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "keepalive-timeout critical certain remote-host 10.0.0.9:22");
  EXPECT_EQ(f.evidence.number("probes"), 3);
  EXPECT_TRUE(f.evidence.flag("rst_sent"));
  EXPECT_EQ(told.slugs(), kSlug);
}

// SO_ERROR, asked in the moment between the error and the end, gives the error and clears it.
TEST(TimedOut, KeepaliveWhoseErrorTheProgramTookAway) {
  const std::string probed = R"(
    at 0ms   connect cli 10.0.0.1:50000 -> 10.0.0.9:22 by ssh[4410]
    at 10ms  established cli
    at 3h    set cli keepalive probes 3
  )";
  EXPECT_EQ(brief(tell(probed + "close cli\nuntil 10802s").first(kSlug)),
            "keepalive-timeout critical certain remote-host 10.0.0.9:22");
  // The program gave up first, or the peer answered with a reset.
  EXPECT_EQ(tell(probed + "close cli shutdown 3\nuntil 10802s").phases(kSlug), "");
  EXPECT_EQ(tell(probed + "reset-received cli\nclose cli\nuntil 10802s").phases(kSlug), "");
}

TEST(TimedOut, TheProgramsOwnLimit) {
  const Told told = tell(R"(
    at 0ms    connect cli 10.0.0.1:50000 -> 10.0.0.9:22 by ssh[4410]
    at 10ms   established cli
    set cli user-timeout 3s
    at 38ms   send cli 5
    at 246ms  timeout cli
    at 662ms  timeout cli
    at 1494ms timeout cli
    at 3246ms close cli err ETIMEDOUT
    until 5s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "user-timeout critical certain network");
  EXPECT_EQ(told.first(kSlug).evidence.number("user_timeout_ms"), 3000);
}

TEST(TimedOut, TheNetworkSaysUnreachable) {
  for (const std::string err : {"EHOSTUNREACH", "ENETUNREACH"}) {
    const Told told = tell(kStalled + "at 6486ms close cli err " + err + "\nuntil 8s");
    EXPECT_EQ(brief(told.first(kSlug)), "unreachable critical certain network");
    EXPECT_EQ(told.first(kSlug).evidence.text("errno"), err);
    EXPECT_THAT(told.first(kSlug).words.cause, testing::HasSubstr("cannot be reached (" + err + ")"));
    EXPECT_THAT(told.first(kSlug).words.advice.at(0), testing::StartsWith("ip route get 10.0.0.9"));
  }
}

TEST(TimedOut, AFirewallOfThisHostIsTheCulprit) {
  const Told told = tell(kStalled + "drop cli NETFILTER_DROP payload 5\nat 6486ms close cli err ETIMEDOUT\nuntil 8s");
  EXPECT_EQ(brief(told.first(kSlug)), "retransmit-timeout critical certain local-firewall");
}

TEST(TimedOut, AServerThatNeverAcceptedIsTheCulprit) {
  const Told told = tell(R"(
    at 0ms    listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
    at 10ms   connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
    established cli
    at 38ms   send cli 5
    overflow srv from cli payload 5 queue 5 head 2s
    at 246ms  timeout cli
    overflow srv from cli payload 5
    at 662ms  timeout cli
    overflow srv from cli payload 5
    at 3246ms close cli err ETIMEDOUT
    until 5s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "retransmit-timeout critical certain lighttpd[2112]");
}

TEST(TimedOut, OtherEndsAreNoTimeout) {
  EXPECT_EQ(tell(kStalled + "at 4s close cli\nuntil 6s").phases(kSlug), "");
  EXPECT_EQ(tell(kStalled + "at 4s reset-received cli\nclose cli err ECONNRESET\nuntil 6s").phases(kSlug), "");
  EXPECT_EQ(tell(kStalled + "at 4s close cli err ECONNABORTED by ss[99]\nuntil 6s").phases(kSlug), "");
  EXPECT_EQ(tell(kStalled + "at 6s ack cli\nat 6.4s close cli\nuntil 8s").phases(kSlug), "");
}

TEST(TimedOut, AConnectIsTheOtherFinding) {
  const Told told = tell(
      "at 0ms connect cli 10.0.0.1:50000 -> 10.0.0.9:22 by ssh[4410]\nat 1s syn-retransmit cli\n"
      "at 3s error cli ETIMEDOUT\nclose cli\nuntil 5s");
  EXPECT_EQ(told.phases(kSlug), "");
  EXPECT_EQ(told.phases("connect-timeout"), "event");
}

TEST(TimedOut, LostEventsLeaveWhatTheKernelSaid) {
  const Told told = tell(kStalled + "lost 4 retransmit\nat 6486ms close cli err ETIMEDOUT\nuntil 8s");
  EXPECT_EQ(brief(told.first(kSlug)), "retransmit-timeout critical certain network");
}

TEST(TimedOut, ManyOfOnePathAreAnEventAndAnUpdate) {
  const Told told = tell(each(50, R"(
    connect c%n 10.0.0.1:%p -> 10.0.0.9:80 by ab[77]
    established c%n
    send c%n 5
  )") + each(50, "at %t close c%n err ETIMEDOUT", 1000, 100) +
                         "until 30s");
  EXPECT_EQ(told.phases(kSlug), "event update");
  EXPECT_EQ(told.last(kSlug).count, 50U);
  EXPECT_EQ(told.last(kSlug).count_total, 50U);
}

}  // namespace
}  // namespace tcpwhy::detect
