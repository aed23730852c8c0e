// SPDX-License-Identifier: GPL-2.0-only
// What holds for every incident, whatever its detector.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "tests/detect/incident.h"
#include "user/detect/catalogue.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;

// Each detector has its say in here.
const std::string kBusyDay = R"(
  at 0ms    listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
  listen app 127.0.0.1:7000 by worker[33]
  sweeps on
  at 10ms   connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
  established cli
  at 20ms   set srv queue 5 head 0ms
  at 38ms   send cli 5
  overflow srv from cli payload 5
  at 246ms  timeout cli
  overflow srv from cli payload 5
  at 300ms  connect six [::1]:50007 -> [::1]:7000 by php[50]
  refuse six
  connect req 127.0.0.1:50007 -> 127.0.0.1:7000 by php[50]
  established req telling
  child app-end of req by worker[33]
  send req 1386
  receive app-end 1386
  ack req
  at 500ms  connect far 10.0.0.1:50001 -> 10.0.0.9:80 by wget[4411]
  at 600ms  connect syn 10.0.0.1:50002 -> 10.0.0.8:80 by wget[4411]
  at 662ms  timeout cli
  overflow srv from cli payload 5
  at 1s     synack-retransmit srv from cli timer acked timeouts 0
  at 1494ms timeout cli
  overflow srv from cli payload 5
  at 1500ms syn-retransmit far
  at 1600ms syn-retransmit syn
  at 2s     close app-end exiting signal 9 shutdown 3
  close app exiting signal 9
  reset-received req
  close req err ECONNRESET
  reset-sent app-end reason TCP_ABORT_ON_CLOSE
  at 2.1s   connect again 127.0.0.1:50010 -> 127.0.0.1:7000 by php[50]
  refuse again
  at 2.2s   lost 2 drop
  at 3158ms timeout cli
  overflow srv from cli payload 5
  at 3500ms syn-retransmit far
  at 3600ms syn-retransmit syn
  at 4s     close far err ETIMEDOUT
  at 4.1s   established syn
  send syn 100
  at 4.3s   timeout syn
  at 4.7s   timeout syn
  at 5.5s   timeout syn
  at 6s     close syn err ETIMEDOUT
  at 6.1s   listen web 10.0.0.1:443 by nginx[7]
  connect mute 10.0.0.66:40000 -> 10.0.0.1:443
  at 7.1s   synack-retransmit web from mute timer timeouts 0
  at 9.1s   synack-retransmit web from mute timer timeouts 1
  at 10s    set srv queue 0 head never
  child end of cli on srv
  ack cli
  until 25s
)";

// ... and the others in here: whatever stands still.
const std::string kSlowDay = R"(
  at 0ms  listen srv 10.0.0.1:80 by web[88]
  connect a 10.0.0.1:50001 -> 10.0.0.9:81 by app[77] watched
  established a
  connect b 10.0.0.1:50002 -> 10.0.0.9:82 by app[78] watched
  established b
  connect c 10.0.0.1:50003 -> 10.0.0.9:83 by app[79] watched
  established c
  connect d 10.0.0.1:50004 -> 10.0.0.9:84 by app[80] watched
  established d
  connect e 10.0.0.1:50005 -> 10.0.0.9:85 by app[81] watched
  established e
  connect f 10.0.0.9:50006 -> 10.0.0.1:80
  child unread of f on srv by web[88] watched
  connect g 10.0.0.9:50007 -> 10.0.0.1:80
  child kept of g on srv by web[88] watched
  sweeps on
  at 1s   set a unacked 65536 unsent 5000 window 0 backoff 2
  send b 100
  ack b
  state c FIN_WAIT1 unacked 6 orphan
  set d sent 899s received 899s
  send e 100
  ack e bytes-acked 101
  receive unread 100000
  state kept CLOSE_WAIT heard 0ms
  host memory 201 of 100 200 400 orphans 0 of 10
  at 2.5s process 88 state T
  at 3s   state e CLOSE_WAIT
  at 40s  set a unacked 0 unsent 0 window 65536
  receive b 50
  read b
  at 41s  host memory 99 of 100 200 400 orphans 0 of 10
  at 62s  process 88 state T
  at 70s  read unread
  state kept LAST_ACK
  at 71s  close kept
  until 75s
)";

