// SPDX-License-Identifier: GPL-2.0-only
#include "user/sink/flood.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "tests/unit/sink/samples.h"
#include "user/sink/json.h"
#include "user/sink/text.h"

namespace tcpwhy::sink {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using Batch = std::vector<core::Finding>;

// A rule over many ports of one host: what each of its services is told.
core::Finding blocked(std::uint64_t id, std::uint16_t port, util::Duration when = 10s) {
  core::Finding f;
  f.id = f.story = id;
  f.time = f.since = util::BootTime{when};
  f.slug = "connect-timeout";
  f.cause = "dropped-locally";
  f.severity = core::Severity::critical;
  f.phase = core::Phase::event;
  f.culprit.kind = core::CulpritKind::local_firewall;
  f.service = at("10.0.0.9", port);
  f.words.summary = fmt::format("port {} is blocked.", port);
  return f;
}

Batch blocked_ports(std::uint16_t first, std::uint16_t last, util::Duration when = 10s) {
  Batch batch;
  for (std::uint16_t port = first; port <= last; ++port) batch.push_back(blocked(port, port, when));
  return batch;
}

core::Finding as_condition(core::Finding f, core::Phase phase) {
  f.slug = "connect-stalled";
  f.phase = phase;
  return f;
}

class FloodText : public testing::Test {
 protected:
  void SetUp() override {
    setenv("TZ", "UTC", 1);
    tzset();
  }
  std::string take() {
    std::string text = out_.str();
    out_.str("");
    return text;
  }
  // What is written until the moment, with a tick each 100 ms.
  std::string until(util::Duration end) {
    for (; now_ < end; now_ += 100ms) sink_.tick(util::BootTime{now_});
    return take();
  }
  static std::size_t blocks(const std::string& text) {
    std::size_t count = 0;
    for (std::size_t at = text.find("is blocked."); at != std::string::npos; at = text.find("is blocked.", at + 1))
      count += 1;
    return count;
  }

