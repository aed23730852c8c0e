// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/book.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tcpwhy::core {
namespace {

using namespace std::chrono_literals;

constexpr util::BootTime kStart{1000s};
constexpr std::uint32_t kServerPid = 2112;

// Says of every case what the test told it to say.
class Puppet final : public Detector {
 public:
  Puppet(std::string_view slug, int rank, bool instant)
      : Detector(
            {.slug = slug, .family = Family::stall, .rank = rank, .instant = instant, .causes = {}, .meaning = {}}) {}
  void on_event(const abi::Event&, Scene&) override {}
  std::optional<Verdict> judge(const Case& c, const Scene&) const override {
    judged += 1;
    if (c.subject.connection == quiet) return std::nullopt;
    return verdict;
  }
  void describe(Finding& f) const override { f.words.summary = "said."; }

  mutable int judged = 0;
  std::optional<Verdict> verdict;
  abi::SocketId quiet = abi::SocketId::none;
};

Verdict verdict_of(std::string_view cause, Severity severity, std::uint32_t pid = kServerPid, std::uint16_t port = 80) {
  Verdict v;
  v.cause = cause;
  v.severity = severity;
  Process p;
  p.pid = pid;
  p.comm = "server";
  v.culprit = {CulpritKind::local_process, p, std::nullopt};
  v.service = util::Endpoint{*util::parse_address("10.0.0.1"), port};
  return v;
}

class BookTest : public testing::Test {
 protected:
  abi::SocketId connection(std::uint64_t id) {
    abi::StateChange e;
    e.socket.id = abi::SocketId{id};
    e.socket.full = true;
    e.socket.state = abi::TcpState::established;
    e.socket.tuple = {
        {*util::parse_address("10.0.0.1"), 80}, {*util::parse_address("10.0.0.9"), static_cast<std::uint16_t>(id)}, 1};
    e.from = abi::TcpState::syn_recv;
    e.to = abi::TcpState::established;
    facts.apply({now, e});
    return abi::SocketId{id};
  }
  void raise(Puppet& detector, std::uint64_t id) { book.raise(detector, {connection(id), abi::SocketId::none}, now); }
  void close(Puppet& detector, std::uint64_t id, Ended how) {
    book.close(detector, {abi::SocketId{id}, abi::SocketId::none}, how);
  }

  // One tick later; a walk ends before it, as with a live source that answers at once.
  std::vector<Finding> tick(util::Duration later = 100ms, bool walk = true) {
    now += later;
    if (walk) facts.apply({now, abi::SeedEnd{false, true}});
    facts.apply({now, abi::Tick{}});
    auto lines = book.settle();
    std::copy(lines.begin(), lines.end(), std::back_inserter(told));
    return lines;
  }
  void ticks(util::Duration total) {
    for (util::Duration past{}; past < total; past += 100ms) tick();
  }
  std::string phases() const {
    std::string result;
    for (const Finding& f : told) result += (result.empty() ? "" : " ") + std::string{to_string(f.phase)};
    return result;
  }
  std::vector<Finding> finish() {
    auto lines = book.finish();
    std::copy(lines.begin(), lines.end(), std::back_inserter(told));
    return lines;
  }

  util::BootTime now = kStart;
  Settings settings;
  Facts facts{{}, {1000}};
  Book book{facts, settings};
  Puppet stall{"stall", 20, false};
  Puppet reset{"ending", 40, true};
  std::vector<Finding> told;
};

TEST_F(BookTest, AConditionOpensAndClosesOnce) {
  stall.verdict = verdict_of("why", Severity::warning);
  raise(stall, 1);
  ticks(500ms);
  EXPECT_EQ(phases(), "open");
  close(stall, 1, Ended::recovered);
  ticks(3s);
  EXPECT_EQ(phases(), "open closed");
  EXPECT_EQ(told.back().ended, Ended::recovered);
  EXPECT_EQ(told.back().duration, 600ms);
  EXPECT_EQ(told.front().id, told.back().id);
  finish();
  EXPECT_EQ(phases(), "open closed");
}

TEST_F(BookTest, AnEventThatStandsForOthersCountsThemAll) {
  reset.verdict = verdict_of("why", Severity::info);
  raise(reset, 1);
  EXPECT_TRUE(book.add(reset, {abi::SocketId{1}, abi::SocketId::none}, 41));
  ticks(200ms);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told.front().count_total, 42U);
  EXPECT_FALSE(book.add(reset, {abi::SocketId{1}, abi::SocketId::none}, 1)) << "it is told";
}