const std::string* const kDays[] = {&kBusyDay, &kSlowDay};

std::string label_of(const std::string* day) { return day == &kBusyDay ? "the busy day" : "the slow day"; }

// A finding that is new to the catalogue is to be put into a day, too.
TEST(Properties, TheDaysRaiseEverything) {
  for (const FindingSpec& row : catalogue()) {
    const auto tells = [&row](const std::string* day) { return !tell(*day).phases(row.slug).empty(); };
    EXPECT_TRUE(std::any_of(std::begin(kDays), std::end(kDays), tells)) << row.slug;
  }
}

TEST(Properties, TheOrderOfTheDetectorsChangesNothing) {
  for (const std::string* day : kDays) {
    const std::string expected = dump(tell(*day).lines);
    for (unsigned seed = 1; seed <= 20; ++seed) {
      Setting setting;
      setting.shuffle = seed;
      ASSERT_EQ(dump(tell(*day, setting).lines), expected) << label_of(day) << " seed " << seed;
    }
  }
}

TEST(Properties, OrdinaryTransitionsChangeNothing) {
  for (const std::string* day : kDays) {
    Setting bare;
    bare.ordinary = false;
    const Told with = tell(*day);
    const Told without = tell(*day, bare);
    EXPECT_EQ(dump(with.lines), dump(without.lines)) << label_of(day);
    EXPECT_GT(with.summary.events.at("transition"), 0U);
    EXPECT_FALSE(without.summary.events.contains("transition"));
  }
}

TEST(Properties, ARecordingGivesTheSameLines) {
  for (const std::string* day : kDays) {
    Setting replay;
    replay.replayed = true;
    const Told live = tell(*day);
    const Told later = tell(*day, replay);
    EXPECT_EQ(dump(live.lines), dump(later.lines)) << label_of(day);
    EXPECT_EQ(live.summary.events, later.summary.events);
  }
}

// Two processors stamp their records before they queue up for the ring buffer.
TEST(Properties, RecordsALittleOutOfOrderGiveTheSameFindings) {
  Setting two_processors;
  two_processors.disorder = true;
  const auto said = [](const Told& told) {
    std::map<std::uint64_t, std::string> last;
    for (const core::Finding& f : told.lines)
      last[f.id] = fmt::format("{} {} {} of {}\n", f.slug, brief(f), ends(f), f.count_total);
    std::string words;
    for (const auto& [id, line] : last) words += line;
    return words;
  };
  for (const std::string* day : kDays) EXPECT_EQ(said(tell(*day)), said(tell(*day, two_processors))) << label_of(day);
}

TEST(Properties, TheSameScriptGivesTheSameLines) {
  for (const std::string* day : kDays) EXPECT_EQ(dump(tell(*day).lines), dump(tell(*day).lines)) << label_of(day);
}

// What holds for the lines of any day.
class EachDay : public testing::TestWithParam<const std::string*> {
 protected:
  const Told told_ = tell(*GetParam());
};
INSTANTIATE_TEST_SUITE_P(Properties, EachDay, testing::ValuesIn(kDays),
                         [](const auto& day) { return day.param == &kBusyDay ? "Busy" : "Slow"; });

TEST_P(EachDay, EveryConditionOpensOnceAndClosesOnce) {
  std::map<std::uint64_t, std::string> phases;
  for (const core::Finding& f : told_.lines) phases[f.id] += core::to_string(f.phase).front();
  for (const auto& [id, seen] : phases) {
    const bool instant =
        seen.front() == 'e' && seen.find('c') == std::string::npos && seen.find('o') == std::string::npos;
    const bool condition = seen.front() == 'o' && seen.back() == 'c' && seen.find('o', 1) == std::string::npos &&
                           seen.find('c') == seen.size() - 1 && seen.find('e') == std::string::npos;
    EXPECT_TRUE(instant || condition) << "f-" << id << ": " << seen;
  }
}

