// SPDX-License-Identifier: GPL-2.0-only
#include <gtest/gtest.h>

#include "tests/detect/incident.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "synack-retransmit-unexpected";
using namespace std::chrono_literals;

// A loopback client that is connected in its own eyes since 10 ms.
const std::string kConnected = R"(
  at 0ms  listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
  at 10ms connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
  established cli
)";

TEST(SynAckRetransmitUnexpected, TellsTheIncidentFromBothEnds) {
  const Told told = tell(kConnected + R"(
    at 38ms  send cli 5
    at 1.01s synack-retransmit srv from cli timer acked timeouts 0 queue 5 head 1s
    until 1.5s
  )");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "accept-queue-full critical certain lighttpd[2112]");
  EXPECT_EQ(ends(f), "127.0.0.1:8080 lighttpd[2112] - 127.0.0.1:50000 curl[4410]");
  EXPECT_EQ(f.phase, core::Phase::open);
  EXPECT_EQ(f.count, 1U);
  EXPECT_EQ(f.since, source::script_time(10ms));
  EXPECT_EQ(f.evidence.number("synack_retransmits"), 1);
  EXPECT_TRUE(f.evidence.flag("client_acked"));
  EXPECT_EQ(f.evidence.text("listener"), "127.0.0.1:8080");
  ASSERT_TRUE(f.connection);
  EXPECT_EQ(f.connection->role, core::ConnectionRole::server);
}

TEST(SynAckRetransmitUnexpected, AListenerOverItsLimitExplainsAnAckThatWasNotCounted) {
  const Told told = tell(kConnected + R"(
    at 1.01s synack-retransmit srv from cli timer timeouts 0 queue 5 head 1s
    until 1.5s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "accept-queue-full critical likely lighttpd[2112]");
}

TEST(SynAckRetransmitUnexpected, ARemoteClientWhoseAckWasDroppedHere) {
  const Told told = tell(R"(
    at 0ms  listen srv 10.0.0.1:8080 by lighttpd[2112] limit 4
    connect cli 10.0.0.7:50000 -> 10.0.0.1:8080
    at 1s   synack-retransmit srv from cli timer acked timeouts 0 queue 5 head 1s
    until 1.5s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "accept-queue-full critical certain lighttpd[2112]");
  EXPECT_FALSE(told.first(kSlug).peer && told.first(kSlug).peer->owner);
}

TEST(SynAckRetransmitUnexpected, TheClientMustHaveBeenConnectedFor200Milliseconds) {
  const auto at = [](const std::string& time) {
    return tell(kConnected + "at " + time + " synack-retransmit srv from cli timer timeouts 0\nuntil 1s").phases(kSlug);
  };
  EXPECT_EQ(at("209ms"), "");
  EXPECT_EQ(at("60ms"), "");
  EXPECT_EQ(at("210ms"), "open closed");
}

TEST(SynAckRetransmitUnexpected, AThresholdMovesIt) {
  Setting setting;
  setting.settings.thresholds[kSlug] = 2s;
  EXPECT_EQ(tell(kConnected + "at 1s synack-retransmit srv from cli timer\nuntil 2s", setting).phases(kSlug), "");
}

TEST(SynAckRetransmitUnexpected, ADuplicateSynIsNoTimer) {
  const Told told = tell(kConnected + R"(
    at 60ms  synack-retransmit srv from cli duplicate timeouts 0
    at 1s    synack-retransmit srv from cli duplicate acked timeouts 0
    until 2s
  )");
  EXPECT_EQ(told.phases(kSlug), "");
}

TEST(SynAckRetransmitUnexpected, OneLostSynAckIsRepairedWithin50Milliseconds) {
  const Told told = tell(R"(
    at 0ms    listen srv 127.0.0.1:8080 by lighttpd[2112]
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
    at 1s     syn-retransmit cli
    at 1.001s synack-retransmit srv from cli duplicate timeouts 0
    at 1.002s established cli
    at 1.03s  synack-retransmit srv from cli timer timeouts 0 retrans 1
    at 1.04s  child conn of cli
    until 3s
  )");
  EXPECT_EQ(told.phases(kSlug), "");
}

TEST(SynAckRetransmitUnexpected, DeferAcceptDropsTheBareAckByDesign) {
  const Told told = tell(kConnected + R"(
    at 7s   synack-retransmit srv from cli timer acked timeouts 3 retrans 0 defer 4
    until 9s
  )");
  EXPECT_EQ(told.slugs(), "");
}

TEST(SynAckRetransmitUnexpected, DeferAcceptDoesNotExcuseAFullQueue) {
  const Told told = tell(kConnected + R"(
    at 7s   synack-retransmit srv from cli timer acked timeouts 3 defer 4 queue 5 head 7s
    until 8s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "accept-queue-full critical certain lighttpd[2112]");
}

