// SPDX-License-Identifier: GPL-2.0-only
// Two hosts' scripts as one stream: who is named, on which host, and what each side saw.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/detect/incident.h"
#include "user/abi/decode.h"
#include "user/core/handshakes.h"
#include "user/core/translate.h"
#include "user/detect/detectors.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

std::vector<abi::Event> events_of(std::string_view text, const core::Translator& translator) {
  std::vector<abi::Event> events;
  const auto script = source::parse_script(text);
  if (!script) return ADD_FAILURE() << "the script is wrong: " << script.error().what, events;
  for (const auto& record : script->records) {
    auto event = abi::decode(record);
    EXPECT_TRUE(event);
    if (!event) continue;
    translator.translate(*event);
    events.push_back(std::move(*event));
  }
  return events;
}

// web-1's clock is the one that counts; web-2 was booted an hour earlier.
Told tell_two(std::string_view web_1, std::string_view web_2,
              const std::function<bool(const abi::Event&)>& missing = nullptr) {
  core::Settings settings;
  settings.identity.host = "web-1";
  settings.identity.boot_id = "11111111-aaaa";
  settings.identity.others = {{"web-2", "22222222-bbbb", 0, 0ns, {}, 1}};
  const core::KernelNames names = source::script_names();
  settings.names = names;
  const core::Translator first{0, "web-1", 0ns, names, settings.names};
  const core::Translator second{1, "web-2", 0ns, names, settings.names};
  std::vector<abi::Event> events = events_of(web_1, first);
  for (abi::Event& event : events_of(web_2, second)) events.push_back(std::move(event));
  if (missing) std::erase_if(events, missing);
  std::stable_sort(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.time < b.time; });
  Told told;
  core::Handshakes handshakes;
  core::Pipeline pipeline{settings,
                          make_all(settings.thresholds),
                          {[&told](const std::vector<core::Finding>& lines) {
                             told.lines.insert(told.lines.end(), lines.begin(), lines.end());
                           },
                           {}}};
  for (std::size_t i = 0; i < events.size(); ++i) {
    handshakes.pass(events[i]);
    pipeline.feed(events[i]);
    const auto same_host = [host = events[i].host](const abi::Event& event) { return event.host == host; };
    if (std::none_of(events.begin() + static_cast<std::ptrdiff_t>(i) + 1, events.end(), same_host))
      pipeline.end_of_host(events[i].host);
  }
  pipeline.finish();
  told.summary = pipeline.summary();
  return told;
}

const std::string kClient = R"(
  at 0ms  connect cli 10.0.0.1:50000 -> 10.0.0.2:80 by curl[77] isns 1000 9000
  at 5ms  established cli
)";
const std::string kServer = R"(
  at 0ms  listen srv 10.0.0.2:80 by lighttpd[77] limit 4
  at 0ms  socket cli 10.0.0.1:50000 -> 10.0.0.2:80 isns 1000 9000
)";

TEST(TwoHosts, AHandshakesAckThatGotLostBetweenThem) {
  const Told told = tell_two(kClient + "until 8s", kServer + R"(
    at 1.01s synack-retransmit srv from cli timer remote timeouts 0
    at 3.02s synack-retransmit srv from cli timer remote timeouts 1
    until 8s
  )");
  const core::Finding f = told.last("synack-retransmit-unexpected");
  EXPECT_EQ(f.cause, "handshake-ack-lost");
  EXPECT_EQ(f.severity, core::Severity::critical);
  EXPECT_EQ(ends(f), "10.0.0.2:80 lighttpd[77] on web-2 - 10.0.0.1:50000 curl[77] on web-1");
  EXPECT_EQ(f.host, 1U);
  ASSERT_TRUE(f.peer);
  EXPECT_EQ(f.peer->connection.host, 0U);
  EXPECT_THAT(f.evidence.text("seen_elsewhere"),
              testing::MatchesRegex("client's ACK left web-1 at .*Z, never reached web-2"));
  EXPECT_THAT(f.words.evidence, HasSubstr("never reached web-2"));
  // Nobody says that the client does not answer.
  EXPECT_EQ(told.phases("synack-retransmit"), "");
}