// More than a tick judges: the rest follows in the next ones, nothing is left out, and the delay is known.
TEST_F(BookTest, TwoThousandCasesATickAreJudgedAndTheRestInTheNext) {
  stall.quiet = abi::SocketId{999'999};  // these cases have no connection
  stall.verdict = verdict_of("why", Severity::info);
  for (std::uint64_t id = 1; id <= 5000; ++id) book.raise(stall, {abi::SocketId::none, abi::SocketId{id}}, now);
  tick();
  EXPECT_EQ(stall.judged, 2000);
  EXPECT_EQ(told.back().count, 2000U);
  ticks(300ms);
  EXPECT_EQ(stall.judged, 5000);
  EXPECT_GE(book.behind(), 100ms);
  EXPECT_EQ(book.open().front().cases, 5000U);
  for (std::uint64_t id = 1; id <= 5000; ++id)
    book.close(stall, {abi::SocketId::none, abi::SocketId{id}}, Ended::recovered);
  ticks(2s);
  EXPECT_EQ(told.back().phase, Phase::closed);
  EXPECT_EQ(told.back().count_total, 5000U);
}

// What is left to judge when it ends is judged first, and told.
TEST_F(BookTest, WhatEndsBeforeItsTurnIsJudgedAllTheSame) {
  reset.quiet = abi::SocketId{999'999};
  reset.verdict = verdict_of("why", Severity::info);
  for (std::uint64_t id = 1; id <= 3500; ++id) book.raise(reset, {abi::SocketId::none, abi::SocketId{id}}, now);
  tick();
  for (std::uint64_t id = 1; id <= 3500; ++id)
    book.close(reset, {abi::SocketId::none, abi::SocketId{id}}, Ended::closed);
  ticks(11s);
  EXPECT_EQ(told.back().count_total, 3500U);
}

TEST_F(BookTest, CasesBeyondTheirRoomAreCounted) {
  settings.table_bytes = 1;  // the least there is
  Book small{facts, settings};
  for (std::uint64_t id = 1; id <= 3000; ++id) small.raise(stall, {abi::SocketId::none, abi::SocketId{id}}, now);
  EXPECT_EQ(small.evictions().at("cases"), 3000U - 1024U);
}

// Of a crowd only some are kept with all that was told of them: when those have gone, the next oldest is judged again.
TEST_F(BookTest, TheOldestOfACrowdStandsForItHoweverManyHaveGone) {
  stall.verdict = verdict_of("why", Severity::warning);
  for (std::uint64_t id = 1; id <= 200; ++id) {
    raise(stall, id);
    now += 1ms;
  }
  ticks(500ms);
  for (std::uint64_t id = 1; id <= 150; ++id) close(stall, id, Ended::recovered);
  ticks(5s);
  ASSERT_EQ(told.back().phase, Phase::update);
  ASSERT_TRUE(told.back().connection);
  EXPECT_EQ(told.back().connection->remote.port, 151);
  EXPECT_EQ(told.back().count, 50U);
}

TEST_F(BookTest, WhatReturnsWithinAMomentNeverFlaps) {
  stall.verdict = verdict_of("why", Severity::warning);
  raise(stall, 1);
  ticks(300ms);
  close(stall, 1, Ended::recovered);
  ticks(500ms);
  raise(stall, 1);
  ticks(700ms);
  close(stall, 1, Ended::reset);
  ticks(3s);
  EXPECT_EQ(phases(), "open closed");
  EXPECT_EQ(told.back().ended, Ended::reset);
}

TEST_F(BookTest, WhatIsOverBeforeItCouldBeJudgedIsNotTold) {
  raise(stall, 1);  // the puppet has nothing to say
  ticks(300ms);
  EXPECT_GT(stall.judged, 0);
  close(stall, 1, Ended::recovered);
  ticks(3s);
  finish();
  EXPECT_EQ(phases(), "");
}

TEST_F(BookTest, AWithdrawnCaseWasNeverThere) {
  raise(stall, 1);
  book.withdraw(stall, {abi::SocketId{1}, abi::SocketId::none});
  EXPECT_EQ(book.find(stall, {abi::SocketId{1}, abi::SocketId::none}), nullptr);
  stall.verdict = verdict_of("why", Severity::info);
  raise(stall, 2);
  tick();
  book.withdraw(stall, {abi::SocketId{2}, abi::SocketId::none});
  EXPECT_NE(book.find(stall, {abi::SocketId{2}, abi::SocketId::none}), nullptr) << "what is told stays";
}

TEST_F(BookTest, AnUpdateForARisingSeverityAtOnce) {
  stall.verdict = verdict_of("why", Severity::info);
  raise(stall, 1);
  ticks(300ms);
  stall.verdict = verdict_of("why", Severity::critical);
  ticks(600ms);
  EXPECT_EQ(phases(), "open update");
  EXPECT_EQ(told.back().severity, Severity::critical);
  stall.verdict = verdict_of("why", Severity::info);
  ticks(600ms);
  EXPECT_EQ(phases(), "open update");
  finish();
  EXPECT_EQ(told.back().severity, Severity::critical) << "a milder view comes too late";
}

TEST_F(BookTest, AnUpdateForADoubledDurationFromTwoSecondsOn) {
  stall.verdict = verdict_of("why", Severity::info);
  raise(stall, 1);
  ticks(40s);
  std::vector<std::int64_t> at;
  for (const Finding& f : told)
    if (f.phase == Phase::update) at.push_back(util::to_ms(f.duration));
  EXPECT_EQ(at, (std::vector<std::int64_t>{2000, 4000, 8000, 16000, 32000}));
}

TEST_F(BookTest, AnUpdateForADoubledCount) {
  stall.verdict = verdict_of("why", Severity::info);
  std::vector<std::uint64_t> counts;
  for (std::uint64_t id = 1; id <= 16; ++id) {
    raise(stall, id);
    for (const Finding& f : tick(100ms)) counts.push_back(f.count);
  }
  EXPECT_EQ(counts, (std::vector<std::uint64_t>{1, 2, 4, 8, 16}));
}

TEST_F(BookTest, TheCountIsOfNowAndTheTotalOfEver) {
  stall.verdict = verdict_of("why", Severity::info);
  for (std::uint64_t id = 1; id <= 8; ++id) raise(stall, id);
  tick();
  EXPECT_EQ(told.front().count, 8U);
  for (std::uint64_t id = 1; id <= 6; ++id) close(stall, id, Ended::recovered);
  ticks(2s);
  EXPECT_EQ(told.back().phase, Phase::update);
  EXPECT_EQ(told.back().count, 2U);
  EXPECT_EQ(told.back().count_total, 8U);
  EXPECT_EQ(told.back().connection->number, 7U) << "the oldest that is still in it";
  EXPECT_EQ(told.back().examples.size(), 5U);
}

TEST_F(BookTest, InstantFindingsAreAnEventThenAnUpdateAWindowLater) {
  reset.verdict = verdict_of("why", Severity::warning);
  for (std::uint64_t id = 1; id <= 60; ++id) {
    raise(reset, id);
    ticks(100ms);
  }
  EXPECT_EQ(phases(), "event");
  EXPECT_EQ(told.front().count, 1U);
  EXPECT_EQ(told.front().duration, 0s);
  ticks(6s);
  EXPECT_EQ(phases(), "event update");
  EXPECT_EQ(told.back().count, 60U);
  EXPECT_EQ(told.back().id, told.front().id);
  ticks(30s);
  finish();
  EXPECT_EQ(phases(), "event update") << "an instant is never closed";
}

TEST_F(BookTest, AfterAQuietWindowAnInstantIsANewFinding) {
  reset.verdict = verdict_of("why", Severity::warning);
  raise(reset, 1);
  ticks(12s);
  raise(reset, 2);
  ticks(1s);
  EXPECT_EQ(phases(), "event event");
  EXPECT_NE(told.front().id, told.back().id);
}

TEST_F(BookTest, TheEndOfTheRunTellsWhatWasHeldBack) {
  reset.verdict = verdict_of("why", Severity::warning);
  raise(reset, 1);
  ticks(500ms);
  raise(reset, 2);
  ticks(500ms);
  EXPECT_EQ(phases(), "event");
  finish();
  EXPECT_EQ(phases(), "event update");
  EXPECT_EQ(told.back().count, 2U);
}

TEST_F(BookTest, TheEndOfTheRunClosesWhatIsOpen) {
  stall.verdict = verdict_of("why", Severity::warning);
  raise(stall, 1);
  ticks(500ms);
  finish();
  EXPECT_EQ(phases(), "open closed");
  EXPECT_EQ(told.back().ended, Ended::trace_end);
}

TEST_F(BookTest, ServiceCauseAndCulpritAreTheKey) {
  stall.verdict = verdict_of("why", Severity::info);
  raise(stall, 1);
  tick();
  stall.quiet = abi::SocketId{1};
  stall.verdict = verdict_of("why", Severity::info, kServerPid, 81);
  raise(stall, 2);
  tick();
  EXPECT_EQ(told.size(), 2U);
  EXPECT_NE(told[0].id, told[1].id);
}

TEST_F(BookTest, ABetterExplanationKeepsTheFinding) {
  Verdict unknown = verdict_of("unknown", Severity::warning);
  unknown.culprit = {CulpritKind::network, std::nullopt, std::nullopt};
  stall.verdict = unknown;
  raise(stall, 1);
  ticks(300ms);
  stall.verdict = verdict_of("accept-queue-full", Severity::warning);
  ticks(600ms);
  EXPECT_EQ(phases(), "open update");
  EXPECT_EQ(told.back().cause, "accept-queue-full");
  EXPECT_EQ(told.back().id, told.front().id);
  close(stall, 1, Ended::recovered);
  ticks(2s);
  EXPECT_EQ(phases(), "open update closed");
}

TEST_F(BookTest, WhoJoinsAnOlderFindingClosesItsOwn) {
  stall.verdict = verdict_of("why", Severity::warning);
  raise(stall, 1);
  ticks(300ms);
  Verdict unknown = verdict_of("unknown", Severity::warning);
  unknown.culprit = {CulpritKind::network, std::nullopt, std::nullopt};
  stall.quiet = abi::SocketId{1};
  stall.verdict = unknown;
  raise(stall, 2);
  ticks(300ms);
  stall.quiet = abi::SocketId::none;
  stall.verdict = verdict_of("why", Severity::warning);
  ticks(3s);
  std::map<std::uint64_t, std::string> seen;
  for (const Finding& f : told) seen[f.id] += to_string(f.phase).front();
  EXPECT_EQ(seen.at(1).find('c'), std::string::npos);
  EXPECT_EQ(seen.at(2), "oc");
  const auto both = std::find_if(told.rbegin(), told.rend(), [](const Finding& f) { return f.id == 1; });
  EXPECT_EQ(both->count, 2U) << "both are in the one that stays";
  const auto gone = std::find_if(told.rbegin(), told.rend(), [](const Finding& f) { return f.id == 2; });
  EXPECT_EQ(gone->evidence.text("merged_into"), "f-1");
}

TEST_F(BookTest, AFindingAboveInfoWaitsForItsAnswer) {
  stall.verdict = verdict_of("why", Severity::warning);
  raise(stall, 1);
  EXPECT_TRUE(tick(100ms, false).empty());
  const Wants wants = book.take_wants();
  EXPECT_EQ(wants.sockets.size(), 2U) << "both ends";
  EXPECT_EQ(wants.processes, (std::vector<std::uint32_t>{kServerPid}));
  EXPECT_TRUE(book.take_wants().empty()) << "asked once";
  EXPECT_EQ(tick(100ms, true).size(), 1U);
}

TEST_F(BookTest, AnAnswerThatNeverComesIsNotWaitedForForever) {
  stall.verdict = verdict_of("why", Severity::warning);
  raise(stall, 1);
  util::Duration waited{};
  while (tick(100ms, false).empty() && waited < 5s) waited += 100ms;
  EXPECT_EQ(waited, 1s);
}

TEST_F(BookTest, InfoAsksForNothing) {
  stall.verdict = verdict_of("why", Severity::info);
  raise(stall, 1);
  EXPECT_EQ(tick(100ms, false).size(), 1U);
  EXPECT_TRUE(book.take_wants().empty());
}

TEST_F(BookTest, LostEventsMakeALikelyVerdictUnsure) {
  stall.verdict = verdict_of("why", Severity::info);
  raise(stall, 1);
  facts.apply({now, abi::Lost{"drop", 4}});
  tick();
  EXPECT_EQ(told.front().confidence, Confidence::unsure);
  EXPECT_EQ(told.front().evidence.number("events_lost"), 4);
}

TEST_F(BookTest, WhatWasLostBeforeItBeganDoesNotMatter) {
  facts.apply({now, abi::Lost{"drop", 4}});
  now += 1s;
  stall.verdict = verdict_of("why", Severity::info);
  raise(stall, 1);
  tick();
  EXPECT_EQ(told.front().confidence, Confidence::likely);
}

TEST_F(BookTest, TheRootOfAStoryIsNearestToTheCulprit) {
  Puppet queue{"queue", 10, false};
  stall.verdict = verdict_of("why", Severity::info);
  queue.verdict = verdict_of("full", Severity::info);
  raise(stall, 1);
  raise(queue, 2);
  tick();
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].slug, "queue");
  EXPECT_EQ(told[0].role, StoryRole::root);
  EXPECT_EQ(told[1].role, StoryRole::symptom);
  EXPECT_EQ(told[0].story, told[1].story);
}