  std::ostringstream out_;
  TextSink sink_{out_, sample_run(), {}};
  util::Duration now_ = 10s;
};

TEST_F(FloodText, FourHundredServicesAreFourBlocksAndALine) {
  sink_.findings(blocked_ports(1001, 1400));
  EXPECT_EQ(blocks(take()), 4U);
  EXPECT_EQ(until(25s),
            "12:00:11.000  CRITICAL  and 396 more services of 10.0.0.9: connect-timeout dropped-locally, "
            "ports 1005 to 1400\n");
}

TEST_F(FloodText, FourAreNoFlood) {
  sink_.findings(blocked_ports(1001, 1004));
  EXPECT_EQ(blocks(take()), 4U);
  EXPECT_EQ(until(60s), "");
}

TEST_F(FloodText, WhatComesSlowlyIsNoFlood) {
  for (int i = 0; i < 20; ++i)
    sink_.findings({blocked(static_cast<std::uint64_t>(i), static_cast<std::uint16_t>(1000 + i),
                            10s + 3s * i)});  // three in ten seconds
  EXPECT_EQ(blocks(take()), 20U);
}

TEST_F(FloodText, TheLineIsRenewedOnceAWindowAndAFloodLastsUntilItIsCalm) {
  for (std::uint16_t i = 0; i < 250; ++i) {  // one each 100 ms
    sink_.findings({blocked(1000 + i, static_cast<std::uint16_t>(1000 + i), now_)});
    sink_.tick(util::BootTime{now_});
    now_ += 100ms;
  }
  const std::string text = take() + until(60s);
  EXPECT_EQ(blocks(text), 4U);
  std::vector<std::string> lines;
  std::istringstream stream{text};
  for (std::string line; std::getline(stream, line);)
    if (line.find("more services") != std::string::npos) lines.push_back(line.substr(0, 12));
  EXPECT_EQ(lines, (std::vector<std::string>{"12:00:11.400", "12:00:21.400", "12:00:31.400", "12:00:41.400"}));
  EXPECT_THAT(text,
              HasSubstr("and 246 more services of 10.0.0.9: connect-timeout dropped-locally, ports 1004 to 1249"));
}

TEST_F(FloodText, AfterAQuietWindowBlocksArePrintedAgain) {
  sink_.findings(blocked_ports(1001, 1400));
  until(30s);
  Batch later = blocked_ports(2001, 2006, 30s);
  sink_.findings(later);
  const std::string text = take() + until(60s);
  EXPECT_EQ(blocks(text), 4U);
  EXPECT_THAT(text,
              HasSubstr("and 2 more services of 10.0.0.9: connect-timeout dropped-locally, ports 2005 to 2006\n"));
}

TEST_F(FloodText, AnotherCauseOrCulpritIsNotPartOfIt) {
  Batch batch = blocked_ports(1001, 1100);
  core::Finding other_cause = blocked(5000, 80);
  other_cause.cause = "peer-silent";
  core::Finding other_culprit = blocked(5001, 81);
  other_culprit.culprit = {.kind = core::CulpritKind::remote_host, .remote = at("10.0.0.9", 81)};
  batch.push_back(other_cause);
  batch.push_back(other_culprit);
  sink_.findings(batch);
  EXPECT_EQ(blocks(take()), 6U);
}

TEST_F(FloodText, ACulpritForEachIsAFloodToo) {
  Batch batch;
  for (std::uint16_t i = 1; i <= 200; ++i) {
    core::Finding f = blocked(i, 443);
    f.service = at(fmt::format("10.0.0.{}", i), 443);
    f.culprit = {.kind = core::CulpritKind::remote_host, .remote = f.service};
    batch.push_back(f);
  }
  sink_.findings(batch);
  EXPECT_EQ(blocks(take()), 12U);
  EXPECT_THAT(until(25s), HasSubstr("and 188 more services of 188 hosts: connect-timeout dropped-locally, port 443\n"));
}

TEST_F(FloodText, UpdatesOfThoseThatWereOnlyCountedAreNotPrinted) {
  Batch batch = blocked_ports(1001, 1400);
  sink_.findings(batch);
  take();
  for (core::Finding& f : batch) f.phase = core::Phase::update;
  sink_.findings(batch);
  EXPECT_THAT(take(), Not(HasSubstr("is blocked.")));
}

TEST_F(FloodText, AWorseSeverityOfTheOthersIsSaid) {
  Batch batch;
  for (const core::Finding& f : blocked_ports(1001, 1400)) batch.push_back(as_condition(f, core::Phase::open));
  for (core::Finding& f : batch) f.severity = core::Severity::warning;
  sink_.findings(batch);
  EXPECT_THAT(until(15s), HasSubstr("WARNING   and 396 more services"));
  batch.back().phase = core::Phase::update;
  batch.back().severity = core::Severity::critical;
  sink_.findings({batch.back()});
  EXPECT_THAT(until(25s), HasSubstr("CRITICAL  and 396 more services"));
}

TEST_F(FloodText, TheEndOfTheOthersIsALine) {
  Batch batch;
  for (const core::Finding& f : blocked_ports(1001, 1400)) batch.push_back(as_condition(f, core::Phase::open));
  sink_.findings(batch);
  until(15s);
  for (core::Finding& f : batch) {
    f.phase = core::Phase::closed;
    f.ended = core::Ended::recovered;
    f.time = moment(15);
  }
  sink_.findings({batch.begin(), batch.begin() + 104});
  EXPECT_THAT(until(25s), HasSubstr("CRITICAL  and 396 more services of 10.0.0.9: connect-stalled dropped-locally, "
                                    "ports 1005 to 1400; 100 of them are over\n"));
  sink_.findings({batch.begin() + 104, batch.end()});
  EXPECT_EQ(until(60s),
            "12:00:31.000  CLOSED    and 396 more services of 10.0.0.9: connect-stalled dropped-locally, "
            "ports 1005 to 1400\n");
}

TEST_F(FloodText, TheSummarySaysWhatWasOnlyCountedAndWhatIsStillOpen) {
  Batch batch;
  for (const core::Finding& f : blocked_ports(1001, 1400)) batch.push_back(as_condition(f, core::Phase::open));
  sink_.findings(batch);
  for (core::Finding& f : batch) {
    f.phase = core::Phase::closed;
    f.ended = core::Ended::trace_end;
  }
  sink_.findings(batch);
  take();
  core::Summary summary = sample_summary();
  summary.findings = {{"connect-stalled", 400}, {"reset", 3}};
  sink_.summary(summary);
  const std::string text = take();
  EXPECT_THAT(text, HasSubstr("OPEN      and 396 more services of 10.0.0.9: connect-stalled dropped-locally, "
                              "ports 1005 to 1400\n"));
  EXPECT_THAT(text, HasSubstr("Findings: 400 connect-stalled, 3 reset."));
  EXPECT_THAT(text, HasSubstr("3 findings below warning not shown: --severity info shows them.\n"
                              "396 findings only counted above (\"and ... more\"): --format json has each.\n"));
}

TEST_F(FloodText, SymptomsOfOneRootAreCappedToo) {
  Batch batch = {sample_root()};
  for (std::uint16_t i = 0; i < 50; ++i) {
    core::Finding symptom = sample_symptom();
    symptom.id = 10U + i;
    symptom.service = at("127.0.0.1", static_cast<std::uint16_t>(9000 + i));
    batch.push_back(symptom);
  }
  sink_.findings(batch);
  const std::string text = take();
  std::size_t printed = 0;
  for (std::size_t at = text.find("nobody acknowledges"); at != std::string::npos;
       at = text.find("nobody acknowledges", at + 1))
    printed += 1;
  EXPECT_EQ(printed, 4U);
  sink_.tick(moment(600));
  EXPECT_THAT(take(), HasSubstr("WARNING   and 46 more services of 127.0.0.1: stall-unacked accept-queue-full, "
                                "ports 9004 to 9049\n"));
}

TEST_F(FloodText, JsonHasThemAll) {
  JsonSink json{out_, sample_run()};
  json.findings(blocked_ports(1001, 1400));
  const std::string text = take();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 400);
}

