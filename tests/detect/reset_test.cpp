// SPDX-License-Identifier: GPL-2.0-only
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/detect/incident.h"

namespace tcpwhy::detect {
namespace {

constexpr auto kSlug = "reset";

// Both ends on this host: the server's end accepted.
const std::string kBoth = R"(
  at 0ms   listen srv 127.0.0.1:7000 by worker[33]
  at 10ms  connect cli 127.0.0.1:50000 -> 127.0.0.1:7000 by php[50]
  established cli
  child end of cli by worker[33]
)";
// The request of 1,386 bytes came, and no reply yet: the client is owed one.
const std::string kAsked = kBoth + R"(
  at 20ms  send cli 1386
  receive end 1386
  ack cli
)";
// On loopback the sender's task runs the receiver's softirq before its own event.
const std::string kClientLearns = "reset-received cli\nclose cli err ECONNRESET\n";

TEST(Reset, TheServersProcessExits) {
  const Told told = tell(kAsked + "at 1s close end exiting signal 9 shutdown 3\n" + kClientLearns +
                         "reset-sent end reason TCP_ABORT_ON_CLOSE\nuntil 3s");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "process-exit critical certain worker[33]");
  EXPECT_EQ(told.phases(kSlug), "event");
  EXPECT_EQ(ends(f), "127.0.0.1:7000 worker[33] - 127.0.0.1:50000 php[50]");
  EXPECT_EQ(f.direction, core::Direction::sent);
  EXPECT_EQ(f.count, 1U);
  EXPECT_EQ(util::to_string(*f.service), "127.0.0.1:7000");
  EXPECT_EQ(f.evidence.text("reason"), "TCP_ABORT_ON_CLOSE");
  EXPECT_EQ(f.evidence.text("state_before"), "ESTABLISHED");
  EXPECT_EQ(f.evidence.number("unread_bytes"), 1386);
  EXPECT_TRUE(f.evidence.flag("reply_owed"));
  EXPECT_EQ(f.evidence.number("exit_signal"), 9);
  EXPECT_EQ(f.evidence.text("sender"), "local");
  ASSERT_TRUE(f.culprit.process && f.culprit.process->exit);
  EXPECT_EQ(f.culprit.process->exit->signal, 9);
}

TEST(Reset, AnExitStatusIsNoSignal) {
  const Told told = tell(kAsked + "at 1s close end exiting status 3 shutdown 3\n" + kClientLearns +
                         "reset-sent end reason TCP_ABORT_ON_CLOSE\nuntil 3s");
  EXPECT_EQ(brief(told.first(kSlug)), "process-exit critical certain worker[33]");
  EXPECT_EQ(told.first(kSlug).evidence.number("exit_code"), 3);
  EXPECT_EQ(told.first(kSlug).evidence.number("exit_signal"), 0);
}

TEST(Reset, AdviceFitsHowTheProcessEnded) {
  const auto told = [](const std::string& how) {
    return tell(kAsked + "at 1s close end exiting " + how + " shutdown 3\n" + kClientLearns +
                "reset-sent end reason TCP_ABORT_ON_CLOSE\nuntil 3s")
        .first(kSlug);
  };
  const auto advice = [&](const std::string& how) { return told(how).words.advice.at(0); };
  EXPECT_EQ(told("signal 9").words.summary, "a connection of php[50] was reset: worker[33] was killed by SIGKILL.");
  EXPECT_THAT(advice("signal 9"), testing::StartsWith("what killed worker[33]: the OOM killer (dmesg)"));
  for (const int stop : {1, 2, 3, 15})  // SIGHUP, SIGINT, SIGQUIT, SIGTERM
    EXPECT_EQ(advice("signal " + std::to_string(stop)),
              "who stopped worker[33] (journalctl, a deployment)? It should drain first: stop accepting, answer what "
              "was asked, exit")
        << stop;
  EXPECT_THAT(advice("status 0"), testing::StartsWith("was worker[33] told to stop (journalctl, a deployment)?"));
  EXPECT_THAT(advice("status 3"), testing::StartsWith("find out why worker[33] gave up"));
  for (const int crash : {4, 6, 7, 8, 11})  // SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV
    EXPECT_EQ(advice("signal " + std::to_string(crash)),
              "worker[33] crashed: its log and its core dump (coredumpctl) say where")
        << crash;
  EXPECT_THAT(advice("signal 10"), testing::StartsWith("find out who or what sent worker[33] this signal"));
}