TEST_F(BookTest, ARootThatComesLaterTakesOverWhereAllCanStillSaySo) {
  Puppet queue{"queue", 10, false};
  stall.verdict = verdict_of("why", Severity::info);
  queue.verdict = verdict_of("full", Severity::info);
  raise(stall, 1);
  tick();
  raise(queue, 2);
  tick();
  finish();
  for (const Finding& f : told)
    EXPECT_TRUE(f.phase != Phase::closed || f.role == (f.slug == "queue" ? StoryRole::root : StoryRole::symptom));
}

TEST_F(BookTest, ARootThatWasToldForGoodStaysTheRoot) {
  Puppet queue{"queue", 10, false};
  reset.verdict = verdict_of("why", Severity::info);
  queue.verdict = verdict_of("full", Severity::info);
  raise(reset, 1);
  tick();
  raise(queue, 2);
  tick();
  EXPECT_EQ(told[0].role, StoryRole::root);
  EXPECT_EQ(told[1].story, told[0].id);
  EXPECT_EQ(told[1].role, StoryRole::symptom);
}

TEST_F(BookTest, ASecondCulpritIsASecondStory) {
  Puppet queue{"queue", 10, false};
  stall.verdict = verdict_of("why", Severity::info);
  queue.verdict = verdict_of("full", Severity::info, 77);
  raise(stall, 1);
  raise(queue, 2);
  tick();
  EXPECT_NE(told[0].story, told[1].story);
}

