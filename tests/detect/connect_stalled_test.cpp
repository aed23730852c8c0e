// SPDX-License-Identifier: GPL-2.0-only
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/detect/incident.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "connect-stalled";
using namespace std::chrono_literals;

const std::string kConnect = "at 0ms connect cli 10.0.0.1:50000 -> 10.0.0.9:80 by curl[4410]\n";

TEST(ConnectStalled, SeverityRisesWithEachSyn) {
  const Told told = tell(kConnect + R"(
    at 1s syn-retransmit cli
    at 3s syn-retransmit cli
    at 7s syn-retransmit cli
    until 7.5s
  )");
  const auto lines = told.of(kSlug);
  ASSERT_GE(lines.size(), 4U);
  EXPECT_EQ(brief(lines[0]), "peer-silent info likely remote-host 10.0.0.9:80");
  EXPECT_EQ(lines[0].phase, core::Phase::open);
  EXPECT_EQ(lines[0].since, source::script_time(0s));
  EXPECT_EQ(ends(lines[0]), "10.0.0.1:50000 curl[4410] - 10.0.0.9:80");
  EXPECT_EQ(util::to_string(*lines[0].service), "10.0.0.9:80");
  const core::Finding critical = lines[lines.size() - 2];
  EXPECT_EQ(brief(critical), "peer-silent critical likely remote-host 10.0.0.9:80");
  EXPECT_EQ(critical.evidence.number("syn_retransmits"), 3);
  for (const core::Finding& f : lines) EXPECT_EQ(f.id, lines[0].id);
}

TEST(ConnectStalled, WarnsAtTheSecondSyn) {
  const Told told = tell(kConnect + "at 1s syn-retransmit cli\nat 3s syn-retransmit cli\nuntil 3.5s");
  EXPECT_EQ(told.last(kSlug).severity, core::Severity::warning);
}

TEST(ConnectStalled, WithoutARetransmitThereIsNothing) {
  EXPECT_EQ(tell(kConnect + "at 990ms established cli\nuntil 5s").slugs(), "");
  EXPECT_EQ(tell(kConnect + "at 900ms close cli\nuntil 5s").slugs(), "");
}

TEST(ConnectStalled, ALateAnswerEndsIt) {
  const Told told = tell(kConnect + "at 1s syn-retransmit cli\nat 1.5s established cli\nuntil 5s");
  EXPECT_EQ(told.phases(kSlug), "open closed");
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::recovered);
  EXPECT_EQ(told.last(kSlug).duration, 1500ms);
  EXPECT_EQ(told.last(kSlug).severity, core::Severity::info);
}

TEST(ConnectStalled, AFullListenerOnThisHostIsTheCulprit) {
  const Told told = tell(R"(
    at 0ms   listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
    sweeps on
    at 10ms  set srv queue 5 head 0ms
    at 2s    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
    at 2s    set srv drops 1
    at 3s    syn-retransmit cli
    set srv drops 2
    until 4.5s
  )");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "accept-queue-full critical likely lighttpd[2112]");
  EXPECT_EQ(ends(f), "127.0.0.1:50000 curl[4410] - 127.0.0.1:8080");
  EXPECT_EQ(f.evidence.number("syn_retransmits"), 1);
  EXPECT_EQ(f.evidence.number("queue"), 5);
  EXPECT_EQ(f.evidence.number("limit"), 4);
  EXPECT_EQ(f.story, told.first("accept-queue-overflow").story);
  EXPECT_EQ(f.role, core::StoryRole::symptom);
}

TEST(ConnectStalled, ItStaysTheCulpritWhileTheBackOffLasts) {
  const Told told = tell(R"(
    at 0ms   listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
    sweeps on
    at 10ms  set srv queue 5 head 0ms
    at 2s    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
    at 2s    set srv drops 1
    at 3s    syn-retransmit cli
    set srv drops 2
    at 5s    syn-retransmit cli
    set srv drops 3
    at 6s    set srv queue 0 head never
    at 12s   close cli
    until 14s
  )");
  EXPECT_EQ(told.phases(kSlug).substr(0, 4), "open");
  for (const core::Finding& f : told.of(kSlug)) EXPECT_EQ(f.cause, "accept-queue-full");
  EXPECT_EQ(told.last("connect-timeout").cause, "accept-queue-full");
}

TEST(ConnectStalled, AFirewallThatAteALaterSynOutweighsARefusalOfBefore) {
  const Told told = tell(R"(
    at 0ms   listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
    sweeps on
    at 10ms  set srv queue 5 head 0ms
    at 2s    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
    at 2s    set srv drops 1
    at 2.6s  set srv queue 0 head never
    at 7s    syn-retransmit cli
    drop cli NETFILTER_DROP
    at 9s    syn-retransmit cli
    drop cli NETFILTER_DROP
    until 12s
  )");
  EXPECT_EQ(brief(told.last(kSlug)).substr(0, 15), "dropped-locally");
}

TEST(ConnectStalled, WhatHappensInTheMomentOfTheEndCounts) {
  const Told told =
      tell(kConnect + "at 1s syn-retransmit cli\nat 3s syn-retransmit cli\nat 3.02s established cli\nuntil 5s");
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::recovered);
  EXPECT_EQ(told.last(kSlug).evidence.number("syn_retransmits"), 2);
  EXPECT_EQ(told.last(kSlug).severity, core::Severity::warning);
}

TEST(ConnectStalled, AListenerWithRoomIsNotToBlame) {
  const Told told = tell(R"(
    at 0ms   listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
    at 2s    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
    at 3s    syn-retransmit cli
    until 4.5s
  )");
  EXPECT_EQ(told.first(kSlug).cause, "peer-silent");
}