// It leaves nobody behind whom it should have served.
TEST(Reset, AClientThatIsStoppedIsNotToldToDrain) {
  const Told told = tell(kAsked + R"(
    at 1s close cli exiting signal 15 shutdown 3
    reset-received end
    close end err ECONNRESET
    reset-sent cli reason TCP_STATE
    until 3s
  )");
  EXPECT_EQ(told.first(kSlug).cause, "process-exit");
  EXPECT_EQ(told.first(kSlug).words.advice.at(0), "who stopped php[50] (journalctl, a deployment)?");
}

TEST(Reset, OneFindingForBothEndsInEitherOrder) {
  const std::string sent = "reset-sent end reason TCP_ABORT_ON_CLOSE\n";
  const std::string close = "at 1s close end shutdown 3\n";
  for (const std::string& script : {close + kClientLearns + sent, close + sent + kClientLearns}) {
    const Told told = tell(kAsked + script + "until 3s");
    EXPECT_EQ(told.phases(kSlug), "event");
    EXPECT_EQ(told.first(kSlug).direction, core::Direction::sent);
    EXPECT_EQ(told.slugs(), kSlug);
  }
}

TEST(Reset, CloseWithUnreadData) {
  const Told told = tell(kAsked + "at 1s close end shutdown 3\n" + kClientLearns +
                         "reset-sent end reason TCP_ABORT_ON_CLOSE\nuntil 3s");
  EXPECT_EQ(brief(told.first(kSlug)), "close-with-unread-data critical certain worker[33]");
  EXPECT_EQ(told.first(kSlug).evidence.number("unread_bytes"), 1386);
}

TEST(Reset, CloseWithUnreadDataWhereNothingIsOwedIsAWarning) {
  const Told told = tell(kAsked + R"(
    at 30ms send end 200
    receive cli 200 received 0ms
    ack end
    at 1s close end shutdown 3
    reset-received cli
    close cli err ECONNRESET
    reset-sent end reason TCP_ABORT_ON_CLOSE
    until 3s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "close-with-unread-data warning certain worker[33]");
}

TEST(Reset, AnOlderKernelWithoutReasons) {
  Setting old;
  old.old_kernel = true;
  const Told told =
      tell(kAsked + "at 1s close end shutdown 3\n" + kClientLearns + "reset-sent end reason none\nuntil 3s", old);
  EXPECT_EQ(brief(told.first(kSlug)), "close-with-unread-data critical certain worker[33]");
  EXPECT_FALSE(told.first(kSlug).evidence.has("reason"));
}

TEST(Reset, DataAfterClose) {
  const Told told = tell(kBoth + R"(
    at 1s   state end FIN_WAIT1
    state end FIN_WAIT2
    at 1.1s send cli 100
    close end orphan shutdown 3
    reset-received end
    reset-sent end reason TCP_ABORT_ON_DATA trigger 100
    reset-received cli
    close cli err EPIPE
    until 3s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "data-after-close critical certain worker[33]");
  EXPECT_EQ(told.phases(kSlug), "event");
  EXPECT_EQ(told.first(kSlug).evidence.number("peer_unacked_bytes"), 100);
}

// A load generator whose time is up, a browser that is closed: nobody waits for the rest of the reply.
TEST(Reset, AClientThatLeavesInTheMiddleOfAReplyIsNoIncident) {
  const Told told = tell(kAsked + R"(
    at 1s   state cli FIN_WAIT1
    state cli FIN_WAIT2
    at 1.1s send end 3000
    close cli orphan shutdown 3
    reset-received cli
    reset-sent cli reason TCP_ABORT_ON_DATA trigger 3000
    reset-received end
    close end err EPIPE
    until 3s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "client-abandoned info certain php[50]");
  EXPECT_EQ(told.phases(kSlug), "event");
}