TEST_F(BookTest, AFilterHidesTheWholeFinding) {
  settings.filter.ports = {9999};
  stall.verdict = verdict_of("why", Severity::warning);
  raise(stall, 1);
  ticks(3s);
  close(stall, 1, Ended::closed);
  ticks(3s);
  finish();
  EXPECT_TRUE(told.empty());
  EXPECT_TRUE(book.opened().empty());
  EXPECT_FALSE(book.worst());
}

TEST_F(BookTest, ItCountsWhatItOpenedAndTheWorst) {
  stall.verdict = verdict_of("why", Severity::warning);
  reset.verdict = verdict_of("why", Severity::info);
  raise(stall, 1);
  raise(reset, 2);
  ticks(1s);
  EXPECT_EQ(book.opened(), (std::map<std::string, std::uint64_t>{{"ending", 1}, {"stall", 1}}));
  EXPECT_EQ(book.worst(), Severity::warning);
}

TEST_F(BookTest, WhatIsOffForAServicePortIsNotToldOfIt) {
  settings.thresholds.ports[80]["stall"] = std::nullopt;
  settings.thresholds.ports[80]["other"] = std::nullopt;
  stall.verdict = verdict_of("why", Severity::warning);
  raise(stall, 1);
  ticks(2s);
  EXPECT_TRUE(book.take_wants().empty()) << "nobody will read the answer";
  EXPECT_EQ(phases(), "");
  stall.verdict = verdict_of("why", Severity::warning, kServerPid, 81);
  ticks(1s);
  EXPECT_EQ(phases(), "open");
  finish();
  EXPECT_EQ(phases(), "open closed");
}

TEST_F(BookTest, WhatIsOnForOneServicePortAloneIsToldOfIt) {
  settings.thresholds["stall"] = std::nullopt;
  settings.thresholds.ports[443]["stall"] = 1s;
  stall.verdict = verdict_of("why", Severity::warning);
  raise(stall, 1);
  ticks(1s);
  stall.verdict->service.reset();  // of no port: as for all ports
  raise(stall, 2);
  ticks(1s);
  EXPECT_EQ(phases(), "");
  stall.verdict = verdict_of("why", Severity::warning, kServerPid, 443);
  raise(stall, 3);
  ticks(1s);
  EXPECT_EQ(told.front().service->port, 443);
}

TEST_F(BookTest, AnEventThatIsOffIsForgottenAtOnce) {
  settings.thresholds.ports[80]["ending"] = std::nullopt;
  reset.verdict = verdict_of("why", Severity::warning);
  raise(reset, 1);
  tick();
  EXPECT_EQ(book.find(reset, {abi::SocketId{1}, abi::SocketId::none}), nullptr);
  finish();
  EXPECT_EQ(phases(), "");
  EXPECT_TRUE(book.opened().empty());
  EXPECT_FALSE(book.worst());
}

}  // namespace
}  // namespace tcpwhy::core