TEST(ConnectStalled, AFirewallOfThisHost) {
  const Told told = tell(kConnect + R"(
    drop cli NETFILTER_DROP
    at 1s syn-retransmit cli
    drop cli NETFILTER_DROP
    until 1.5s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "dropped-locally info certain local-firewall");
  EXPECT_EQ(told.first(kSlug).evidence.number("firewall_drops"), 2);
}

TEST(ConnectStalled, WhatIcmpSaidWithoutEndingIt) {
  const Told told = tell(kConnect + "at 1s syn-retransmit cli soft-error EHOSTUNREACH\nuntil 1.5s");
  EXPECT_EQ(brief(told.first(kSlug)), "unreachable info certain network");
  EXPECT_EQ(told.first(kSlug).evidence.text("errno"), "EHOSTUNREACH");
}

TEST(ConnectStalled, ANeighbourThatDoesNotAnswerAndARouterThatSaysSoLookTheSame) {
  const auto words = [](const std::string& from, const std::string& to, const std::string& err) {
    return tell("at 0ms connect cli " + from + " -> " + to + " by curl[4410]\nat 1s syn-retransmit cli soft-error " +
                err + "\nuntil 1.5s")
        .first(kSlug)
        .words;
  };
  const core::Words host = words("10.0.0.1:50000", "10.0.0.9:80", "EHOSTUNREACH");
  EXPECT_EQ(host.cause,
            "either the neighbour (10.0.0.9 itself or the next hop to it) does not answer ARP, or a router on the way "
            "said by ICMP that the host cannot be reached (EHOSTUNREACH)");
  EXPECT_THAT(host.advice.at(0), testing::HasSubstr("ip neigh show"));
  EXPECT_THAT(words("[fd77::1]:50000", "[fd77::2]:80", "EHOSTUNREACH").cause,
              testing::HasSubstr("neighbour discovery"));
  EXPECT_EQ(words("10.0.0.1:50000", "10.0.0.9:80", "ENETUNREACH").cause,
            "a router on the way, or a route of this host, says that 10.0.0.9 cannot be reached (ENETUNREACH)");
}

TEST(ConnectStalled, AnEndWithItsProcessKnowsHowThatEnded) {
  const std::string stalled = kConnect + "at 1s syn-retransmit cli\nat 3s syn-retransmit cli\n";
  const core::Finding last = tell(stalled + "at 4s close cli exiting signal 9\nuntil 6s").last(kSlug);
  ASSERT_TRUE(last.owner && last.owner->exit);
  EXPECT_EQ(last.owner->exit->signal, 9);
  EXPECT_FALSE(tell(stalled + "at 4s close cli\nuntil 6s").last(kSlug).owner->exit);
}

TEST(ConnectStalled, AdviceForAnotherNamespaceSaysHowToGetThere) {
  Setting setting;
  setting.settings.identity.netns = 4026531833;
  const auto advice = [&](const std::string& netns) {
    return tell("at 0ms connect cli 10.0.0.1:50000 -> 10.0.0.9:80 by curl[4410] netns " + netns +
                    "\nat 1s syn-retransmit cli\nuntil 1.5s",
                setting)
        .first(kSlug)
        .words.advice.at(0);
  };
  EXPECT_THAT(advice("4026532201"),
              testing::StartsWith("in its namespace (nsenter -t 4410 -n): ping and traceroute to 10.0.0.9;"));
  EXPECT_THAT(advice("4026531833"), testing::StartsWith("ping and traceroute to 10.0.0.9;"));
}

TEST(ConnectStalled, HowItEnds) {
  const std::string stalled = kConnect + "at 1s syn-retransmit cli\nat 3s syn-retransmit cli\n";
  EXPECT_EQ(tell(stalled + "at 4s close cli\nuntil 6s").last(kSlug).ended, core::Ended::closed);
  EXPECT_EQ(tell(stalled + "at 4s close cli exiting signal 9\nuntil 6s").last(kSlug).ended, core::Ended::process_exit);
  EXPECT_EQ(tell(stalled + "at 4s close cli err ETIMEDOUT\nuntil 6s").last(kSlug).ended, core::Ended::timed_out);
  EXPECT_EQ(tell(stalled + "at 4s refuse cli silently\nuntil 6s").last(kSlug).ended, core::Ended::reset);
}

TEST(ConnectStalled, LostEventsMakeItUnsure) {
  const Told told = tell(kConnect + "at 500ms lost 3 drop\nat 1s syn-retransmit cli\nuntil 1.5s");
  EXPECT_EQ(brief(told.first(kSlug)), "peer-silent info unsure remote-host 10.0.0.9:80");
  EXPECT_EQ(told.first(kSlug).evidence.number("events_lost"), 3);
}

TEST(ConnectStalled, LossThatRetransmissionsRepairIsInfo) {
  const Told told = tell(kConnect + each(8, "connect ok%n 10.0.0.1:%p -> 10.0.0.9:80 by curl[4410]") +
                         "at 1s syn-retransmit cli\n" + each(8, "syn-retransmit ok%n") + "at 1.01s set cli\n" +
                         each(8, "established ok%n") + "at 3s syn-retransmit cli\nat 3.5s established cli\nuntil 6s");
  for (const core::Finding& f : told.of(kSlug)) EXPECT_EQ(f.severity, core::Severity::info);
}

}  // namespace
}  // namespace tcpwhy::detect
