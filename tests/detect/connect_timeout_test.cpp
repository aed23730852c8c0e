// SPDX-License-Identifier: GPL-2.0-only
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/detect/incident.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "connect-timeout";
using testing::HasSubstr;

const std::string kConnect = "at 0ms connect cli 10.0.0.1:50000 -> 10.0.0.9:80 by curl[4410]\n";
const std::string kTwoSyns = kConnect + "at 1s syn-retransmit cli\nat 3s syn-retransmit cli\n";

TEST(ConnectTimeout, TheKernelGaveUp) {
  const Told told = tell(kTwoSyns + "at 7s close cli err ETIMEDOUT\nuntil 8s");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "peer-silent critical likely remote-host 10.0.0.9:80");
  EXPECT_EQ(told.phases(kSlug), "event");
  EXPECT_EQ(ends(f), "10.0.0.1:50000 curl[4410] - 10.0.0.9:80");
  EXPECT_EQ(f.count, 1U);
  EXPECT_EQ(f.evidence.text("errno"), "ETIMEDOUT");
  EXPECT_EQ(f.evidence.number("syn_retransmits"), 2);
}

TEST(ConnectTimeout, TheProgramGaveUp) {
  const Told told = tell(kTwoSyns + "at 5s close cli\nuntil 6s");
  EXPECT_EQ(brief(told.first(kSlug)), "peer-silent warning likely remote-host 10.0.0.9:80");
}

TEST(ConnectTimeout, AClientThatEndsWhileItWaitsSaysHow) {
  const auto words = [](const std::string& how) {
    return tell(kTwoSyns + "at 5s close cli exiting " + how + "\nuntil 6s").first(kSlug).words;
  };
  EXPECT_EQ(words("signal 9").summary,
            "curl[4410] was killed by SIGKILL while it waited in connect() to 10.0.0.9:80 (5 s without an answer).");
  EXPECT_EQ(words("signal 9").evidence, "the process ended before the kernel gave up; SYN sent again 2 times");
  EXPECT_THAT(words("status 28").summary, HasSubstr("curl[4410] exited with status 28 while it waited in connect()"));
  const core::Words closed = tell(kTwoSyns + "at 5s close cli\nuntil 6s").first(kSlug).words;
  EXPECT_EQ(closed.summary, "curl[4410] gave up its connect to 10.0.0.9:80 after 5 s without an answer.");
  EXPECT_EQ(closed.evidence, "the program closed the socket before the kernel gave up; SYN sent again 2 times");

  const core::Finding killed = tell(kTwoSyns + "at 5s close cli exiting signal 9\nuntil 6s").first(kSlug);
  EXPECT_EQ(brief(killed), "peer-silent warning likely remote-host 10.0.0.9:80");
  EXPECT_EQ(killed.evidence.number("exit_signal"), 9);
}

TEST(ConnectTimeout, AProgramThatClosesBeforeAnyRetransmitIsNoFailure) {
  EXPECT_EQ(tell(kConnect + "at 900ms close cli\nuntil 3s").slugs(), "");
}

TEST(ConnectTimeout, AnAnswerInTimeIsNoFailure) {
  EXPECT_EQ(tell(kTwoSyns + "at 3.1s established cli\nat 4s close cli\nuntil 6s").phases(kSlug), "");
}

TEST(ConnectTimeout, ARefusalIsTheOtherFinding) {
  const Told told = tell(kTwoSyns + "at 3.1s refuse cli silently\nuntil 6s");
  EXPECT_EQ(told.phases(kSlug), "");
  EXPECT_EQ(told.phases("connect-refused"), "event");
}

TEST(ConnectTimeout, ASocketDestroyedFromOutsideIsNoFailure) {
  EXPECT_EQ(tell(kTwoSyns + "at 3.1s close cli err ECONNABORTED\nuntil 6s").phases(kSlug), "");
}

TEST(ConnectTimeout, NoLocalPortIsLeft) {
  const Told told = tell(R"(
    at 0ms connect cli 10.0.0.1:0 -> 10.0.0.9:80 by ab[77]
    close cli
    until 1s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "ports-exhausted critical likely kernel-limit");
  EXPECT_EQ(told.first(kSlug).evidence.text("errno"), "EADDRNOTAVAIL");
}

TEST(ConnectTimeout, AnIcmpRejectOfAnotherHost) {
  const Told told = tell(kConnect + "at 1s syn-retransmit cli\nat 1.1s close cli err ECONNREFUSED\nuntil 3s");
  EXPECT_EQ(brief(told.first(kSlug)), "rejected critical certain remote-host 10.0.0.9:80");
  EXPECT_EQ(told.slugs(), "connect-stalled connect-timeout");
}