TEST_P(EachDay, IdsCountInTheOrderOfOpeningAndTimesNeverGoBack) {
  std::uint64_t last_id = 0;
  util::BootTime last{};
  std::set<std::uint64_t> seen;
  for (const core::Finding& f : told_.lines) {
    if (seen.insert(f.id).second) {
      EXPECT_EQ(f.id, ++last_id);
    }
    EXPECT_GE(f.time, last);
    last = f.time;
  }
}

TEST_P(EachDay, SinceIsFrozenWhenItOpens) {
  std::map<std::uint64_t, util::BootTime> since;
  for (const core::Finding& f : told_.lines) {
    const auto [it, is_new] = since.emplace(f.id, f.since);
    EXPECT_EQ(it->second, f.since) << "f-" << f.id << " " << f.slug;
    EXPECT_LE(f.since, f.time);
    EXPECT_GE(f.duration, 0s);
  }
}

TEST_P(EachDay, SeverityNeverFalls) {
  std::map<std::uint64_t, core::Severity> severity;
  for (const core::Finding& f : told_.lines) {
    const auto [it, is_new] = severity.emplace(f.id, f.severity);
    EXPECT_GE(f.severity, it->second) << "f-" << f.id << " " << f.slug;
    it->second = f.severity;
  }
}

TEST_P(EachDay, AStoryHasOneRootAndItsLastLinesAgree) {
  std::map<std::uint64_t, core::Finding> last;
  for (const core::Finding& f : told_.lines) last[f.id] = f;
  for (const auto& [id, f] : last) {
    EXPECT_EQ(f.role == core::StoryRole::root, f.story == f.id);
    ASSERT_TRUE(last.contains(f.story)) << f.slug;
    EXPECT_EQ(last.at(f.story).role, core::StoryRole::root) << f.slug << " f-" << id;
  }
}

TEST_P(EachDay, EveryLineIsFullOfWords) {
  for (const core::Finding& f : told_.lines) {
    EXPECT_FALSE(f.words.summary.empty()) << f.slug;
    EXPECT_FALSE(f.words.cause.empty()) << f.slug << " " << f.cause;
    EXPECT_FALSE(f.words.evidence.empty()) << f.slug;
    EXPECT_FALSE(f.words.advice.empty()) << f.slug;
    EXPECT_EQ(f.words.summary.back(), '.') << f.words.summary;
    EXPECT_FALSE(f.evidence.entries().empty()) << f.slug;
    EXPECT_EQ(f.service.has_value(), f.connection || f.listener) << f.slug;  // else it is of the whole host
  }
}

TEST(Properties, TheSummaryCountsWhatWasOpened) {
  const Told told = tell(kBusyDay);
  std::map<std::string, std::set<std::uint64_t>> opened;
  for (const core::Finding& f : told.lines) opened[std::string{f.slug}].insert(f.id);
  for (const auto& [slug, ids] : opened) EXPECT_EQ(told.summary.findings.at(slug), ids.size()) << slug;
  EXPECT_EQ(told.summary.worst, core::Severity::critical);
  EXPECT_EQ(told.summary.events_lost, 2U);
  EXPECT_EQ(told.summary.connections_evicted, 0U);
}

TEST(Properties, ADetectorThatIsOffIsSilent) {
  for (const std::string* day : kDays) {
    for (const FindingSpec& row : catalogue()) {
      Setting setting;
      setting.settings.thresholds[std::string{row.slug}] = std::nullopt;
      EXPECT_EQ(tell(*day, setting).phases(row.slug), "") << label_of(day) << " " << row.slug;
    }
  }
}

