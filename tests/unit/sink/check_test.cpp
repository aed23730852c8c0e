// SPDX-License-Identifier: GPL-2.0-only
#include "user/sink/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/unit/sink/samples.h"

namespace tcpwhy::sink {
namespace {

using core::Severity;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct Said {
  std::vector<std::string> lines;
  Health health = Health::ok;
};

Said check(const std::vector<core::Finding>& found, CheckStyle style = {}, const std::string& doubt = {}) {
  std::ostringstream out;
  CheckSink sink{out, sample_run(), std::move(style)};
  sink.findings(found);
  EXPECT_EQ(out.str(), "") << "before the end";
  if (!doubt.empty()) sink.doubt(doubt);
  sink.summary(sample_summary());
  Said said{{}, sink.health()};
  std::istringstream text{out.str()};
  for (std::string line; std::getline(text, line);) said.lines.push_back(line);
  return said;
}

// Times of day are local.
[[maybe_unused]] const bool kUtc = [] {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  return true;
}();

core::Finding ended(core::Finding finding, core::Ended how) {
  finding.phase = core::Phase::closed;
  finding.ended = how;
  return finding;
}

TEST(Check, HealthyIsOneLine) {
  const Said said = check({});
  EXPECT_THAT(said.lines, ElementsAre("TCPWHY OK - no problem in 12 s | critical=0;;0;0 warning=0;0;;0 info=0;;;0 "
                                      "events=1234;;;0 lost=0;0;;0 watched=12.5s;;;0"));
  EXPECT_EQ(said.health, Health::ok);
}

TEST(Check, WhatTheKernelCannotTellIsSaidOfTheHealthy) {
  EXPECT_THAT(check({}, {.missing = {"no kfree_skb"}}).lines[0],
              StartsWith("TCPWHY OK - no problem in 12 s, as far as this kernel tells (tcpwhy doctor) | "));
}

TEST(Check, TheVerdictThenTheProblemsThenWhereToReadOn) {
  const Said said = check({sample_root(), sample_symptom()});
  ASSERT_EQ(said.lines.size(), 4U);
  EXPECT_THAT(
      said.lines[0],
      StartsWith("TCPWHY CRITICAL - 1 critical, 1 warning: lighttpd[2112] sent its SYN-ACK again 3.5 s after "));
  EXPECT_EQ(
      said.lines[1],
      "CRITICAL  synack-retransmit-unexpected (accept-queue-full), since 12:09:51: lighttpd[2112] sent its SYN-ACK "
      "again "
      "3.5 s after curl[4410] completed the handshake and sent 5 bytes. Why: accept queue of 0.0.0.0:8080 is full (129 "
      "of "
      "128): lighttpd[2112] has accepted nothing for 3.6 s or more. Next: find what blocks lighttpd's accept loop.");
  EXPECT_EQ(said.lines[2],
            "WARNING     stall-unacked (accept-queue-full), since 12:09:51: curl[4410] has sent 5 bytes that nobody "
            "acknowledges.");
  EXPECT_EQ(said.lines[3], "more: tcpwhy explain synack-retransmit-unexpected --cause accept-queue-full");
  EXPECT_EQ(said.health, Health::critical);
}

TEST(Check, WhatIsOverCountsAndIsTold) {
  const Said said = check({ended(sample_root(), core::Ended::recovered)});
  EXPECT_EQ(said.health, Health::critical);
  EXPECT_THAT(said.lines[0],
              StartsWith("TCPWHY CRITICAL - 1 critical, over by now; while it lasted: lighttpd[2112] sent"));
  EXPECT_THAT(said.lines[1],
              StartsWith("CRITICAL  was synack-retransmit-unexpected (accept-queue-full), 12:09:51 to 12:09:54, "
                         "recovered after 3.5 s; while it lasted: lighttpd[2112] sent"));
}

TEST(Check, WhatIsOpenAtTheEndIsNotOver) {
  const Said said = check({ended(sample_root(), core::Ended::trace_end)});
  EXPECT_THAT(said.lines[1],
              StartsWith("CRITICAL  synack-retransmit-unexpected (accept-queue-full), since 12:09:51: "));
}

TEST(Check, WhatWasForgottenIsNotOver) {
  const Said said = check({ended(sample_root(), core::Ended::forgotten)});
  EXPECT_EQ(said.health, Health::critical);
  EXPECT_THAT(said.lines[0], Not(HasSubstr("over by now")));
  EXPECT_THAT(
      said.lines[1],
      StartsWith("CRITICAL  synack-retransmit-unexpected (accept-queue-full), since 12:09:51; no longer observed "
                 "after 3.5 s: tcpwhy's table had no room; whether it still holds is unknown; while it was "
                 "observed: lighttpd[2112] sent"));
}

TEST(Check, OnlyLossesThatMayHideAFindingAreDoubts) {
  core::Losses losses;
  losses.add({"transition", 500});
  losses.add({"sample", 40, abi::LossWay::queue});
  EXPECT_THAT(doubts_of(losses), ElementsAre());
  losses.add({"state", 100});
  losses.add({"retransmit", 20, abi::LossWay::recursion});
  EXPECT_THAT(doubts_of(losses), ElementsAre("120 events were lost (retransmit 20, state 100)"));
  losses.add({"sample", 12, abi::LossWay::unswept});
  losses.add({"seed", 1, abi::LossWay::walk});
  const std::vector<std::string> doubts = doubts_of(losses);
  EXPECT_THAT(doubts, ElementsAre("120 events were lost (retransmit 20, state 100)",
                                  "1 walk over the files of processes was incomplete (each was cut short or skipped "
                                  "sockets that were asked for)",
                                  "12 sockets in trouble were not swept (the table of tracked sockets is full)"));
  EXPECT_EQ(check({}, {}, doubts.back()).health, Health::unknown);
  EXPECT_EQ(check({sample_symptom()}, {}, doubts.back()).health, Health::unknown) << "a worse one may be hidden";
  EXPECT_EQ(check({sample_root()}, {}, doubts.back()).health, Health::critical);
}

TEST(Check, OverByNowIsWhatNoEventContradicts) {
  const auto head = [](const char* slug) {
    core::Finding event = sample_symptom();
    event.id = 3;
    event.slug = slug;
    event.phase = core::Phase::event;
    event.since = event.time;
    const auto over = ended(sample_root(), core::Ended::recovered);
    return std::pair{check({over, event}).lines[0], check({event}).lines[0]};
  };
  EXPECT_THAT(head("reset").first, HasSubstr(", over by now; while it lasted: "));
  EXPECT_THAT(head("connect-refused").first, Not(HasSubstr("over by now"))) << "connects may still fail";
  EXPECT_THAT(head("reset").second, Not(HasSubstr("over by now"))) << "an event alone says nothing of now";
}

// An overload that ends with its listener gone: whoever reads the first line alone must know that.
TEST(Check, TheVerdictSaysWhatTheWorstStoryCameTo) {
  core::Finding refused = sample_symptom();
  refused.id = 3;
  refused.slug = "connect-refused";
  refused.cause = "listener-gone";
  refused.severity = Severity::critical;
  refused.phase = core::Phase::event;
  refused.since = refused.time;
  refused.words.summary = "curl[4410] cannot connect: nothing listens there.";
  const Said said = check({ended(sample_root(), core::Ended::closed), sample_symptom(), refused});
  EXPECT_THAT(
      said.lines[0],
      HasSubstr("has accepted nothing for 3.6 s or more. Then: curl[4410] cannot connect: nothing listens there. | "));
  EXPECT_THAT(said.lines, Contains("more: tcpwhy explain connect-refused --cause listener-gone"));
  // What lasts still, comes before its root, or is milder, is no outcome.
  core::Finding lasting = ended(sample_symptom(), core::Ended::trace_end);
  lasting.severity = Severity::critical;
  EXPECT_THAT(check({sample_root(), lasting}).lines[0], Not(HasSubstr("Then:")));
  core::Finding before = refused;
  before.time = before.since = sample_root().since - std::chrono::seconds{1};
  EXPECT_THAT(check({sample_root(), before}).lines[0], Not(HasSubstr("Then:")));
  refused.severity = Severity::warning;
  EXPECT_THAT(check({sample_root(), refused}).lines[0], Not(HasSubstr("Then:")));
}

TEST(Check, InfoIsCountedOnly) {
  core::Finding f = sample_root();
  f.severity = Severity::info;
  const Said said = check({f});
  ASSERT_EQ(said.lines.size(), 1U);
  EXPECT_THAT(said.lines[0], HasSubstr(" info=1;"));
  EXPECT_EQ(said.health, Health::ok);
}

TEST(Check, WarningsThatDoNotFailAreListedAllTheSame) {
  const Said said = check({sample_symptom()}, {.fail_on = Severity::critical});
  EXPECT_EQ(said.health, Health::ok);
  EXPECT_THAT(said.lines[0], StartsWith("TCPWHY OK - 1 warning in 12 s, none critical (--fail-on critical) | "));
  EXPECT_THAT(said.lines[0], HasSubstr(" warning=1;;;0 "));
  EXPECT_THAT(said.lines[1], StartsWith("WARNING   stall-unacked "));
}

TEST(Check, ADoubtIsSaid) {
  const Said said = check({sample_symptom()}, {}, "20 events were lost (state 20)");
  EXPECT_EQ(said.health, Health::unknown);
  EXPECT_THAT(said.lines[0],
              StartsWith("TCPWHY UNKNOWN - 20 events were lost (state 20): a finding may have been missed "
                         "(1 warning) | "));
  EXPECT_EQ(said.lines.size(), 2U);
}

// Whatever a process calls itself: one line, no escape, and no "|" but the one before the performance data.
TEST(Check, NamesCannotForgeLinesOrNumbers) {
  core::Finding f = sample_root();
  f.words.summary = "a|b\x1b[2J\nTCPWHY OK[2112] does not accept.";
  const Said said = check({f});
  ASSERT_EQ(said.lines.size(), 3U);
  EXPECT_EQ(std::count(said.lines[0].begin(), said.lines[0].end(), '|'), 1);
  EXPECT_THAT(said.lines[1], Not(HasSubstr("|")));
  EXPECT_THAT(said.lines[1], Not(HasSubstr("\x1b")));
}

TEST(Check, ManyAlikeAreOneMoreLine) {
  std::vector<core::Finding> many;
  for (std::uint16_t i = 0; i < 40; ++i) {
    core::Finding f = sample_root();
    f.id = f.story = i + 1U;
    f.service = at("10.0.0.9", static_cast<std::uint16_t>(1000 + i));
    many.push_back(f);
  }
  const Said said = check(many);
  EXPECT_THAT(said.lines[0], StartsWith("TCPWHY CRITICAL - 40 critical: "));
  EXPECT_EQ(said.lines.size(), 1U + 4U + 1U + 1U);
  EXPECT_EQ(said.lines[5],
            "CRITICAL  and 36 more services of 10.0.0.9: synack-retransmit-unexpected accept-queue-full, "
            "ports 1004 to 1039");
}

TEST(Check, IsDecidedWhenACriticalFindingHadTimeToSettle) {
  std::ostringstream out;
  CheckSink sink{out, sample_run(), {}};
  sink.findings({sample_symptom()});
  sink.tick(moment(10));
  sink.tick(moment(20));
  EXPECT_FALSE(sink.decided()) << "a warning may get worse";
  sink.findings({sample_root()});
  sink.tick(moment(21));
  EXPECT_FALSE(sink.decided());
  sink.tick(moment(23));
  EXPECT_TRUE(sink.decided());
}

TEST(Check, ColourOnlyWhereAskedFor) {
  EXPECT_THAT(check({sample_root()}, {.colour = true}).lines[1], StartsWith("\x1b[1;31mCRITICAL\x1b[0m  "));
}

TEST(Check, JsonEndsWithTheVerdict) {
  core::Finding info = sample_symptom();
  info.id = info.story = 3;
  info.severity = Severity::info;
  const Said said = check({info, sample_root(), sample_symptom()}, {.json = true, .missing = {"no kfree_skb"}}, "why");
  ASSERT_EQ(said.lines.size(), 5U);
  const auto line = [&said](std::size_t n) { return nlohmann::json::parse(said.lines[n]); };
  EXPECT_EQ(line(0).at("id"), "f-1");
  EXPECT_EQ(line(2).at("id"), "f-3");
  EXPECT_EQ(line(3).at("schema"), "tcpwhy.summary/1");
  const nlohmann::json verdict = line(4);
  EXPECT_EQ(verdict.at("schema"), "tcpwhy.check/1");
  EXPECT_EQ(verdict.at("verdict"), "critical");
  EXPECT_EQ(verdict.at("exit_code"), 2);
  EXPECT_EQ(verdict.at("counts"), (nlohmann::json{{"critical", 1}, {"warning", 1}, {"info", 1}}));
  EXPECT_EQ(verdict.at("problems"), (nlohmann::json{"f-1", "f-2"}));
  EXPECT_EQ(verdict.at("could_not_tell"), nlohmann::json{"why"});
  EXPECT_EQ(verdict.at("missing"), nlohmann::json{"no kfree_skb"});
}

TEST(Check, WhatNeverBeganIsUnknown) {
  EXPECT_EQ(could_not_check(false, "needs root"), "TCPWHY UNKNOWN - needs root\n");
  const auto verdict = nlohmann::json::parse(could_not_check(true, "needs root"));
  EXPECT_EQ(verdict.at("exit_code"), 3);
  EXPECT_EQ(verdict.at("verdict"), "unknown");
}

}  // namespace
}  // namespace tcpwhy::sink
