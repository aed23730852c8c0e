// SPDX-License-Identifier: GPL-2.0-only
#include "user/sink/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "tests/unit/sink/samples.h"

namespace tcpwhy::sink {
namespace {

using namespace std::chrono_literals;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

class Text : public testing::Test {
 protected:
  void SetUp() override {
    setenv("TZ", "UTC", 1);
    tzset();
  }

  // What the sink has written since the last call.
  std::string take() {
    std::string text = out_.str();
    out_.str("");
    return text;
  }

  std::ostringstream out_;
  TextSink sink_{out_, sample_run(), {}};
};

constexpr const char* kRootBlock =
    R"(12:09:54.954  CRITICAL  synack-retransmit-unexpected   127.0.0.1:8080 <- 127.0.0.1:49186
    lighttpd[2112] sent its SYN-ACK again 3.5 s after curl[4410] completed the handshake and sent 5 bytes.
  cause     accept queue of 0.0.0.0:8080 is full (129 of 128): lighttpd[2112] has accepted nothing for 3.6 s or more
  effect    curl[4410] believes it is connected; its 5 bytes are unacknowledged, retransmitted 4 times
  evidence  SYN-ACK retransmits 2, client ACK seen and dropped by the listener
  next      find what blocks lighttpd's accept loop
)";

core::Finding closed(core::Finding finding) {
  finding.phase = core::Phase::closed;
  finding.ended = core::Ended::recovered;
  finding.time = moment(596.654);
  finding.duration = 5'200ms;
  return finding;
}

core::Finding updated(core::Finding finding, std::uint64_t count) {
  finding.phase = core::Phase::update;
  finding.time = moment(603.454);
  finding.count = count;
  finding.count_total = count;
  finding.duration = 12s;
  return finding;
}

TEST_F(Text, ANewFindingIsABlock) {
  sink_.findings({sample_root()});
  EXPECT_EQ(take(), kRootBlock);
}

TEST_F(Text, SymptomsStandBelowTheirRoot) {
  sink_.findings({sample_root(), sample_symptom()});
  EXPECT_EQ(take(), std::string{kRootBlock} +
                        R"(  symptom   WARNING   stall-unacked   127.0.0.1:49186 -> 127.0.0.1:8080
            curl[4410] has sent 5 bytes that nobody acknowledges.
)");
}

TEST_F(Text, ASymptomThatComesLaterNamesItsRoot) {
  sink_.findings({sample_root()});
  take();
  core::Finding symptom = sample_symptom();
  symptom.time = moment(595.5);
  sink_.findings({symptom});
  EXPECT_EQ(take(), R"(
12:09:55.500  WARNING   stall-unacked   127.0.0.1:49186 -> 127.0.0.1:8080
    curl[4410] has sent 5 bytes that nobody acknowledges.
  symptom   of synack-retransmit-unexpected at 12:09:54.954
)");
}

TEST_F(Text, ASymptomBelowARootThatOnlyMovesOnIsStillTold) {
  sink_.findings({sample_root()});
  take();
  sink_.findings({updated(sample_root(), 37), sample_symptom()});
  EXPECT_THAT(take(), HasSubstr("curl[4410] has sent 5 bytes"));
}

TEST_F(Text, ASymptomWithoutAShownRootIsWhole) {
  core::Finding root = sample_root();
  root.severity = core::Severity::info;
  sink_.findings({root, sample_symptom()});
  const std::string text = take();
  EXPECT_THAT(text, HasSubstr("WARNING   stall-unacked"));
  EXPECT_THAT(text, HasSubstr("  evidence  back-off 2 (likely)\n"));
  EXPECT_THAT(text, Not(HasSubstr("synack")));
}

TEST_F(Text, AnUpdateIsOneLine) {
  sink_.findings({sample_root()});
  take();
  core::Finding update = updated(sample_root(), 37);
  update.count_total = 60;
  sink_.findings({update});
  EXPECT_EQ(take(),
            "12:10:03.454  CRITICAL  synack-retransmit-unexpected   127.0.0.1:8080 <- 127.0.0.1:49186   "
            "update: 37 connections (60 in all), 12 s\n");
}

TEST_F(Text, ARiseInSeverityIsSaid) {
  sink_.findings({sample_symptom()});
  take();
  core::Finding update = updated(sample_symptom(), 1);
  update.severity = core::Severity::critical;
  sink_.findings({update});
  EXPECT_EQ(take(),
            "12:10:03.454  CRITICAL  stall-unacked   127.0.0.1:49186 -> 127.0.0.1:8080   "
            "update: critical (was warning), 1 connection, 12 s\n"
            "    curl[4410] has sent 5 bytes that nobody acknowledges.\n");
}

TEST_F(Text, AnEndIsOneLine) {
  sink_.findings({sample_root()});
  take();
  sink_.findings({closed(sample_root())});
  EXPECT_EQ(take(),
            "12:09:56.654  CLOSED    synack-retransmit-unexpected   127.0.0.1:8080 <- 127.0.0.1:49186   "
            "recovered after 5.2 s\n");
}

// Of many connections another is the oldest by then.
TEST_F(Text, AnEndHasTheNameOfItsBegin) {
  sink_.findings({sample_root()});
  take();
  core::Finding end = closed(sample_root());
  end.connection->remote.port = 49999;
  sink_.findings({end});
  EXPECT_THAT(take(), HasSubstr("127.0.0.1:8080 <- 127.0.0.1:49186   recovered"));
}

TEST_F(Text, WhatIsOpenAtTheEndIsNotCalledClosed) {
  core::Finding end = closed(sample_root());
  end.ended = core::Ended::trace_end;
  sink_.findings({sample_root()});
  take();
  sink_.findings({end});
  EXPECT_EQ(take(),
            "12:09:56.654  OPEN      synack-retransmit-unexpected   127.0.0.1:8080 <- 127.0.0.1:49186   "
            "still open at the end of the trace, after 5.2 s\n");
  end.id = 9;  // met only now
  sink_.findings({end});
  EXPECT_THAT(take(), EndsWith("  open      still open at the end of the trace, after 5.2 s\n"));
}

// Whether it still holds is unknown: neither CLOSED nor OPEN.
TEST_F(Text, WhatWasForgottenIsNotCalledClosed) {
  core::Finding end = closed(sample_root());
  end.ended = core::Ended::forgotten;
  end.count_total = 3;
  sink_.findings({sample_root()});
  take();
  sink_.findings({end});
  EXPECT_EQ(take(),
            "12:09:56.654  UNKNOWN   synack-retransmit-unexpected   127.0.0.1:8080 <- 127.0.0.1:49186   "
            "no longer observed after 5.2 s: tcpwhy's table had no room; whether it still holds is unknown "
            "(3 connections)\n");
  end.id = 9;  // met only now
  sink_.findings({end});
  EXPECT_THAT(take(), HasSubstr("  unknown   no longer observed after 5.2 s: tcpwhy's table had no room"));
}

TEST_F(Text, AnEndWithItsProcessSaysHowThatEnded) {
  core::Finding end = closed(sample_symptom());
  end.ended = core::Ended::process_exit;
  const auto line_of = [&](const std::optional<core::ProcessExit>& exit) {
    end.owner->exit = exit;
    sink_.findings({sample_symptom()});
    take();
    sink_.findings({end});
    return take();
  };
  EXPECT_THAT(line_of(std::nullopt), EndsWith("   its process exited after 5.2 s\n"));
  EXPECT_THAT(line_of(core::ProcessExit{.signal = 9}), EndsWith("   curl[4410] was killed by SIGKILL after 5.2 s\n"));
  EXPECT_THAT(line_of(core::ProcessExit{.code = 28}), EndsWith("   curl[4410] exited with status 28 after 5.2 s\n"));
}

TEST_F(Text, AnotherNamespaceIsNamed) {
  core::RunIdentity run = sample_run();
  run.netns = sample_root().connection->netns;
  TextSink same{out_, run, {}};
  same.findings({sample_root()});
  EXPECT_EQ(take(), kRootBlock);

  run.netns = 4026531833;
  TextSink other{out_, run, {}};
  core::Finding root = sample_root();
  root.count = 3;
  other.findings({root});
  EXPECT_THAT(take(), HasSubstr("synack-retransmit-unexpected   127.0.0.1:8080 <- 127.0.0.1:49186 (oldest of 3)   "
                                "netns 4026531840\n"));
  core::Finding here = sample_symptom();  // its root's namespace need not be said again
  core::Finding elsewhere = here;
  root.id = here.story = elsewhere.story = 3;
  here.id = 4;
  here.connection->netns = 4026531840;
  elsewhere.id = 5;
  elsewhere.connection->netns = 4026531841;
  other.findings({root, here, elsewhere});
  const std::string text = take();
  EXPECT_THAT(text, HasSubstr("symptom   WARNING   stall-unacked   127.0.0.1:49186 -> 127.0.0.1:8080\n"));
  EXPECT_THAT(text, HasSubstr("stall-unacked   127.0.0.1:49186 -> 127.0.0.1:8080   netns 4026531841\n"));
  root.connection.reset();
  root.listener->netns = 4026531840;
  root.id = 6;
  other.findings({root});
  EXPECT_THAT(take(), HasSubstr("synack-retransmit-unexpected   listener 0.0.0.0:8080   netns 4026531840\n"));
}

TEST_F(Text, AnEndIsToldEvenWhereItsSeverityIsBelowTheMinimum) {
  sink_.findings({sample_root()});
  take();
  core::Finding end = closed(sample_root());
  end.severity = core::Severity::info;
  sink_.findings({end});
  EXPECT_THAT(take(), HasSubstr("CLOSED"));
}

TEST_F(Text, InfoIsNotShownUnlessItRises) {
  core::Finding quiet = sample_symptom();
  quiet.severity = core::Severity::info;
  sink_.findings({quiet, closed(quiet)});
  EXPECT_EQ(take(), "");

  core::Finding risen = updated(quiet, 2);
  risen.severity = core::Severity::warning;
  sink_.findings({quiet, risen});
  EXPECT_EQ(take(), R"(12:10:03.454  WARNING   stall-unacked   127.0.0.1:49186 -> 127.0.0.1:8080 (oldest of 2)
    curl[4410] has sent 5 bytes that nobody acknowledges.
  evidence  back-off 2 (likely)
)");
}

TEST_F(Text, SeverityInfoShowsAll) {
  TextSink all{out_, sample_run(), {.minimum = core::Severity::info}};
  core::Finding quiet = sample_symptom();
  quiet.severity = core::Severity::info;
  all.findings({quiet});
  EXPECT_THAT(take(), HasSubstr("INFO      stall-unacked"));
}

TEST_F(Text, AFindingOfAListenerNamesIt) {
  core::Finding finding = sample_root();
  finding.connection.reset();
  sink_.findings({finding});
  EXPECT_THAT(take(), HasSubstr("synack-retransmit-unexpected   listener 0.0.0.0:8080\n"));
  finding.phase = core::Phase::update;
  sink_.findings({finding});
  EXPECT_THAT(take(), EndsWith("listener 0.0.0.0:8080   update: 3.5 s\n"));
}

TEST_F(Text, LongSentencesWrapWithAHangingIndent) {
  TextSink narrow{out_, sample_run(), {.columns = 60}};
  narrow.findings({sample_root()});
  const std::string text = take();
  EXPECT_THAT(text, HasSubstr("  cause     accept queue of 0.0.0.0:8080 is full (129 of\n"
                              "            128): lighttpd[2112] has accepted nothing for\n"
                              "            3.6 s or more\n"));
  std::istringstream lines{text};
  std::string line;
  std::getline(lines, line);  // the header is not broken: an address cut in two helps nobody
  while (std::getline(lines, line)) {
    EXPECT_LE(line.size(), 60U) << line;
  }
}

TEST_F(Text, AProcessNameCannotDriveTheTerminal) {
  core::Finding finding = sample_root();
  finding.words.summary = "\x1b]0;owned\x07[2112] does not accept\n12:00:00 CLOSED all is well";
  finding.words.advice = {"look at \r\t\x7f\xff"};
  sink_.findings({finding});
  core::EventView event;
  event.kind = "sta\x1bte";
  event.line = "co\x1b[2Jmm\n";
  sink_.event(event);
  for (const char c : take()) {
    EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 || c == '\n');
    EXPECT_NE(c, '\x7f');
  }
}