TEST(Properties, AHealthyDayIsSilent) {
  std::string script = "at 0ms listen srv 127.0.0.1:8080 by lighttpd[2112] limit 128\nsweeps on\n";
  for (int i = 0; i < 300; ++i) {
    const std::string n = std::to_string(i);
    script += fmt::format("at {}ms connect c{} 127.0.0.1:{} -> 127.0.0.1:8080 by curl[4410]\n", 10 + 20 * i, n,
                          50000 + i % 40);
    script += fmt::format(
        "established c{0}\nchild e{0} of c{0} by lighttpd[2112]\nsend c{0} 80\nreceive e{0} 80\nack c{0}\nread e{0}\n",
        n);
    script += fmt::format("send e{0} 5000\nreceive c{0} 5000\nack e{0}\nread c{0}\nretransmit e{0} fast\n", n);
    script += fmt::format(
        "state e{0} FIN_WAIT1\nstate c{0} CLOSE_WAIT\nstate c{0} LAST_ACK\nstate e{0} FIN_WAIT2\nclose e{0}\nclose "
        "c{0}\n",
        n);
  }
  EXPECT_EQ(tell(script + "until 20s").slugs(), "");
}

TEST(Properties, RandomLossThatRepairsItselfIsNeverAboveInfo) {
  std::string script = "at 0ms listen srv 127.0.0.1:8080 by lighttpd[2112] limit 128\nsweeps on\n";
  for (int i = 0; i < 300; ++i) {
    const std::string n = std::to_string(i);
    const int at = 10 + 2000 * i;
    script += fmt::format("at {}ms connect c{} 127.0.0.1:{} -> 127.0.0.1:8080 by curl[4410]\n", at, n, 20000 + i);
    if (i % 3 == 0) {  // the SYN-ACK got lost: the timer and a duplicate SYN within 50 ms of ESTABLISHED
      script += fmt::format("at {}ms syn-retransmit c{}\nsynack-retransmit srv from c{} duplicate timeouts 0\n",
                            at + 1000, n, n);
      script += fmt::format("at {}ms established c{}\n", at + 1001, n);
      script += fmt::format("at {}ms synack-retransmit srv from c{} timer timeouts 0 retrans 1\n", at + 1030, n);
    } else if (i % 3 == 1) {  // the ACK got lost, and the server speaks first
      script +=
          fmt::format("established c{}\nat {}ms synack-retransmit srv from c{} timer timeouts 0\n", n, at + 1000, n);
    } else {  // the request got lost
      script += fmt::format("established c{0}\nsend c{0} 80\nat {1}ms timeout c{0}\n", n, at + 208);
    }
    script += fmt::format("at {1}ms child e{0} of c{0} by lighttpd[2112]\nack c{0}\nclose c{0}\n", n, at + 1040);
  }
  const Told told = tell(script + "until 620s");
  for (const core::Finding& f : told.lines) EXPECT_EQ(f.severity, core::Severity::info) << dump({f});
}

// A clock that is set changes how times are printed, from that moment on, and nothing else.
TEST(Properties, NothingRestsOnTheWallClock) {
  const Told still = tell(kBusyDay);
  const std::size_t middle = kBusyDay.find("  at 2s     close app-end");
  Setting setting;
  const Told moved = tell(kBusyDay.substr(0, middle) + "  at 2s clock back 1h\n" + kBusyDay.substr(middle), setting);
  EXPECT_EQ(moved.summary.events.at("clock"), 1U);
  EXPECT_EQ(setting.settings.identity.wall.steps().size(), 1U) << "the run's clock has stepped";
  ASSERT_EQ(moved.lines.size(), still.lines.size());
  for (std::size_t i = 0; i < still.lines.size(); ++i) {
    EXPECT_EQ(brief(moved.lines[i]), brief(still.lines[i]));
    EXPECT_EQ(moved.lines[i].time, still.lines[i].time);
    EXPECT_EQ(moved.lines[i].duration, still.lines[i].duration);
  }
}

// Aggregation ---------------------------------------------------------------------------------------------------------

TEST(Aggregation, AnUpdateComesWhenTheCountHasDoubled) {
  const Told told = tell(each(64, "at %t connect c%n 10.0.0.1:%p -> 10.0.0.9:80 by ab[77]", 1, 1) +
                         each(64, "at %t syn-retransmit c%n", 1001, 10) + "until 1.9s");
  std::uint64_t before = 0;
  for (const core::Finding& f : told.of("connect-stalled")) {
    EXPECT_TRUE(f.phase != core::Phase::update || f.count >= 2 * before) << f.count << " after " << before;
    before = f.count;
  }
  EXPECT_EQ(told.last("connect-stalled").count_total, 64U);
  EXPECT_LE(told.of("connect-stalled").size(), 8U);
}