TEST(SynAckRetransmitUnexpected, AnAckThatAFirewallAte) {
  const Told told = tell(kConnected + R"(
    at 10ms   drop cli NETFILTER_DROP
    at 220ms  drop cli NETFILTER_DROP payload 5
    at 640ms  drop cli NETFILTER_DROP payload 5
    at 1.01s  synack-retransmit srv from cli timer timeouts 0
    until 1.5s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "handshake-ack-lost critical certain local-firewall");
  EXPECT_EQ(told.first(kSlug).evidence.number("firewall_drops"), 3);
}

TEST(SynAckRetransmitUnexpected, AnAckThatGotLostIsInfoOnceAndCriticalTwice) {
  const Told told = tell(kConnected + R"(
    at 1.01s synack-retransmit srv from cli timer timeouts 0
    at 3.01s synack-retransmit srv from cli timer timeouts 1
    until 3.5s
  )");
  const auto lines = told.of(kSlug);
  ASSERT_GE(lines.size(), 2U);
  EXPECT_EQ(brief(lines[0]), "handshake-ack-lost info likely unknown");
  const core::Finding second = told.of(kSlug)[lines.size() - 2];
  EXPECT_EQ(brief(second), "handshake-ack-lost critical likely unknown");
  EXPECT_EQ(second.phase, core::Phase::update);
  EXPECT_EQ(second.evidence.number("synack_retransmits"), 2);
}

TEST(SynAckRetransmitUnexpected, EndsWhenTheServerAccepts) {
  const Told told = tell(kConnected + R"(
    at 1.01s synack-retransmit srv from cli timer acked timeouts 0 queue 5 head 1s
    at 1.9s  set srv queue 3 head 10ms
    at 1.9s  child conn of cli
    until 5s
  )");
  EXPECT_EQ(told.phases(kSlug), "open closed");
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::recovered);
  EXPECT_EQ(told.last(kSlug).duration, 1890ms);
}

TEST(SynAckRetransmitUnexpected, EndsWithTheResetOfTheRequest) {
  const Told told = tell(kConnected + R"(
    at 1.01s synack-retransmit srv from cli timer acked timeouts 0 queue 5 head 1s
    at 3.01s reset-sent srv to cli trigger 5
    reset-received cli unacked 5
    close cli err ECONNRESET
    until 6s
  )");
  EXPECT_EQ(told.last(kSlug).phase, core::Phase::closed);
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::reset);
}

TEST(SynAckRetransmitUnexpected, EndsWhenTheClientLeaves) {
  const Told told = tell(kConnected + R"(
    at 1.01s synack-retransmit srv from cli timer acked timeouts 0 queue 5 head 1s
    at 1.5s  close cli
    until 4s
  )");
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::closed);
}

TEST(SynAckRetransmitUnexpected, EndsWhenTheKernelsRetriesAreUsedUp) {
  const Told told = tell(kConnected + R"(
    at 1.01s synack-retransmit srv from cli timer acked timeouts 0 queue 5 head 1s
    at 3.01s synack-retransmit srv from cli timer acked timeouts 1
    until 12s
  )");
  EXPECT_EQ(told.last(kSlug).phase, core::Phase::closed);
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::timed_out);
}

TEST(SynAckRetransmitUnexpected, LostEventsMakeAGuessUnsure) {
  const Told told = tell(kConnected + R"(
    at 500ms lost 5 drop
    at 1.01s synack-retransmit srv from cli timer timeouts 0
    at 3.01s synack-retransmit srv from cli timer timeouts 1
    until 3.5s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "handshake-ack-lost info unsure unknown");
  EXPECT_EQ(told.first(kSlug).evidence.number("events_lost"), 5);
}

TEST(SynAckRetransmitUnexpected, SharesAStoryWithTheOverflow) {
  const Told told = tell(kConnected + R"(
    at 38ms  send cli 5
    at 39ms  overflow srv from cli queue 5 head 20ms
    at 1.05s synack-retransmit srv from cli timer acked timeouts 0 head 1.03s
    until 2s
  )");
  const core::Finding root = told.first("accept-queue-overflow");
  const core::Finding symptom = told.first(kSlug);
  EXPECT_EQ(root.story, symptom.story);
  EXPECT_EQ(root.role, core::StoryRole::root);
  EXPECT_EQ(symptom.role, core::StoryRole::symptom);
}

TEST(SynAckRetransmitUnexpected, AServicePortHasAThresholdOfItsOwn) {
  const auto phases = [](std::uint16_t port) {
    Setting setting;
    setting.settings.thresholds.ports[port][kSlug] = 2s;
    return tell(kConnected + "at 1s synack-retransmit srv from cli timer\nuntil 2s", setting).phases(kSlug);
  };
  EXPECT_EQ(phases(8080), "");
  EXPECT_EQ(phases(50000), "open closed") << "the client's port is not the service's";
}

}  // namespace
}  // namespace tcpwhy::detect