TEST_F(Text, EventsAreOneLineEach) {
  core::EventView event;
  event.time = moment(594.954);
  event.kind = "retransmit";
  event.line = "curl[4410] 127.0.0.1:49186 -> 127.0.0.1:8080 5 bytes";
  sink_.event(event);
  EXPECT_EQ(take(), "12:09:54.954  retransmit          curl[4410] 127.0.0.1:49186 -> 127.0.0.1:8080 5 bytes\n");
}

TEST_F(Text, SumsUp) {
  sink_.findings({sample_root()});
  take();
  sink_.summary(sample_summary());
  EXPECT_EQ(take(), R"(
Watched web1 for 12 s, 12:09:50 to 12:10:02: 40 connection ends, 1,234 events, none lost.
Findings: 3 stall-unacked, 1 synack-retransmit-unexpected. The worst is critical.
3 findings below warning not shown: --severity info shows them.
)");
}

TEST_F(Text, AQuietRunSaysSoOnlyWhereNothingWasLost) {
  core::Summary quiet = sample_summary();
  quiet.findings.clear();
  quiet.worst.reset();
  sink_.summary(quiet);
  EXPECT_THAT(take(), EndsWith("No finding: nothing of what this version looks for went wrong.\n"));
  quiet.events_lost = 12;
  quiet.connections_evicted = 1;
  quiet.losses = {{abi::LossWay::ring, 12}};
  sink_.summary(quiet);
  EXPECT_THAT(take(), EndsWith("1,234 events, 12 lost.\n"
                               "No finding, but events were lost: something may have been missed.\n"
                               "12 events were lost: the ring buffer was full; findings may be missing or incomplete.\n"
                               "Forgot 1 connection to stay within --max-connections.\n"));
}