TEST(TwoHosts, NothingIsSaidOfATimeThatOneOfThemDidNotRecordWhole) {
  const std::string server = kServer + R"(
    at 1.01s synack-retransmit srv from cli timer remote timeouts 0
    at 3.02s synack-retransmit srv from cli timer remote timeouts 1
    until 8s
  )";
  for (const char* end : {"at 2s lost 5 state\nuntil 8s", "until 500ms"}) {
    const Told told = tell_two(kClient + end, server);
    EXPECT_EQ(told.last("synack-retransmit-unexpected").evidence.has("seen_elsewhere"), false) << end;
  }
}

TEST(TwoHosts, OtherSequenceNumbersAreAnotherConnection) {
  const Told told = tell_two(
      "at 0ms connect cli 10.0.0.1:50000 -> 10.0.0.2:80 by curl[77] isns 500000 9000\n"
      "at 5ms established cli\nuntil 8s",
      kServer + R"(
    at 1.01s synack-retransmit srv from cli timer remote timeouts 0
    at 3.02s synack-retransmit srv from cli timer remote timeouts 1
    until 8s
  )");
  EXPECT_EQ(told.phases("synack-retransmit-unexpected"), "");
  EXPECT_FALSE(told.first("synack-retransmit").peer);
}

// A sender on web-1 before the shut window of a process on web-2 that does not read; both have the same pid.
std::string sender(const std::string& from, const std::string& to) {
  return "at 0ms connect out " + from + " -> " + to +
         " by app[77] isns 1000 9000 watched\nestablished out\nsweeps on\n"
         "at 1s set out unacked 65536 unsent 5000 window 0 backoff 2\nuntil 8s";
}
std::string reader(const std::string& from, const std::string& to) {
  return "at 0ms listen srv " + to +
         " by reader[77] limit 4\n"
         "at 0ms socket in " +
         to + " -> " + from +
         " by reader[77] isns 9000 1000 watched\nsweeps on\n"
         "at 1s receive in 65536\nset in unread 65536 rcv-window 0\n"
         "at 2s process 77 state T\nat 3s process 77 state T\nat 4s process 77 state T\nuntil 8s";
}

TEST(TwoHosts, TheReaderOfTheOtherHostIsToBlameForAShutWindow) {
  const Told told = tell_two(sender("10.0.0.1:50000", "10.0.0.2:80"), reader("10.0.0.1:50000", "10.0.0.2:80"));
  const core::Finding f = told.last("stall-zero-window");
  EXPECT_EQ(f.host, 0U);
  ASSERT_TRUE(f.culprit.process);
  EXPECT_EQ(core::name_of(*f.culprit.process), "reader[77] on web-2");
  EXPECT_EQ(core::name_of(*f.owner), "app[77] on web-1");
  // One culprit, one story.
  EXPECT_EQ(f.story, told.last("stall-unread").story);
}

TEST(TwoHosts, WhatIsOpenOnAHostGoesNoFurtherThanItsRecording) {
  const std::string from = "10.0.0.1:50000";
  const std::string to = "10.0.0.2:80";
  std::string short_one = reader(from, to);
  short_one.replace(short_one.find("until 8s"), 8, "until 5s");
  const core::Finding f = tell_two(sender(from, to), short_one).last("stall-unread");
  EXPECT_EQ(f.phase, core::Phase::closed);
  EXPECT_EQ(f.ended, core::Ended::trace_end);
  EXPECT_LT(f.time, source::script_time(7s));
}

TEST(TwoHosts, LoopbackAddressesAreAnotherHostsOnEach) {
  const Told told = tell_two(sender("127.0.0.1:50000", "127.0.0.1:80"), reader("127.0.0.1:50000", "127.0.0.1:80"));
  const core::Finding f = told.last("stall-zero-window");
  EXPECT_FALSE(f.peer);
  EXPECT_EQ(f.culprit.kind, core::CulpritKind::unknown);
}

TEST(TwoHosts, AddressesThatAreTranslatedOnTheWayDoNotPair) {
  const Told told = tell_two(sender("10.0.0.1:50000", "10.0.0.2:80"), reader("192.168.0.1:3333", "10.0.0.2:80"));
  const core::Finding f = told.last("stall-zero-window");
  EXPECT_FALSE(f.peer);
  EXPECT_EQ(f.culprit.kind, core::CulpritKind::remote_host);
}

