// SPDX-License-Identifier: GPL-2.0-only
#include <gtest/gtest.h>

#include "tests/detect/incident.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "stall-unacked";
using namespace std::chrono_literals;

const std::string kSent = R"(
  at 0ms   connect cli 10.0.0.1:50000 -> 10.0.0.9:22 by ssh[4410]
  at 10ms  established cli
  at 38ms  send cli 5
)";
// The time-outs of a 208 ms RTO: each twice the one before.
const std::string kTwoTimeouts = kSent + "at 246ms timeout cli\nat 662ms timeout cli\n";
const std::string kThreeTimeouts = kTwoTimeouts + "at 1494ms timeout cli\n";
const std::string kFourTimeouts = kThreeTimeouts + "at 3158ms timeout cli\n";

TEST(StallUnacked, OpensWithTheProofAndGetsCritical) {
  const Told told = tell(kFourTimeouts + "until 3.5s");
  const auto lines = told.of(kSlug);
  ASSERT_GE(lines.size(), 2U);
  EXPECT_EQ(brief(lines[0]), "unknown warning likely network");
  EXPECT_EQ(lines[0].phase, core::Phase::open);
  EXPECT_EQ(lines[0].since, source::script_time(38ms));
  EXPECT_EQ(ends(lines[0]), "10.0.0.1:50000 ssh[4410] - 10.0.0.9:22");
  EXPECT_EQ(util::to_string(*lines[0].service), "10.0.0.9:22");
  EXPECT_EQ(lines[0].evidence.number("unacked_bytes"), 5);
  EXPECT_EQ(lines[0].evidence.number("rtos"), 3);
  EXPECT_EQ(lines[0].count, 1U);
  const core::Finding critical = lines[lines.size() - 2];
  EXPECT_EQ(critical.severity, core::Severity::critical);
  EXPECT_EQ(critical.phase, core::Phase::update);
  EXPECT_EQ(critical.evidence.number("rtos"), 4);
  EXPECT_EQ(critical.evidence.number("backoff"), 3);
  EXPECT_EQ(critical.evidence.number("rto_ms"), 1664);
}

TEST(StallUnacked, NobodyIsBlamedWhereAFirewallOfThisHostCannotBeRuledOut) {
  Setting old;
  old.blind = true;
  const auto lines = tell(kFourTimeouts + "until 3.5s", old).of(kSlug);
  ASSERT_FALSE(lines.empty());
  EXPECT_EQ(brief(lines[0]), "unknown warning likely unknown");
  EXPECT_TRUE(lines[0].evidence.flag("firewall_unseen"));
  EXPECT_NE(lines[0].words.cause.find("firewall rule of this host"), std::string::npos);
}

TEST(StallUnacked, ASecondAndTwoTimeoutsMustHavePassed) {
  EXPECT_EQ(tell(kTwoTimeouts + "at 1037ms sample cli\nuntil 1.2s").phases(kSlug), "");
  EXPECT_EQ(tell(kTwoTimeouts + "at 1038ms sample cli\nuntil 1.2s").phases(kSlug), "open closed");
  // One time-out is not enough, however long ago.
  EXPECT_EQ(tell(kSent + "set cli rto 2s\nat 2.1s timeout cli\nat 3.9s sample cli\nuntil 4s").phases(kSlug), "");
}

// A crowd waits for one service: the first is reset as the next one is not long enough in the same trouble to be told.
TEST(StallUnacked, WhoIsAboutToBeToldBelongsToWhatWasTold) {
  const Told told = tell(kFourTimeouts + R"(
    at 3.2s  connect next 10.0.0.1:50001 -> 10.0.0.9:22 by ssh[4411]
    established next
    send next 5
    at 3.4s  timeout next
    at 3.5s  reset-received cli
    close cli err ECONNRESET
    at 3.8s  timeout next
    at 4.7s  timeout next
    at 9s    ack next
    until 14s
  )");
  EXPECT_EQ(told.summary.findings.at(std::string{kSlug}), 1U);
  EXPECT_EQ(told.last(kSlug).count_total, 2U);
  EXPECT_EQ(told.last(kSlug).phase, core::Phase::closed);
}

TEST(StallUnacked, SilenceWithoutAProofProvesNothing) { EXPECT_EQ(tell(kTwoTimeouts + "until 20s").phases(kSlug), ""); }

TEST(StallUnacked, TailLossProbesAndFastRetransmitsAreNoStall) {
  EXPECT_EQ(tell(kSent + R"(
    at 246ms retransmit cli tail-loss
    at 1s    retransmit cli fast
    at 2s    retransmit cli tail-loss
    at 4s    retransmit cli probe
    until 6s
  )")
                .slugs(),
            "");
}

TEST(StallUnacked, AnAcknowledgmentInTimeIsNoStall) {
  const Told told = tell(kTwoTimeouts + R"(
    at 700ms ack cli
    at 1.1s  sample cli
    at 2s    send cli 5
    at 2.2s  timeout cli
    until 4s
  )");
  EXPECT_EQ(told.phases(kSlug), "");
}