TEST(Reset, DataForAnEndWhoseProcessDiedIsItsExit) {
  const Told told = tell(kBoth + R"(
    at 1s   state end FIN_WAIT1 exiting signal 9
    state end FIN_WAIT2
    at 1.1s send cli 100
    close end orphan shutdown 3
    reset-received end
    reset-sent end reason TCP_ABORT_ON_DATA trigger 100
    reset-received cli
    close cli err EPIPE
    until 3s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "process-exit critical certain worker[33]");
  EXPECT_EQ(told.first(kSlug).evidence.number("exit_signal"), 9);
}

// iperf3 and the like: one connection carries, another says when it is enough.
TEST(Reset, WhatIsCalledOffOverAnotherConnectionIsNoIncident) {
  const std::string with_unread =
      "close end shutdown 3\nreset-received cli\nclose cli err ECONNRESET\n"
      "reset-sent end reason TCP_ABORT_ON_CLOSE";
  // It had read all that was there; what was on its way met a socket in TIME_WAIT.
  const std::string before_the_last =
      "close end\nset end in TIME_WAIT\nsend cli 300000\n"
      "reset-sent end reason TCP_TIMEWAIT_SOCKET trigger 65536\n"
      "reset-received cli\nclose cli err ECONNRESET";
  const auto brief_of = [](const std::string& on_control, const std::string& at_the_end) {
    return brief(tell(R"(
      at 0ms   listen srv 127.0.0.1:7000 by worker[33]
      at 10ms  connect ctl 127.0.0.1:49999 -> 127.0.0.1:7000 by php[50]
      established ctl
      child control of ctl by worker[33]
      connect cli 127.0.0.1:50000 -> 127.0.0.1:7000 by php[50]
      established cli
      child end of cli by worker[33]
      at 20ms  send cli 300000
      receive end 300000
    )" + on_control + "\nat 1s " +
                      at_the_end + R"(
      at 1100ms seed control by worker[33]
      seed-end
      until 4s
    )")
                     .first(kSlug));
  };
  const std::string asked = "at 990ms receive control 38";
  const std::string agreed = "at 990ms receive control 38\nat 995ms send control 10\nack control";
  EXPECT_EQ(brief_of(agreed, with_unread), "close-with-unread-data info certain worker[33]");
  EXPECT_EQ(brief_of(agreed, before_the_last), "data-after-close info certain worker[33]");
  EXPECT_EQ(brief_of(agreed, with_unread + "\nat 1050ms close control"),
            "close-with-unread-data info certain worker[33]");
  // What was over before has nothing to do with it.
  EXPECT_EQ(brief_of(agreed + "\nat 996ms close control", with_unread),
            "close-with-unread-data critical certain worker[33]");
  // It never answered there, either.
  EXPECT_EQ(brief_of(asked, with_unread), "close-with-unread-data critical certain worker[33]");
  EXPECT_EQ(brief_of(asked, before_the_last), "data-after-close critical certain worker[33]");
}

TEST(Reset, DataForATimeWaitSocketIsDataAfterClose) {
  const Told told = tell(kBoth + R"(
    at 1s   set end in TIME_WAIT
    send cli 100
    reset-sent end reason TCP_TIMEWAIT_SOCKET trigger 100
    reset-received cli
    close cli err ECONNRESET
    until 3s
  )");
  EXPECT_EQ(told.first(kSlug).cause, "data-after-close");
  EXPECT_EQ(told.first(kSlug).severity, core::Severity::critical);
}

TEST(Reset, ATimeWaitSocketThatSeesALateAckIsInfo) {
  const Told told =
      tell(kBoth + "at 1s set end in TIME_WAIT\nreset-sent end reason TCP_TIMEWAIT_SOCKET trigger 0\nuntil 3s");
  EXPECT_EQ(told.first(kSlug).cause, "time-wait");
  EXPECT_EQ(told.first(kSlug).severity, core::Severity::info);
}