TEST_F(Text, EachWayToLoseIsALine) {
  core::Summary quiet = sample_summary();
  quiet.findings.clear();
  quiet.losses = {{abi::LossWay::queue, 40}};
  sink_.summary(quiet);
  EXPECT_THAT(take(), EndsWith("No finding: nothing of what this version looks for went wrong.\n"
                               "40 connections in accept queues were not reported: a sweep reports a bounded number "
                               "for each listener; the listeners themselves are reported.\n"));
  quiet.losses = {{abi::LossWay::unswept, 1'200}, {abi::LossWay::want, 1}};
  quiet.evictions = {{"connections", 1'234}, {"destinations", 5}, {"refused", 0}};
  quiet.behind = 350ms;
  sink_.summary(quiet);
  EXPECT_THAT(
      take(),
      EndsWith(
          "1,234 events, none lost.\n"
          "No finding, but not everything was observed: something may have been missed.\n"
          "1,200 sockets in trouble were not swept: the table of tracked sockets is full; their stalls are not "
          "reported.\n"
          "1 question about a process or a socket was not answered in time: the walks over processes were late; "
          "owners and causes may be unknown.\n"
          "Evicted from full tables: 1,234 of connections, 5 of destinations; what these entries held is unknown.\n"
          "Verdicts were up to 350 ms late: more cases were due than are judged in one tick.\n"));
}

// A process names itself: its end is a line with that name.
TEST_F(Text, TheEndOfAProcessWithAHostileNameIsPrintable) {
  core::Finding end = closed(sample_symptom());
  end.ended = core::Ended::process_exit;
  end.owner->comm = "x\n12:00:00.000  CRITICAL  \x1b[31m";
  end.owner->exit = core::ProcessExit{.signal = 9};
  sink_.findings({sample_symptom()});
  take();
  sink_.findings({end});
  const std::string text = take();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST_F(Text, ColourMarksSeverityAndLabels) {
  TextSink coloured{out_, sample_run(), {.colour = true}};
  coloured.findings({sample_root()});
  const std::string text = take();
  EXPECT_THAT(text, HasSubstr("\x1b[1;31mCRITICAL\x1b[0m  synack"));
  EXPECT_THAT(text, HasSubstr("\x1b[2m  cause     \x1b[0maccept queue"));
}

TEST(StyleFor, IsPlainWhereThereIsNoTerminal) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const TextStyle style = style_for(ends[1], core::Severity::critical);
  EXPECT_FALSE(style.colour);
  EXPECT_EQ(style.columns, 120U);
  EXPECT_EQ(style.minimum, core::Severity::critical);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace tcpwhy::sink