// What a stuck worker of one program is told: eight lines.
core::Finding stuck_worker(std::uint64_t id) {
  core::Finding f = blocked(id, 8080);
  f.slug = "stall-unread";
  f.cause = "process-blocked";
  f.phase = core::Phase::open;
  f.service = at("127.0.0.1", 8080);
  f.culprit = {.kind = core::CulpritKind::local_process,
               .process = core::Process{.pid = static_cast<std::uint32_t>(1000 + id), .comm = "worker"}};
  f.words = {.summary = fmt::format("worker[{}] has not read 300 KiB.", 1000 + id),
             .cause = "it is blocked in futex_wait",
             .effect = "the window is shut",
             .evidence = "window 0",
             .advice = {"find what blocks it"}};
  return f;
}

TEST_F(FloodText, AThousandProcessesOfOneProgramAreOneBlockAndALine) {
  Batch batch;
  for (std::uint64_t i = 1; i <= 1000; ++i) batch.push_back(stuck_worker(i));
  sink_.findings(batch);
  std::string text = take() + until(30s);
  EXPECT_THAT(text, HasSubstr("worker[1001] has not read"));
  EXPECT_THAT(text, Not(HasSubstr("worker[1002]")));
  EXPECT_THAT(text, HasSubstr("CRITICAL  and 999 more processes of worker at 1 service of 127.0.0.1: stall-unread "
                              "process-blocked, port 8080\n"));
  for (core::Finding& f : batch) {
    f.phase = core::Phase::closed;
    f.ended = core::Ended::recovered;
    f.time = moment(31);
  }
  sink_.findings(batch);
  text += take() + until(60s);
  sink_.summary(sample_summary());
  text += take();
  EXPECT_THAT(text, HasSubstr("CLOSED    and 999 more processes of worker"));
  EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 20) << text;
}

