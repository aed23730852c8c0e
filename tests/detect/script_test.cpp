// SPDX-License-Identifier: GPL-2.0-only
// The language of the other tests: what is wrong with a line is said, and what is right becomes the records it names.
#include "user/source/script.h"

#include <gtest/gtest.h>

#include "user/abi/decode.h"

namespace tcpwhy::source {
namespace {

using namespace std::chrono_literals;

std::vector<abi::Event> events_of(std::string_view text) {
  std::vector<abi::Event> events;
  const auto script = parse_script(text);
  if (!script) {
    ADD_FAILURE() << script.error().what;
    return events;
  }
  for (const auto& record : script->records) {
    const auto event = abi::decode(record);
    EXPECT_TRUE(event) << (event ? "" : event.error().what);
    if (event) events.push_back(*event);
  }
  return events;
}

template <typename Body>
std::vector<Body> bodies(const std::vector<abi::Event>& events) {
  std::vector<Body> result;
  for (const abi::Event& e : events)
    if (const auto* body = std::get_if<Body>(&e.body)) result.push_back(*body);
  return result;
}

std::string error_of(std::string_view text) {
  const auto script = parse_script(text);
  return script ? std::string{} : script.error().what;
}

const std::string kListen = "at 0ms listen srv 127.0.0.1:8080 by lighttpd[2112]\n";
const std::string kConnect = "at 0ms connect cli 10.0.0.1:50000 -> 10.0.0.9:80 by curl[4410]\n";

TEST(Script, ErrorsNameTheLineAndWhatWasExpected) {
  EXPECT_EQ(error_of("\n# nothing\nfrobnicate"),
            "line 3: expected a verb (listen, connect, timeout, reset-sent, until ...), found \"frobnicate\"");
  EXPECT_EQ(error_of("at soon tick"), "line 1: expected a time (a time such as 200ms or 1.5s), found \"soon\"");
  EXPECT_EQ(error_of("at 1s listen srv"),
            "line 1: expected an address and port such as 0.0.0.0:80, found the end of the line");
  EXPECT_EQ(error_of("listen srv 1.2.3.4:80 by nobody"),
            "line 1: expected a process such as curl[4410], found \"nobody\"");
  EXPECT_EQ(error_of("connect c 1.2.3.4:80 1.2.3.4:81"), "line 1: expected ->, found \"1.2.3.4:81\"");
  EXPECT_EQ(error_of(kListen + "set srv queue four"), "line 2: expected the depth of the accept queue, found \"four\"");
  EXPECT_EQ(error_of("timeout cli"), "line 1: expected the name of the sender that a line above made, found \"cli\"");
  EXPECT_EQ(error_of(kConnect + "reset-sent cli reason BECAUSE"),
            "line 2: expected a reset reason such as TCP_ABORT_ON_CLOSE, found \"BECAUSE\"");
  EXPECT_EQ(error_of(kConnect + "drop cli BAD_LUCK"),
            "line 2: expected a drop reason such as NETFILTER_DROP, found \"BAD_LUCK\"");
  EXPECT_EQ(error_of("at 2s tick\nat 1s tick"), "line 2: expected a time that is not before the line above");
  EXPECT_EQ(error_of("tick tock"), "line 1: expected the end of the line, found \"tock\"");
  EXPECT_EQ(error_of("sweeps perhaps"), "line 1: expected on, confirm or off, found \"perhaps\"");
}

TEST(Script, EveryCutOfALineIsAnErrorOrALineNeverACrash) {
  const std::string lines[] = {kListen + "synack-retransmit srv from",
                               "process 5 state",
                               kConnect + "close cli exiting signal",
                               kConnect + "error cli",
                               "child x of",
                               "lost 5",
                               "lost 5 sample not",
                               kListen + "overflow srv",
                               "reset-sent none to"};
  for (const std::string& text : lines) {
    EXPECT_NE(error_of(text), "") << text;
    for (std::size_t n = 0; n <= text.size(); ++n) (void)parse_script(std::string_view{text}.substr(0, n));
  }
}

TEST(Script, TheClockTicksBetweenTheLines) {
  const auto events = events_of("at 250ms listen srv 127.0.0.1:80\nuntil 1s");
  EXPECT_EQ(bodies<abi::Tick>(events).size(), 10U);
  EXPECT_EQ(bodies<abi::SweepEnd>(events).size(), 2U);
  EXPECT_EQ(bodies<abi::SeedEnd>(events).size(), 11U) << "the walk at start, then one before each tick";
  util::BootTime last{};
  for (const abi::Event& e : events) {
    EXPECT_GE(e.time, last);
    last = e.time;
  }
  EXPECT_EQ(last, script_time(1s));
}

TEST(Script, ALineComesBeforeTheTickOfItsMoment) {
  const auto events = events_of("at 100ms listen srv 127.0.0.1:80\nuntil 100ms");
  std::vector<std::string_view> names;
  for (const abi::Event& e : events) names.push_back(abi::name_of(e));
  EXPECT_EQ(names, (std::vector<std::string_view>{"seed_end", "state", "seed_end", "tick"}));
}

TEST(Script, ATimeoutIsWhatTheKernelShows) {
  const auto events = events_of(
      kConnect + "established cli\nsend cli 5\nat 208ms timeout cli\nat 624ms timeout cli\nat 700ms sample cli\n");
  const auto timeouts = bodies<abi::Retransmit>(events);
  ASSERT_EQ(timeouts.size(), 2U);
  EXPECT_EQ(timeouts[0].type, abi::RetransmitType::timeout);
  EXPECT_EQ(timeouts[0].socket.retransmits, 1);
  EXPECT_EQ(timeouts[0].socket.backoff, 0);
  EXPECT_EQ(timeouts[0].socket.rto, 208ms);
  EXPECT_FALSE(timeouts[0].socket.retrans_age);
  EXPECT_EQ(timeouts[0].owner.pid, 4410U);
  EXPECT_EQ(timeouts[1].socket.retransmits, 2);
  EXPECT_EQ(timeouts[1].socket.backoff, 1);
  EXPECT_EQ(timeouts[1].socket.rto, 416ms);
  EXPECT_EQ(timeouts[1].socket.retrans_age, 416ms);
  const auto sample = bodies<abi::Sample>(events).at(0).socket;
  EXPECT_EQ(sample.rto, 832ms);
  EXPECT_EQ(sample.timer_left, 624ms + 832ms - 700ms);
  EXPECT_EQ(sample.unacked(), 5U);
  EXPECT_EQ(sample.sent_age, 700ms);
}

TEST(Script, StatesAreRecordsWhereTheyTellAndTransitionsElsewhere) {
  const auto events =
      events_of(kConnect + "established cli\nstate cli FIN_WAIT1\nstate cli FIN_WAIT2\nclose cli err ETIMEDOUT");
  EXPECT_EQ(bodies<abi::Transition>(events).size(), 4U);
  const auto states = bodies<abi::StateChange>(events);
  ASSERT_EQ(states.size(), 1U);
  EXPECT_EQ(states[0].from, abi::TcpState::fin_wait2);
  EXPECT_EQ(states[0].to, abi::TcpState::close);
  EXPECT_EQ(states[0].socket.state, abi::TcpState::close);
}

TEST(Script, AnExitIsOfTheProcessThatMakesTheTransition) {
  const auto states =
      bodies<abi::StateChange>(events_of(kConnect + "established cli\nstate cli FIN_WAIT1 exiting signal 9"));
  ASSERT_EQ(states.size(), 1U);
  EXPECT_TRUE(states[0].owner.exiting);
  EXPECT_EQ(states[0].owner.exit_code, 9U);
  EXPECT_EQ(states[0].owner.source, abi::OwnerSource::current);
}

TEST(Script, ASynAckCarriesTheClientOfThisHost) {
  const auto events = events_of(kListen + R"(
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
    at 10ms established cli
    at 1s   synack-retransmit srv from cli timer acked timeouts 0 queue 129
    child end of cli
  )");
  const auto synack = bodies<abi::SynAckRetransmit>(events).at(0);
  EXPECT_TRUE(synack.by_timer && synack.acked);
  EXPECT_EQ(synack.client_established, script_time(10ms));
  EXPECT_EQ(synack.client_owner.pid, 4410U);
  EXPECT_EQ(synack.since_synack, 1s);
  EXPECT_EQ(synack.listener.queue, 129U);
  EXPECT_EQ(synack.tuple.remote.port, 50000);
  // The child inherits the request's cookie, and its retransmissions make it telling.
  EXPECT_EQ(bodies<abi::StateChange>(events).back().socket.id, synack.request);
}

TEST(Script, ASweepShowsWhatIsInTroubleAndOnceMoreWhenItIsOver) {
  const auto events = events_of(
      kListen + "sweeps on\nat 100ms set srv queue 200 head 0ms\nat 1.2s set srv queue 0 head never\nuntil 3s");
  const auto samples = bodies<abi::Sample>(events);
  ASSERT_EQ(samples.size(), 3U);
  EXPECT_EQ(samples[1].socket.head_age, 900ms);
  EXPECT_EQ(samples[2].socket.queue, 0U);
  EXPECT_FALSE(samples[2].socket.head_age);
}

TEST(Script, WhatWasThereBeforeComesBeforeTheEndOfTheWalk) {
  const auto events = events_of("socket old 10.0.0.1:1 -> 10.0.0.9:80 by ssh[5]\nseed old\nat 1s sample old\n");
  ASSERT_GE(events.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<abi::Seed>(events[0].body));
  const auto* end = std::get_if<abi::SeedEnd>(&events[1].body);
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->initial);
}

}  // namespace
}  // namespace tcpwhy::source