TEST(Reset, LingerZeroWithNothingOutstandingIsInfo) {
  const Told told = tell(kBoth + "at 1s close end linger-zero shutdown 3\n" + kClientLearns +
                         "reset-sent end reason TCP_STATE\nuntil 3s");
  EXPECT_EQ(brief(told.first(kSlug)), "linger-zero info certain worker[33]");
}

TEST(Reset, LingerZeroWithAReplyOwedIsCritical) {
  const Told told = tell(kAsked + "read end\nat 1s close end linger-zero shutdown 3\n" + kClientLearns +
                         "reset-sent end reason TCP_STATE\nuntil 3s");
  EXPECT_EQ(brief(told.first(kSlug)), "linger-zero critical certain worker[33]");
}

TEST(Reset, LingerZeroOfAClientThatHasItsAnswerIsInfo) {
  const Told told = tell(kAsked + R"(
    read end
    at 30ms send end 200
    receive cli 200
    read cli
    ack end
    at 1s   close cli linger-zero shutdown 3
    reset-received end
    close end err ECONNRESET
    reset-sent cli reason TCP_STATE
    until 3s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "linger-zero info certain php[50]");
}

TEST(Reset, AClientThatAbandonsItsRequestIsInfo) {
  const Told told = tell(kAsked + R"(
    at 1s   send end 5000
    receive cli 5000
    at 1.1s close cli shutdown 3
    reset-received end
    close end err ECONNRESET
    reset-sent cli reason TCP_ABORT_ON_CLOSE
    until 3s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "client-abandoned info certain php[50]");
}

// So many requests that came and are not answered yet.
std::string requests(int count, const std::string& client) {
  return "at 0ms listen srv 127.0.0.1:7000 by worker[33]\n" + each(count, R"(
    connect c%n 127.0.0.1:%p -> 127.0.0.1:7000 by )" + client + R"(
    established c%n
    child e%n of c%n by worker[33]
    send c%n 80
    ack c%n
    receive e%n 80
  )");
}

TEST(Reset, TheBurstAtTheEndOfALoadTestIsInfo) {
  const Told told = tell(requests(200, "ab[77]") + "at 3s set srv\n" + each(200, R"(
    close c%n shutdown 3 linger-zero exiting status 0
    reset-received e%n
    close e%n err ECONNRESET
    reset-sent c%n reason TCP_STATE
  )") + "until 30s");
  for (const core::Finding& f : told.lines) EXPECT_EQ(f.severity, core::Severity::info) << dump({f});
  EXPECT_EQ(told.last(kSlug).count_total, 200U);
  EXPECT_LE(told.lines.size(), 2U);
}

TEST(Reset, NeverAcceptedByAFullListener) {
  const Told told = tell(R"(
    at 0ms   listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
    at 10ms  connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by ab[77]
    established cli
    send cli 80
    overflow srv from cli payload 80 queue 5 head 5s
    at 7s    reset-sent srv to cli reason TCP_FLAGS trigger 80
    reset-received cli
    close cli err ECONNRESET
    until 9s
  )");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "never-accepted critical certain lighttpd[2112]");
  EXPECT_EQ(ends(f), "127.0.0.1:8080 lighttpd[2112] - 127.0.0.1:50000 ab[77]");
  EXPECT_EQ(f.evidence.text("reason"), "TCP_FLAGS");
  EXPECT_EQ(f.story, told.last("accept-queue-overflow").story);
}

// Before 6.11 no record tells of the segments that the listener dropped.
TEST(Reset, NeverAcceptedByAListenerThatHasClosedSinceAndRefusedOthers) {
  const std::string begin = R"(
    at 0ms   listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
    sweeps on
    at 10ms  connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by ab[77]
    established cli
    send cli 80
)";
  const std::string end = R"(
    at 3s    close srv
    at 3.2s  reset-sent none to cli reason NO_SOCKET trigger 80
    reset-received cli
    close cli err ECONNRESET
    until 5s
  )";
  const core::Finding f = tell(begin + "    set srv queue 5 head 10ms drops 7\n" + end).first(kSlug);
  EXPECT_EQ(brief(f), "never-accepted critical likely lighttpd[2112]");
  EXPECT_EQ(tell(begin + end).first(kSlug).cause, "stray-segment") << "it refused nobody";
  const std::string answered = "    set srv queue 5 head 10ms drops 7\n    ack cli\n    send cli 80\n";
  EXPECT_EQ(tell(begin + answered + end).first(kSlug).cause, "stray-segment") << "what it sent before had arrived";
}