TEST_F(FloodText, AnotherProgramAndAnotherCauseHaveABlockOfTheirOwn) {
  Batch batch = {stuck_worker(1), stuck_worker(2), stuck_worker(3), stuck_worker(4)};
  batch[1].culprit.process->comm = "other";
  batch[2].cause = "process-stopped";
  sink_.findings(batch);
  const std::string text = take() + until(15s);
  for (const char* printed : {"worker[1001] has", "worker[1002] has", "worker[1003] has"})
    EXPECT_THAT(text, HasSubstr(printed));
  EXPECT_THAT(text, HasSubstr("and 1 more process of worker (pid 1004) at 1 service of 127.0.0.1: stall-unread "
                              "process-blocked, port 8080\n"));
}

TEST_F(FloodText, FindingsOfFewProcessesNameThem) {
  Batch batch = {stuck_worker(1)};
  for (std::uint64_t i = 0; i < 6; ++i) {
    core::Finding f = stuck_worker(2 + i % 2);
    f.id = 10 + i;
    f.service = at("127.0.0.1", static_cast<std::uint16_t>(9000 + i));
    batch.push_back(f);
  }
  sink_.findings(batch);
  take();
  EXPECT_THAT(until(15s), HasSubstr("and 6 more findings of 2 processes of worker (pids 1002, 1003) at 6 services of "
                                    "127.0.0.1: stall-unread process-blocked, ports 9000 to 9005\n"));
}

TEST_F(FloodText, TheNameOfAProgramIsPrintable) {
  Batch batch = {stuck_worker(1), stuck_worker(2)};
  for (core::Finding& f : batch) f.culprit.process->comm = "x\n\x1b[31m";
  sink_.findings(batch);
  take();
  const std::string text = until(15s);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST_F(FloodText, WhatIsForgottenOfTheOthersIsNotClosed) {
  Batch batch;
  for (const core::Finding& f : blocked_ports(1001, 1008)) batch.push_back(as_condition(f, core::Phase::open));
  sink_.findings(batch);
  until(15s);
  for (core::Finding& f : batch) {
    f.phase = core::Phase::closed;
    f.ended = f.id < 1007 ? core::Ended::forgotten : core::Ended::recovered;
    f.time = moment(15);
  }
  sink_.findings(batch);
  take();
  EXPECT_THAT(until(25s), HasSubstr("UNKNOWN   and 4 more services of 10.0.0.9: connect-stalled dropped-locally, ports "
                                    "1005 to 1008; 2 of them are over; 2 are no longer observed\n"));
}

TEST(Flood, PortsWithGapsAreARangeAndFindingsOfOneServiceAreNoServices) {
  Flood flood{10s};
  for (std::uint16_t i = 1; i <= 8; ++i)
    EXPECT_EQ(flood.takes(blocked(i, static_cast<std::uint16_t>(i < 5 ? i : 100 * (i / 2)))), i > 4) << i;
  const auto lines = flood.due(moment(11));
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(
      lines[0].text,
      "and 4 more findings at 3 services of 10.0.0.9: connect-timeout dropped-locally, ports between 200 and 400");
  EXPECT_TRUE(flood.due(moment(30)).empty());
  EXPECT_EQ(flood.taken(), 4U);
}

TEST(Flood, WhatHasNoServiceIsCounted) {
  Flood flood{10s};
  for (std::uint64_t i = 1; i <= 5; ++i) {
    core::Finding f = blocked(i, 1);
    f.service.reset();
    (void)flood.takes(f);
  }
  EXPECT_EQ(flood.due(moment(10), true).at(0).text, "and 1 more finding: connect-timeout dropped-locally");
}

}  // namespace
}  // namespace tcpwhy::sink