TEST(StallUnacked, RecoversWithAnAcknowledgment) {
  const Told told = tell(kThreeTimeouts + "sweeps on\nat 2.3s ack cli\nuntil 6s");
  EXPECT_EQ(told.first(kSlug).phase, core::Phase::open);
  EXPECT_EQ(told.last(kSlug).phase, core::Phase::closed);
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::recovered);
  EXPECT_EQ(told.last(kSlug).since, source::script_time(38ms));
  EXPECT_EQ(told.last(kSlug).duration, 2500ms - 38ms);  // as the sweep saw it
}

TEST(StallUnacked, AThresholdMovesIt) {
  Setting setting;
  setting.settings.thresholds[kSlug] = 4s;
  EXPECT_EQ(tell(kFourTimeouts + "until 3.5s", setting).phases(kSlug), "");
}

TEST(StallUnacked, AServicePortHasAThresholdOfItsOwn) {
  const auto phases = [](std::uint16_t port) {
    Setting setting;
    setting.settings.thresholds.ports[port][kSlug] = 4s;
    return tell(kFourTimeouts + "until 3.5s", setting).phases(kSlug);
  };
  EXPECT_EQ(phases(22), "");
  EXPECT_NE(phases(50000), "") << "the client's port is not the service's";
}

TEST(StallUnacked, HowItEnds) {
  const auto ended = [](const std::string& how) { return tell(kFourTimeouts + how + "\nuntil 6s").last(kSlug).ended; };
  EXPECT_EQ(ended("at 4s close cli"), core::Ended::closed);
  EXPECT_EQ(ended("at 4s close cli exiting signal 15"), core::Ended::process_exit);
  EXPECT_EQ(ended("at 4s close cli err ETIMEDOUT"), core::Ended::timed_out);
  EXPECT_EQ(ended("at 4s reset-received cli\nclose cli err ECONNRESET"), core::Ended::reset);
}

// Between emptying the write queue and the state change, a sweep may come by.
TEST(StallUnacked, ALookWhileTheKernelGivesUpIsNoRecovery) {
  const Told told =
      tell(kFourTimeouts + "at 4s set cli purged\nat 4s sample cli\nat 4.3s close cli err ETIMEDOUT\nuntil 6s");
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::timed_out);
}

// Without a record of each refusal, and SYN cookies: the listener refused at the last try, and drained before the next.
TEST(StallUnacked, WhoWaitsForItsBackOffWasRefusedAtItsLastTry) {
  const Told told = tell(R"(
    at 0ms   listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
    sweeps on
    at 10ms  set srv queue 5 head 0ms drops 1
    at 20ms  connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
    established cli
    send cli 5
    at 228ms timeout cli
    at 644ms timeout cli
    at 1.5s  timeout cli
    at 3.1s  timeout cli
    set srv drops 9
    at 3.6s  set srv queue 0 head never
    at 6.9s  sample cli
    at 7.2s  ack cli
    sample cli
    until 9s
  )");
  EXPECT_EQ(told.phases(kSlug).substr(0, 4), "open");
  for (const core::Finding& f : told.of(kSlug)) EXPECT_EQ(f.cause, "accept-queue-full");
  EXPECT_EQ(told.last(kSlug).ended, core::Ended::recovered);
}

const std::string kNeverAccepted = R"(
  at 0ms    listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
  at 10ms   connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
  established cli
  at 11ms   overflow srv from cli queue 5 head 5s
  at 38ms   send cli 5
  overflow srv from cli payload 5
  at 246ms  timeout cli
  overflow srv from cli payload 5
  at 662ms  timeout cli
  overflow srv from cli payload 5
  at 1s     synack-retransmit srv from cli timer acked timeouts 0
  at 1494ms timeout cli
  overflow srv from cli payload 5
)";

TEST(StallUnacked, TheServerNeverAccepted) {
  const Told told = tell(kNeverAccepted + "until 2s");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "accept-queue-full warning certain lighttpd[2112]");
  EXPECT_EQ(ends(f), "127.0.0.1:50000 curl[4410] - 127.0.0.1:8080 lighttpd[2112]");
  EXPECT_EQ(f.evidence.number("queue"), 5);
}

TEST(StallUnacked, TheIncidentIsOneStory) {
  const Told told = tell(kNeverAccepted + "until 2s");
  // What was told before the root was known joins its story with its next line.
  const core::Finding root = told.last("accept-queue-overflow");
  EXPECT_EQ(root.role, core::StoryRole::root);
  for (const std::string_view slug : {"stall-unacked", "synack-retransmit-unexpected"}) {
    EXPECT_EQ(told.last(slug).story, root.id) << slug;
    EXPECT_EQ(told.last(slug).role, core::StoryRole::symptom) << slug;
  }
}

