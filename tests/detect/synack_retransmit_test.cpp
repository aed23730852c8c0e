// SPDX-License-Identifier: GPL-2.0-only
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/detect/incident.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "synack-retransmit";

const std::string kServer = R"(
  at 0ms listen srv 10.0.0.1:8080 by lighttpd[2112] limit 128
  connect cli 10.0.0.7:50000 -> 10.0.0.1:8080
)";

TEST(SynAckRetransmit, ASilentClient) {
  const Told told = tell(kServer + R"(
    at 1s synack-retransmit srv from cli timer timeouts 0
    at 3s synack-retransmit srv from cli timer timeouts 1
    until 3.5s
  )");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "client-silent info likely remote-host 10.0.0.7:50000");
  EXPECT_EQ(ends(f), "10.0.0.1:8080 lighttpd[2112] - 10.0.0.7:50000");
  EXPECT_EQ(f.phase, core::Phase::open);
  EXPECT_EQ(f.evidence.number("synack_retransmits"), 2);
  EXPECT_FALSE(f.evidence.flag("client_acked"));
  EXPECT_EQ(told.slugs(), kSlug);
}

TEST(SynAckRetransmit, TheFirstByTheTimerIsOrdinaryLoss) {
  const Told told = tell(kServer + R"(
    at 1s synack-retransmit srv from cli timer timeouts 0
    until 3s
  )");
  EXPECT_EQ(told.slugs(), "");
}

TEST(SynAckRetransmit, DuplicateSynsAloneAreNoTimer) {
  const Told told = tell(kServer + R"(
    at 1s synack-retransmit srv from cli duplicate timeouts 1
    at 3s synack-retransmit srv from cli duplicate timeouts 1
    until 5s
  )");
  EXPECT_EQ(told.slugs(), "");
}

TEST(SynAckRetransmit, AClientThatRepeatsItsSynDoesNotGetTheSynAck) {
  const Told told = tell(kServer + R"(
    at 1s   synack-retransmit srv from cli duplicate timeouts 0
    at 1.1s synack-retransmit srv from cli timer timeouts 0 retrans 1
    at 3.1s synack-retransmit srv from cli timer timeouts 1 retrans 2
    until 3.5s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "synack-lost info likely network");
}

TEST(SynAckRetransmit, AFirewallHereThatDropsTheAnswer) {
  const Told told = tell(kServer + R"(
    at 10ms drop cli NETFILTER_DROP
    at 1s synack-retransmit srv from cli timer timeouts 0
    at 3s synack-retransmit srv from cli timer timeouts 1
    until 3.5s
  )");
  EXPECT_EQ(told.first(kSlug).culprit.kind, core::CulpritKind::local_firewall);
}

TEST(SynAckRetransmit, WarnsFromTenAMinuteForOneListener) {
  const auto clients = [](int n) {
    return tell("at 0ms listen srv 10.0.0.1:8080 by lighttpd[2112] limit 1024\n" +
                each(n, "connect c%n 10.0.0.7:%p -> 10.0.0.1:8080") +
                each(n, "at %t synack-retransmit srv from c%n timer timeouts 1", 3000, 1) + "until 4s")
        .last(kSlug);
  };
  EXPECT_EQ(clients(9).severity, core::Severity::info);
  EXPECT_EQ(clients(10).severity, core::Severity::warning);
}

TEST(SynAckRetransmit, ManySourcesThatFillTheQueueAreAFlood) {
  const auto sources = [](int n, int requests) {
    return tell(
        fmt::format("at 0ms listen srv 10.0.0.1:8080 by lighttpd[2112] limit 128 requests {0} young {0}\n", requests) +
        each(n, "connect c%n 10.1.%n.1:50000 -> 10.0.0.1:8080") +
        each(n, "at %t synack-retransmit srv from c%n timer timeouts 1", 3000, 1) + "until 4s");
  };
  const Told told = sources(60, 120);
  EXPECT_EQ(brief(told.last(kSlug)), "syn-flood critical likely network");
  EXPECT_NE(sources(60, 20).last(kSlug).cause, "syn-flood");
  EXPECT_NE(sources(20, 120).last(kSlug).cause, "syn-flood");
}

TEST(SynAckRetransmit, EndsWhenTheClientAnswers) {
  const Told told = tell(kServer + R"(
    at 1s synack-retransmit srv from cli timer timeouts 0
    at 3s synack-retransmit srv from cli timer timeouts 1
    at 3.5s child conn of cli
    until 6s
  )");
  EXPECT_EQ(told.phases(kSlug), "open closed");
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::recovered);
}

TEST(SynAckRetransmit, EndsWhenTheRetriesAreUsedUp) {
  const Told told = tell(kServer + R"(
    at 1s synack-retransmit srv from cli timer timeouts 0
    at 3s synack-retransmit srv from cli timer timeouts 1
    until 12s
  )");
  EXPECT_EQ(told.last(kSlug).phase, core::Phase::closed);
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::timed_out);
}

TEST(SynAckRetransmit, LostEventsMakeItUnsure) {
  const Told told = tell(kServer + R"(
    at 1s synack-retransmit srv from cli timer timeouts 0
    at 2s lost 7 synack_retransmit
    at 3s synack-retransmit srv from cli timer timeouts 1
    until 3.5s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "client-silent info unsure remote-host 10.0.0.7:50000");
  EXPECT_EQ(told.first(kSlug).evidence.number("events_lost"), 7);
}

TEST(SynAckRetransmit, AnAckedRequestIsTheOtherFinding) {
  const Told told = tell(kServer + R"(
    at 1s synack-retransmit srv from cli timer acked timeouts 0 queue 129 head 1s
    at 3s synack-retransmit srv from cli timer acked timeouts 1
    until 3.5s
  )");
  EXPECT_EQ(told.phases(kSlug), "");
  EXPECT_NE(told.phases("synack-retransmit-unexpected"), "");
}

TEST(SynAckRetransmit, AClientConnectedOnThisHostIsTheOtherFinding) {
  const Told told = tell(R"(
    at 0ms listen srv 127.0.0.1:8080 by lighttpd[2112] limit 128
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
    established cli
    at 1s synack-retransmit srv from cli timer timeouts 0
    at 3s synack-retransmit srv from cli timer timeouts 1
    until 3.5s
  )");
  EXPECT_EQ(told.phases(kSlug), "");
}

}  // namespace
}  // namespace tcpwhy::detect