// Before 5.17 an RST without a socket is not told.
Setting before_5_17() {
  Setting setting;
  setting.old_kernel = setting.blind = true;
  return setting;
}

// A client that thinks it is connected, to a listener that refuses.
const std::string kRefusedClient = R"(
    at 0ms   listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
    sweeps on
    at 10ms  connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by ab[77]
    established cli
    send cli 80
    set srv queue 5 head 10ms drops 7
)";

TEST(Reset, WithoutAWordOfTheSenderAListenerThatRefusedIsToBlame) {
  const std::string script = kRefusedClient + R"(
    at 3s    close srv
    at 3.2s  reset-received cli
    close cli err ECONNRESET
    until 5s
  )";
  const core::Finding f = tell(script, before_5_17()).first(kSlug);
  EXPECT_EQ(brief(f), "never-accepted critical likely lighttpd[2112]");
  EXPECT_EQ(f.words.summary, "a connection of ab[77] was reset: lighttpd[2112] never accepted its connection.");
  EXPECT_EQ(f.direction, core::Direction::received);
  // Where the kernel would have told its own RST, it was another's.
  EXPECT_EQ(tell(script).first(kSlug).cause, "peer-abort");
}

TEST(Reset, WithoutAWordOfTheSenderARequestThatWasSeenWasNeverAccepted) {
  const core::Finding f = tell(kRefusedClient + R"(
    at 1.1s  synack-retransmit srv from cli timer acked queue 5
    at 3s    close srv
    at 3.2s  reset-received cli
    close cli err ECONNRESET
    until 5s
  )",
                               before_5_17())
                              .first(kSlug);
  EXPECT_EQ(brief(f), "never-accepted critical likely lighttpd[2112]");
}

TEST(Reset, WithoutAWordOfTheSenderAnInnocentListenerIsNotToBlame) {
  const std::string script = R"(
    at 0ms   listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
    sweeps on
    at 10ms  connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by ab[77]
    established cli
    send cli 80
    at 1s    reset-received cli
    close cli err ECONNRESET
    until 3s
  )";
  EXPECT_EQ(tell(script, before_5_17()).first(kSlug).cause, "peer-abort");
}

// A client that sends after the other end has closed; owner: " by COMM[PID]" of that end, or nothing.
std::string sent_after_close(const std::string& owner) {
  return R"(
    at 10ms  connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by ab[77]
    established cli
    child end of cli)" +
         owner + R"( watched
    sweeps on
    send cli 80
    receive end 80
    ack cli
    read end
    at 1s    state end FIN_WAIT1)" +
         owner + R"(
    state end FIN_WAIT2
    close end telling
    at 2s    send cli 80
    reset-received cli
    close cli err ECONNRESET
    until 4s
  )";
}

// The victim is never named where the culprit is not known.
TEST(Reset, WithoutAWordOfTheSenderAndItsOwnerTheOtherEndIsSaid) {
  const core::Finding f = tell(sent_after_close(""), before_5_17()).first(kSlug);
  EXPECT_EQ(f.cause, "data-after-close");
  EXPECT_EQ(f.words.summary, "a connection of ab[77] was reset: it sent data after the other end had closed.");
}

TEST(Reset, WithoutAWordOfTheSenderTheOtherEndThatHadClosedIsToBlame) {
  const std::string listener = "at 0ms listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4\n";
  const core::Finding f = tell(listener + sent_after_close(" by lighttpd[2112]"), before_5_17()).first(kSlug);
  EXPECT_EQ(brief(f), "data-after-close critical likely lighttpd[2112]");
  EXPECT_EQ(f.words.summary, "a connection of ab[77] was reset: it sent data after lighttpd[2112] had closed.");
}