TEST(Aggregation, AnUpdateComesWhenTheDurationHasDoubledFromTwoSecondsOn) {
  std::string script = R"(
    at 0ms  listen srv 0.0.0.0:8080 by lighttpd[2112] limit 4
    connect cli 127.0.0.1:50000 -> 127.0.0.1:8080
    sweeps on
    at 10ms set srv queue 5 head 0ms
  )";
  for (int i = 1; i < 70; ++i) script += fmt::format("at {}s overflow srv from cli\n", i);
  const Told told = tell(script + "until 70s");
  std::vector<util::Duration> durations;
  for (const core::Finding& f : told.of("accept-queue-overflow"))
    if (f.phase == core::Phase::update && f.cause == "not-accepting") durations.push_back(f.duration);
  ASSERT_GE(durations.size(), 4U);
  for (std::size_t i = 1; i < durations.size(); ++i) EXPECT_GE(durations[i], 2 * durations[i - 1]);
  EXPECT_LE(durations.size(), 7U);
}

TEST(Aggregation, TheKeyIsTheServiceNeverTheEphemeralPort) {
  const Told told = tell(R"(
    at 0ms connect a 10.0.0.1:50000 -> 10.0.0.9:80 by ab[77]
    connect b 10.0.0.1:50001 -> 10.0.0.9:80 by ab[77]
    connect c 10.0.0.1:50002 -> 10.0.0.9:81 by ab[77]
    at 1s  syn-retransmit a
    syn-retransmit b
    syn-retransmit c
    until 1.5s
  )");
  EXPECT_EQ(told.phases("connect-stalled"), "open open closed closed");
  EXPECT_EQ(told.first("connect-stalled").count, 2U);
}

TEST(Aggregation, TheOldestConnectionStandsForAll) {
  std::string script = "at 0ms listen other 10.0.0.1:1\n";
  for (int i = 0; i < 8; ++i)
    script += fmt::format("at {}ms connect c{} 10.0.0.1:{} -> 10.0.0.9:80 by ab[77]\n", 10 + i, i, 50000 + i);
  for (int i = 7; i >= 0; --i) script += fmt::format("at {}ms syn-retransmit c{}\n", 1010 + (7 - i), i);
  const Told told = tell(script + "until 1.5s");
  EXPECT_EQ(told.first("connect-stalled").examples.size(), 5U);
  EXPECT_EQ(told.first("connect-stalled").count, 8U);
}

// Identity ------------------------------------------------------------------------------------------------------------

TEST(Identity, TheSameAddressesAgainAreAnotherConnection) {
  const Told told = tell(R"(
    at 0ms   listen srv 127.0.0.1:7000 by worker[33]
    at 10ms  connect one 127.0.0.1:50000 -> 127.0.0.1:7000 by php[50]
    established one
    child end1 of one by worker[33]
    send one 1386
    receive end1 1386
    ack one
    at 1s    close end1 shutdown 3
    reset-received one
    close one err ECONNRESET
    reset-sent end1 reason TCP_ABORT_ON_CLOSE
    at 1.1s  connect two 127.0.0.1:50000 -> 127.0.0.1:7000 by ruby[60]
    established two
    child end2 of two by worker[34]
    at 2s    send two 5
    at 2.2s  timeout two
    at 2.6s  timeout two
    at 3.4s  timeout two
    until 4s
  )");
  const core::Finding reset = told.first("reset");
  const core::Finding stall = told.first("stall-unacked");
  EXPECT_EQ(ends(reset), "127.0.0.1:7000 worker[33] - 127.0.0.1:50000 php[50]");
  EXPECT_EQ(stall.owner->pid, 60U);
  EXPECT_NE(reset.peer->connection.number, stall.connection->number);
  EXPECT_EQ(stall.evidence.number("unacked_bytes"), 5);
}