TEST(ConnectTimeout, ARefusalOnLoopbackWhoseRstWasNotSeenIsNobodysReject) {
  EXPECT_EQ(tell("at 0ms connect cli 127.0.0.1:50000 -> 127.0.0.1:80 by curl[4410]\n"
                 "at 1ms close cli err ECONNREFUSED\nuntil 3s")
                .slugs(),
            "");
}

TEST(ConnectTimeout, AnIcmpRejectOfThisHostsFirewall) {
  for (const std::string err : {"ECONNREFUSED", "EHOSTUNREACH"}) {
    const Told told =
        tell(kConnect + "drop cli NETFILTER_DROP\nat 1s syn-retransmit cli\ndrop cli NETFILTER_DROP\nclose cli err " +
             err + "\nuntil 3s");
    EXPECT_EQ(brief(told.first(kSlug)), "rejected critical certain local-firewall") << err;
  }
}

// The error goes from the ICMP handler straight to the waiting connect(): the socket never holds it.
TEST(ConnectTimeout, ARejectWhileConnectRunsLeavesNoErrorAndReadsWellAllTheSame) {
  const core::Finding f = tell(kConnect + "drop cli NETFILTER_DROP\nat 5ms close cli\nuntil 2s").first(kSlug);
  EXPECT_EQ(brief(f), "rejected critical likely local-firewall");
  EXPECT_FALSE(f.evidence.has("errno"));
  EXPECT_EQ(f.words.summary, "the connect of curl[4410] to 10.0.0.9:80 was rejected by a firewall rule of this host.");
  EXPECT_EQ(f.words.evidence,
            "a rule dropped the SYN and the connect ended within 20 ms, without an RST; the error went straight to the "
            "program");
}

TEST(ConnectTimeout, ARejectOfAnotherHostNamesItsError) {
  const core::Words words = tell(kConnect + "at 1ms close cli err ECONNREFUSED\nuntil 1s").first(kSlug).words;
  EXPECT_EQ(words.summary, "the connect of curl[4410] to 10.0.0.9:80 was rejected with an ICMP error.");
  EXPECT_EQ(words.evidence, "the connect ended with ECONNREFUSED and without an RST; SYN sent once");
}

TEST(ConnectTimeout, TheNetworkSaysUnreachable) {
  const Told told = tell(kTwoSyns + "at 3.1s close cli err EHOSTUNREACH\nuntil 5s");
  EXPECT_EQ(brief(told.first(kSlug)), "unreachable critical certain network");
  EXPECT_EQ(brief(tell(kConnect + "at 1ms close cli err ENETUNREACH\nuntil 1s").first(kSlug)),
            "unreachable critical certain network");
}

TEST(ConnectTimeout, AFirewallOfThisHostThatSwallowsTheSyns) {
  const Told told = tell(kConnect + R"(
    drop cli NETFILTER_DROP
    at 1s syn-retransmit cli
    drop cli NETFILTER_DROP
    at 3s close cli err ETIMEDOUT
    until 5s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "dropped-locally critical certain local-firewall");
}

TEST(ConnectTimeout, AFullListenerOfThisHost) {
  const Told told = tell(R"(
    at 0ms   listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
    sweeps on
    at 10ms  set srv queue 5 head 0ms
    at 2s    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
    set srv drops 1
    at 3s    syn-retransmit cli
    set srv drops 2
    at 4.5s  close cli
    until 6s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "accept-queue-full warning likely lighttpd[2112]");
  EXPECT_EQ(told.first(kSlug).story, told.first("accept-queue-overflow").story);
}

TEST(ConnectTimeout, LaterOnesOfAWindowAreOneUpdate) {
  const Told told = tell(each(6, R"(
    at %t connect c%n 10.0.0.1:%p -> 10.0.0.9:80 by curl[4410]
    close c%n err EHOSTUNREACH
  )",
                              0, 1000) +
                         "until 25s");
  ASSERT_EQ(told.phases(kSlug), "event update");
  EXPECT_EQ(told.first(kSlug).count, 1U);
  EXPECT_EQ(told.last(kSlug).count, 6U);
  EXPECT_EQ(told.last(kSlug).examples.size(), 5U);
}

TEST(ConnectTimeout, LostEventsMakeAGuessUnsure) {
  const Told told = tell(kTwoSyns + "lost 9 drop\nat 7s close cli err ETIMEDOUT\nuntil 8s");
  EXPECT_EQ(brief(told.first(kSlug)), "peer-silent critical unsure remote-host 10.0.0.9:80");
  EXPECT_EQ(told.first(kSlug).evidence.number("events_lost"), 9);
}

}  // namespace
}  // namespace tcpwhy::detect