TEST(Reset, NeverAcceptedWithAbortOnOverflow) {
  const Told told = tell(R"(
    at 0ms   listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
    at 10ms  connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by ab[77]
    established cli
    reset-sent srv to cli reason INVALID_SYN queue 5 head 5s
    reset-received cli
    close cli err ECONNRESET
    until 2s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "never-accepted warning certain lighttpd[2112]");
}

TEST(Reset, NeverAcceptedBecauseTheListenerClosed) {
  const Told told = tell(R"(
    at 0ms   listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
    at 10ms  connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by ab[77]
    established cli
    child end of cli queued
    send cli 80
    receive end 80
    ack cli
    at 2s    close srv exiting signal 11
    close end exiting signal 11 by lighttpd[2112]
    reset-received cli
    close cli err ECONNRESET
    reset-sent end reason TCP_STATE
    until 4s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "never-accepted critical certain lighttpd[2112]");
  ASSERT_TRUE(told.first(kSlug).culprit.process->exit);
  EXPECT_EQ(told.first(kSlug).culprit.process->exit->signal, 11);
}

TEST(Reset, AStrayAckToAListenerIsInfo) {
  const Told told = tell(R"(
    at 0ms   listen srv 10.0.0.1:8080 by lighttpd[2112] limit 4
    at 10ms  connect scan 10.0.0.7:50000 -> 10.0.0.1:8080
    reset-sent srv to scan reason TCP_FLAGS
    until 2s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "stray-segment info likely unknown");
}

TEST(Reset, ASegmentOfNoConnectionIsInfo) {
  const Told told =
      tell("at 0ms connect ghost 10.0.0.7:50000 -> 10.0.0.1:8080\nat 1s reset-sent none to ghost\nuntil 3s");
  EXPECT_EQ(brief(told.first(kSlug)), "stray-segment info likely unknown");
}

TEST(Reset, TheKernelIsShortOfMemory) {
  const Told told = tell(kBoth + "at 1s close end orphan shutdown 3\n" + kClientLearns +
                         "reset-sent end reason TCP_ABORT_ON_MEMORY\nuntil 3s");
  EXPECT_EQ(brief(told.first(kSlug)), "memory critical certain kernel-limit");
}

TEST(Reset, ASocketDestroyedFromOutside) {
  const Told told = tell(kBoth + R"(
    at 1s reset-received end
    close end err ECONNRESET
    reset-sent cli reason TCP_STATE
    close cli err ECONNABORTED by ss[99]
    until 3s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "socket-destroyed warning certain ss[99]");
  EXPECT_EQ(ends(told.first(kSlug)), "127.0.0.1:50000 php[50] - 127.0.0.1:7000 worker[33]");
}

TEST(Reset, ADisconnectedSocket) {
  const Told told =
      tell(kBoth +
           "at 1s close cli\nreset-received end\nclose end err ECONNRESET\nreset-sent cli reason TCP_STATE\nuntil 3s");
  EXPECT_EQ(brief(told.first(kSlug)), "disconnect warning certain php[50]");
}

const std::string kRemote = R"(
  at 0ms   connect cli 10.0.0.1:50000 -> 10.0.0.9:443 by curl[4410]
  at 10ms  established cli
)";

TEST(Reset, ARemoteAbortWithDataOutstandingIsCritical) {
  const Told told =
      tell(kRemote + "at 1s send cli 300\nat 1.1s reset-received cli\nclose cli err ECONNRESET\nuntil 3s");
  const core::Finding f = told.first(kSlug);
  EXPECT_EQ(brief(f), "peer-abort critical certain remote-host 10.0.0.9:443");
  EXPECT_EQ(f.direction, core::Direction::received);
  EXPECT_EQ(f.evidence.number("unacked_bytes"), 300);
  EXPECT_EQ(f.evidence.text("sender"), "remote");
  EXPECT_EQ(f.evidence.text("state_before"), "ESTABLISHED");
  EXPECT_EQ(ends(f), "10.0.0.1:50000 curl[4410] - 10.0.0.9:443");
}