TEST(Identity, AnEndThatWasRefusedByItsAddressesGetsItsCookieLater) {
  const Told told = tell(R"(
    at 0ms   listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
    at 10ms  connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
    established cli
    overflow srv from cli queue 5 head 2s
    at 1s    synack-retransmit srv from cli timer acked timeouts 0
    at 1.5s  child end of cli
    until 4s
  )");
  // One end each: the request that was refused, acknowledged and at last accepted is one connection.
  EXPECT_EQ(told.summary.connections, 2U);
}

TEST(Identity, TwoNamespacesWithTheSameAddressesAreNotEachOthersPeers) {
  const Told told = tell(R"(
    at 0ms   listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4 netns 1
    at 10ms  connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410] netns 2
    established cli
    connect own 127.0.0.1:50000 -> 127.0.0.1:8080 by wget[4411] netns 1
    established own
    send cli 5
    at 218ms  timeout cli
    at 634ms  timeout cli
    at 1s     synack-retransmit srv from own timer acked timeouts 0 queue 5 head 1s
    at 1466ms timeout cli
    until 2s
  )");
  EXPECT_EQ(told.first("stall-unacked").cause, "unknown");
  EXPECT_EQ(told.first("synack-retransmit-unexpected").peer->owner->pid, 4411U);
}

TEST(Identity, WhatNoLongerFitsIsEvictedAndCounted) {
  Setting setting;
  setting.settings.max_connections = 16;
  const Told told =
      tell(each(100, "at %t connect c%n 10.0.0.1:%p -> 10.0.0.9:80 by ab[77]\nsyn-retransmit c%n", 0, 10) + "until 2s",
           setting);
  EXPECT_EQ(told.summary.connections, 100U);
  EXPECT_EQ(told.summary.connections_evicted, 84U);
}

TEST(Identity, WhatIsOverMakesRoomFirstAndIsNoLoss) {
  Setting setting;
  setting.settings.max_connections = 16;
  const Told told = tell(
      "at 0ms connect old 10.0.0.1:40000 -> 10.0.0.8:80 by wget[5]\nat 1s syn-retransmit old\n" +
          each(100, "at %t connect c%n 10.0.0.1:%p -> 10.0.0.9:80 by ab[77]\nclose c%n err EHOSTUNREACH", 1100, 10) +
          "until 4s",
      setting);
  EXPECT_EQ(told.summary.connections_evicted, 0U);
  EXPECT_EQ(told.last("connect-stalled").ended, core::Ended::trace_end);
}

// Ten stall where four have room: what had to go is neither over nor closed, it is not known any more.
TEST(Identity, AnOpenFindingWhoseConnectionsHadToGoEndsAsForgotten) {
  Setting setting;
  setting.settings.max_connections = 4;
  const Told told =
      tell(each(10, "at %t connect c%n 10.0.0.1:%p -> 10.0.0.%n:80 by ab[77]\nsyn-retransmit c%n", 0, 700) + "until 9s",
           setting);
  std::size_t forgotten = 0;
  for (const core::Finding& f : told.of("connect-stalled"))
    if (f.phase == core::Phase::closed && f.ended == core::Ended::forgotten) forgotten += 1;
  EXPECT_EQ(forgotten, 6U);
  EXPECT_EQ(told.summary.connections_evicted, 6U);
}

TEST(Identity, AnOpenFindingMakesRoomLast) {
  Setting setting;
  setting.settings.max_connections = 4;
  const Told told = tell(
      "at 0ms connect old 10.0.0.1:40000 -> 10.0.0.8:80 by wget[5]\nat 1s syn-retransmit old\n" +
          each(10, "at %t connect c%n 10.0.0.1:%p -> 10.0.0.9:80 by ab[77]\nclose c%n err EHOSTUNREACH", 2000, 10) +
          "until 6s",
      setting);
  EXPECT_EQ(told.first("connect-stalled").phase, core::Phase::open);
  EXPECT_EQ(told.last("connect-stalled").ended, core::Ended::trace_end);
}

// Stories -------------------------------------------------------------------------------------------------------------