TEST(StallUnacked, WithSynCookiesThereIsNoRequestAndStillTheListenerIsNamed) {
  const Told told = tell(R"(
    at 0ms    listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
    at 10ms   connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
    established cli
    sweeps on
    set srv queue 5 head 0ms
    overflow srv from cli reason NO_SOCKET
    at 38ms   send cli 5
    overflow srv from cli payload 5 reason NO_SOCKET
    at 246ms  timeout cli
    overflow srv from cli payload 5 reason NO_SOCKET
    at 662ms  timeout cli
    overflow srv from cli payload 5 reason NO_SOCKET
    at 1494ms timeout cli
    overflow srv from cli payload 5 reason NO_SOCKET
    until 2s
  )");
  EXPECT_EQ(told.slugs(), "accept-queue-overflow stall-unacked");
  EXPECT_EQ(brief(told.last(kSlug)), "accept-queue-full warning certain lighttpd[2112]");
  EXPECT_EQ(brief(told.last("accept-queue-overflow")), "not-accepting critical certain lighttpd[2112]");
  EXPECT_EQ(told.last(kSlug).story, told.last("accept-queue-overflow").id);
}

TEST(StallUnacked, AFirewallOfThisHost) {
  const Told told = tell(kSent + R"(
    drop cli NETFILTER_DROP payload 5
    at 246ms  timeout cli
    at 662ms  timeout cli
    at 1494ms timeout cli
    drop cli NETFILTER_DROP payload 5
    until 2s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "dropped-locally warning certain local-firewall");
  EXPECT_EQ(told.first(kSlug).evidence.text("reason"), "NETFILTER_DROP");
}

TEST(StallUnacked, AFirewallDropOfLongAgoExplainsNothing) {
  const Told told = tell(kSent + R"(
    drop cli NETFILTER_DROP payload 5
    ack cli
    at 60s      send cli 5
    at 60208ms  timeout cli
    at 60624ms  timeout cli
    at 61456ms  timeout cli
    until 62s
  )");
  EXPECT_EQ(told.first(kSlug).cause, "unknown");
}

TEST(StallUnacked, TheNetworkSaysUnreachable) {
  const Told told = tell(kTwoTimeouts + "at 1494ms timeout cli soft-error EHOSTUNREACH\nuntil 2s");
  EXPECT_EQ(brief(told.first(kSlug)), "unreachable warning certain network");
  EXPECT_EQ(told.first(kSlug).evidence.text("errno"), "EHOSTUNREACH");
}

// So many connections, each with a stall of its own that began at the same time.
std::string stalls(int count, const std::string& remote) {
  std::string script = each(count, "connect c%n 10.0.0.1:%p -> " + remote + " by ab[77]");
  script += each(count, "established c%n") + each(count, "send c%n 5");
  for (const std::string at : {"208ms", "624ms", "1456ms"})
    script += "at " + at + " set c0\n" + each(count, "timeout c%n");
  return script + "until 1.9s";
}

TEST(StallUnacked, ThreeRemotesAtOnceAreThePath) {
  const Told told = tell(stalls(3, "10.0.%n.9:22"));
  EXPECT_EQ(told.summary.findings.at(kSlug), 3U);
  for (const core::Finding& f : told.of(kSlug)) EXPECT_EQ(brief(f), "path-lost warning likely network");
}

TEST(StallUnacked, TwoRemotesAtOnceMayBeChance) {
  for (const core::Finding& f : tell(stalls(2, "10.0.%n.9:22")).of(kSlug))
    EXPECT_EQ(brief(f), "unknown warning likely network");
}

TEST(StallUnacked, SaysWhenTheKernelGivesUp) {
  const Told told = tell(kSent + R"(
    set cli retries2 3
    at 246ms  timeout cli
    at 662ms  timeout cli
    at 1494ms timeout cli
    until 2s
  )");
  // 30 RTOs after the first time-out: 246 ms + 6240 ms.
  EXPECT_EQ(told.first(kSlug).evidence.text("gives_up_at"), util::rfc3339(source::script_time(6486ms), {}));
}

TEST(StallUnacked, AStallFromBeforeTheTraceSaysSo) {
  const Told told = tell(R"(
    socket old 10.0.0.1:50000 -> 10.0.0.9:22 by ssh[4410] unacked 48
    seed old
    at 246ms  timeout old
    at 662ms  timeout old
    at 1494ms timeout old
    until 2s
  )");
  EXPECT_EQ(ends(told.first(kSlug)), "10.0.0.1:50000 ssh[4410] - 10.0.0.9:22");
  EXPECT_TRUE(told.first(kSlug).evidence.has("history"));
}

TEST(StallUnacked, LostEventsMakeAGuessUnsure) {
  const Told told = tell(kTwoTimeouts + "at 1s lost 12 drop\nat 1494ms timeout cli\nuntil 2s");
  EXPECT_EQ(brief(told.first(kSlug)), "unknown warning unsure network");
  EXPECT_EQ(told.first(kSlug).evidence.number("events_lost"), 12);
}

TEST(StallUnacked, TenThousandStuckConnectionsAreOneLine) {
  const Told told = tell(stalls(10000, "10.0.0.9:80"));
  ASSERT_EQ(told.phases(kSlug), "open closed");
  EXPECT_EQ(told.first(kSlug).count, 10000U);
  EXPECT_EQ(told.first(kSlug).count_total, 10000U);
  EXPECT_EQ(told.first(kSlug).examples.size(), 5U);
  EXPECT_EQ(told.first(kSlug).connection->local.port, 20000);
}

}  // namespace
}  // namespace tcpwhy::detect