TEST(Reset, ARemoteAbortThatOwesAReplyIsCritical) {
  const Told told = tell(
      kRemote + "at 1s send cli 300\nat 1.1s ack cli\nat 5s reset-received cli\nclose cli err ECONNRESET\nuntil 7s");
  EXPECT_EQ(told.first(kSlug).severity, core::Severity::critical);
  EXPECT_TRUE(told.first(kSlug).evidence.flag("reply_owed"));
}

TEST(Reset, ARemoteAbortWithNothingOutstandingIsAWarning) {
  const Told told = tell(kRemote + R"(
    at 1s   send cli 300
    at 1.1s ack cli
    receive cli 5000
    at 60s  reset-received cli
    close cli err ECONNRESET
    until 62s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "peer-abort warning certain remote-host 10.0.0.9:443");
}

TEST(Reset, AServerIsNotOwedAReply) {
  const Told told = tell(R"(
    at 0ms   listen srv 10.0.0.1:80 by nginx[7]
    at 10ms  connect cli 10.0.0.7:50000 -> 10.0.0.1:80
    child end of cli
    receive end 80
    at 20ms  send end 5000
    at 30ms  ack end
    at 1s    reset-received end
    close end err ECONNRESET
    until 3s
  )");
  EXPECT_EQ(brief(told.first(kSlug)), "peer-abort warning certain remote-host 10.0.0.7:50000");
}

TEST(Reset, AnRstOnLoopbackThatNobodyWasSeenToSend) {
  const Told told = tell(kBoth + "at 1s reset-received cli\nclose cli err ECONNRESET\nuntil 3s");
  EXPECT_EQ(told.first(kSlug).cause, "peer-abort");
  EXPECT_EQ(told.first(kSlug).confidence, core::Confidence::unsure);
}

TEST(Reset, ARefusedConnectIsTheOtherFinding) {
  EXPECT_EQ(tell("at 0ms connect cli 127.0.0.1:50000 -> 127.0.0.1:7000 by php[50]\nrefuse cli\nuntil 3s").slugs(),
            "connect-refused");
}

TEST(Reset, AnOrdinaryCloseIsNothing) {
  const Told told = tell(kAsked + R"(
    read end
    at 30ms send end 200
    receive cli 200
    ack end
    at 40ms state end FIN_WAIT1
    state cli CLOSE_WAIT
    state cli LAST_ACK
    state end FIN_WAIT2
    close end
    close cli
    until 5s
  )");
  EXPECT_EQ(told.slugs(), "");
}

TEST(Reset, ManyOfOneProcessAreAnEventAndAnUpdate) {
  const Told told = tell(requests(100, "php[50]") +
                         each(100, R"(
    at %t close e%n shutdown 3
    reset-received c%n
    close c%n err ECONNRESET
    reset-sent e%n reason TCP_ABORT_ON_CLOSE
  )",
                              1000, 50) +
                         "until 30s");
  EXPECT_EQ(told.phases(kSlug), "event update");
  EXPECT_EQ(told.last(kSlug).count, 100U);
  EXPECT_EQ(told.last(kSlug).examples.size(), 5U);
}

TEST(Reset, LostEventsMakeAGuessUnsure) {
  const Told told = tell(
      "at 0ms connect ghost 10.0.0.7:50000 -> 10.0.0.1:8080\nat 1s reset-sent none to ghost\nlost 6 state\nuntil 3s");
  EXPECT_EQ(brief(told.first(kSlug)), "stray-segment info unsure unknown");
  EXPECT_EQ(told.first(kSlug).evidence.number("events_lost"), 6);
}

TEST(Reset, LostEventsLeaveWhatTheKernelSaid) {
  const Told told = tell(kAsked + "at 1s close end shutdown 3\n" + kClientLearns +
                         "reset-sent end reason TCP_ABORT_ON_CLOSE\nlost 6 state\nuntil 3s");
  EXPECT_EQ(told.first(kSlug).confidence, core::Confidence::certain);
}

}  // namespace
}  // namespace tcpwhy::detect