TEST(Stories, OneCulpritIsOneStoryAndTwoAreTwo) {
  const Told told = tell(kBusyDay);
  std::map<std::string, std::set<std::uint64_t>> stories;
  std::map<std::uint64_t, core::Finding> last;
  for (const core::Finding& f : told.lines) last[f.id] = f;
  for (const auto& [id, f] : last)
    if (f.culprit.process) stories[core::name_of(*f.culprit.process)].insert(f.story);
  EXPECT_EQ(stories.at("lighttpd[2112]").size(), 1U);
  EXPECT_EQ(stories.at("worker[33]").size(), 1U);
  EXPECT_NE(*stories.at("lighttpd[2112]").begin(), *stories.at("worker[33]").begin());
}

TEST(Stories, ALongOneStaysOne) {
  std::string script = R"(
    at 0ms  listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4
    at 10ms connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]
    established cli
    send cli 5
    sweeps on
    set srv queue 5 head 0ms
  )";
  util::Duration at = 218ms, rto = 416ms;
  for (; at < 100s; at += rto, rto *= 2)
    script += fmt::format("at {}ms overflow srv from cli\ntimeout cli\n", util::to_ms(at));
  const Told told = tell(script + "until 150s");
  const std::uint64_t root = told.last("accept-queue-overflow").id;
  for (const core::Finding& f : told.lines)
    EXPECT_TRUE(f.time < source::script_time(5s) || f.story == root) << dump({f});
}

TEST(Stories, WhereNobodyIsNamedNothingIsJoined) {
  const Told told = tell(R"(
    at 0ms connect a 127.0.0.1:50000 -> 127.0.0.1:7000 by php[50]
    refuse a
    connect b 127.0.0.1:50001 -> 127.0.0.1:7001 by php[50]
    refuse b
    until 3s
  )");
  std::set<std::uint64_t> stories;
  for (const core::Finding& f : told.lines) stories.insert(f.story);
  EXPECT_EQ(stories.size(), 2U);
}

TEST(Stories, TheDeadWorkerIsOneStoryOfResetAndRefusals) {
  const Told told = tell(R"(
    at 0ms   listen app 127.0.0.1:7000 by worker[33]
    at 10ms  connect req 127.0.0.1:50000 -> 127.0.0.1:7000 by php[50]
    established req
    child end of req by worker[33]
    send req 1386
    receive end 1386
    ack req
    at 1s    close end exiting signal 9 shutdown 3
    reset-received req
    close req err ECONNRESET
    reset-sent end reason TCP_ABORT_ON_CLOSE
    close app exiting signal 9
    at 1.2s  connect r1 127.0.0.1:50001 -> 127.0.0.1:7000 by php[50]
    refuse r1
    at 1.4s  connect r2 127.0.0.1:50002 -> 127.0.0.1:7000 by php[51]
    refuse r2
    at 1.6s  connect r3 127.0.0.1:50003 -> 127.0.0.1:7000 by php[52]
    refuse r3
    until 14s
  )");
  EXPECT_EQ(brief(told.first("reset")), "process-exit critical certain worker[33]");
  EXPECT_EQ(brief(told.last("connect-refused")), "listener-gone critical certain worker[33]");
  EXPECT_EQ(told.last("connect-refused").evidence.number("callers"), 3);
  EXPECT_EQ(told.last("connect-refused").story, told.last("reset").story);
}

TEST(Properties, WhatIsOffForThePortOfAServiceIsSilentThereAndNowhereElse) {
  const auto by_slug_and_port = [](const Setting& setting) {
    std::set<std::pair<std::string, std::uint16_t>> told;
    for (const core::Finding& f : tell(kBusyDay, setting).lines) told.emplace(f.slug, f.service->port);
    return told;
  };
  const auto everything = by_slug_and_port({});
  for (const auto& [slug, port] : everything) {
    Setting without;
    without.settings.thresholds.ports[port][slug] = std::nullopt;
    auto others = everything;
    others.erase({slug, port});
    EXPECT_EQ(by_slug_and_port(without), others) << slug << " of port " << port;
  }
}

}  // namespace
}  // namespace tcpwhy::detect