TEST(TwoHosts, OneHostsSweepConfirmsNoSilenceOfTheOther) {
  const std::string sender =
      "at 0ms connect out 10.0.0.1:50000 -> 10.0.0.2:80 by app[77] isns 1000 9000 watched\n"
      "established out\nsweeps on\n"
      "at 1s set out unacked 65536 unsent 5000 window 0 backoff 2\nuntil 10s";
  const std::string other = "at 0ms listen srv 10.0.0.7:80 by reader[77] limit 4\nsweeps on\nuntil 10s";
  const auto sweeps_of = [](std::uint32_t host) {
    return [host](const abi::Event& event) {
      return event.host == host && event.time > source::script_time(2s) &&
             std::holds_alternative<abi::SweepEnd>(event.body);
    };
  };
  EXPECT_EQ(tell_two(sender, other, sweeps_of(0)).phases("stall-zero-window"), "");
  EXPECT_NE(tell_two(sender, other, sweeps_of(1)).phases("stall-zero-window"), "");
}

TEST(TwoHosts, DataThatNeverReachedTheOtherHost) {
  const Told told = tell_two(kClient + R"(
    at 1s    send cli 500
    at 1.2s  timeout cli
    at 1.6s  timeout cli
    at 2.4s  timeout cli
    at 4s    timeout cli
    until 6s
  )",
                             R"(
    at 0ms  listen srv 10.0.0.2:80 by lighttpd[77] limit 4
    at 0ms  socket in 10.0.0.2:80 -> 10.0.0.1:50000 by lighttpd[77] isns 9000 1000
    at 2s   sample in
    until 6s
  )");
  EXPECT_EQ(told.last("stall-unacked").evidence.text("seen_elsewhere"),
            "web-2 received up to byte 0, web-1 has sent up to 500: what followed never reached web-2");
}

TEST(TwoHosts, AcknowledgmentsThatNeverCameBack) {
  const Told told = tell_two(kClient + R"(
    at 1s    send cli 500
    at 1.2s  timeout cli
    at 1.6s  timeout cli
    at 2.4s  timeout cli
    until 4s
  )",
                             R"(
    at 0ms  listen srv 10.0.0.2:80 by lighttpd[77] limit 4
    at 0ms  socket in 10.0.0.2:80 -> 10.0.0.1:50000 by lighttpd[77] isns 9000 1000
    at 1.1s receive in 500
    sample in
    until 4s
  )");
  EXPECT_EQ(told.last("stall-unacked").evidence.text("seen_elsewhere"),
            "web-2 received up to byte 500 of 500 that web-1 sent: its acknowledgments never reached web-1");
}

TEST(TwoHosts, AListenerThatNeverSawTheSyn) {
  const Told told = tell_two(R"(
    at 0ms connect cli 10.0.0.1:50000 -> 10.0.0.2:80 by curl[77] isns 1000 0
    at 1s  syn-retransmit cli
    at 3s  syn-retransmit cli
    at 7s  syn-retransmit cli
    until 8s
  )",
                             "at 0ms listen srv 10.0.0.2:80 by lighttpd[77] limit 4\nuntil 8s");
  EXPECT_EQ(told.last("connect-stalled").evidence.text("seen_elsewhere"),
            "web-2's listener 10.0.0.2:80 never saw the SYN");
}

TEST(TwoHosts, AResetIsToldFromItsSendersEndWithTheOtherHostAsPeer) {
  const Told told = tell_two(kClient + R"(
    at 1s    send cli 500
    at 2.0002s reset-received cli
    close cli err ECONNRESET
    until 4s
  )",
                             R"(
    at 0ms  listen srv 10.0.0.2:80 by lighttpd[77] limit 4
    at 0ms  socket in 10.0.0.2:80 -> 10.0.0.1:50000 by lighttpd[77] isns 9000 1000
    at 1s   receive in 500
    at 2s   close in shutdown 3 unread 500
    reset-sent in reason TCP_ABORT_ON_CLOSE
    until 4s
  )");
  const core::Finding f = told.first("reset");
  EXPECT_EQ(f.direction, core::Direction::sent);
  EXPECT_EQ(f.cause, "close-with-unread-data");
  EXPECT_EQ(ends(f), "10.0.0.2:80 lighttpd[77] on web-2 - 10.0.0.1:50000 curl[77] on web-1");
  EXPECT_EQ(told.of("reset").size(), 1U);
}

}  // namespace
}  // namespace tcpwhy::detect
