// SPDX-License-Identifier: GPL-2.0-only
#include "user/sink/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/unit/sink/samples.h"
#include "user/core/host.h"

namespace tcpwhy::sink {
namespace {

using Json = nlohmann::json;

class JsonLines : public testing::Test {
 protected:
  Json line_of(const core::Finding& finding) {
    sink_.findings({finding});
    return take();
  }

  // The one line written since the last call.
  Json take() {
    const std::string text = out_.str();
    out_.str("");
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
    EXPECT_TRUE(text.ends_with('\n'));
    return Json::parse(text);
  }

  std::ostringstream out_;
  JsonSink sink_{out_, sample_run()};
};

TEST(JsonOfSeveralHosts, EachEndHasItsHostAndNoNumbersOfIt) {
  core::RunIdentity run = sample_run();
  run.others = {{.host = "web2", .boot_id = "fedc9876-0000", .ahead = std::chrono::milliseconds{1250}, .pairs = 12}};
  std::ostringstream out;
  JsonSink sink{out, run};
  core::Finding f = sample_root();
  f.host = 1;
  f.connection->host = 1;
  f.connection->netns = core::tag_netns(f.connection->netns, 1);
  f.culprit.process->pid = core::tag_pid(f.culprit.process->pid, 1);
  f.culprit.process->host = "web2";
  sink.findings({f});
  const Json line = Json::parse(out.str());
  EXPECT_EQ(line["host"], "web2");
  EXPECT_EQ(line["culprit"], (Json{{"kind", "local-process"}, {"host", "web2"}, {"pid", 2112}, {"comm", "lighttpd"}}));
  EXPECT_EQ(line["connection"]["host"], "web2");
  EXPECT_EQ(line["connection"]["id"], "fedc9876-7");
  EXPECT_EQ(line["connection"]["netns"], 4026531840);
  EXPECT_EQ(line["peer"]["connection"]["host"], "web1");
  EXPECT_EQ(line["peer"]["connection"]["id"], "0123abcd-8");
  out.str("");
  sink.summary({});
  const Json summary = Json::parse(out.str());
  EXPECT_EQ(summary["other_hosts"][0]["host"], "web2");
  EXPECT_EQ(summary["other_hosts"][0]["clock_ahead_ms"], 1250.0);
}

TEST_F(JsonLines, AFindingHasEveryFieldOfTheContract) {
  EXPECT_EQ(line_of(sample_root()), Json::parse(R"({
    "schema": "tcpwhy.finding/1", "id": "f-1", "host": "web1", "time": "2026-03-01T12:09:54.954000Z",
    "finding": "synack-retransmit-unexpected", "cause": "accept-queue-full", "severity": "critical", "phase": "open",
    "since": "2026-03-01T12:09:51.454000Z", "duration_ms": 3500,
    "culprit": {"kind": "local-process", "host": "web1", "pid": 2112, "comm": "lighttpd"},
    "connection": {"id": "0123abcd-7", "host": "web1", "family": "ipv4", "netns": 4026531840, "role": "server",
                   "state": "NEW_SYN_RECV", "local": {"addr": "127.0.0.1", "port": 8080},
                   "remote": {"addr": "127.0.0.1", "port": 49186}},
    "owner": {"pid": 2112, "comm": "lighttpd", "host": "web1"},
    "peer": {"connection": {"id": "0123abcd-8", "host": "web1", "family": "ipv4", "role": "client",
                            "state": "ESTABLISHED", "local": {"addr": "127.0.0.1", "port": 49186},
                            "remote": {"addr": "127.0.0.1", "port": 8080}},
             "owner": {"pid": 4410, "comm": "curl", "host": "web1"}},
    "listener": {"addr": "0.0.0.0", "port": 8080, "queue": 129, "limit": 128,
                 "owners": [{"pid": 2112, "comm": "lighttpd", "host": "web1"}]},
    "service": {"addr": "127.0.0.1", "port": 8080},
    "count": 1, "count_total": 1, "examples": [], "confidence": "certain", "story": "f-1", "role": "root",
    "evidence": {"synack_retransmits": 2, "client_acked": true},
    "summary":
      "lighttpd[2112] sent its SYN-ACK again 3.5 s after curl[4410] completed the handshake and sent 5 bytes.",
    "advice": ["find what blocks lighttpd's accept loop"]})"));
}

TEST_F(JsonLines, WhatIsNotKnownIsLeftOutOrNull) {
  core::Finding finding;
  finding.slug = "memory-pressure";
  finding.cause = "unknown";
  const Json line = line_of(finding);
  for (const char* absent : {"connection", "listener", "service", "ended", "direction"}) {
    EXPECT_FALSE(line.contains(absent)) << absent;
  }
  EXPECT_TRUE(line["owner"].is_null());
  EXPECT_TRUE(line["peer"].is_null());
  EXPECT_TRUE(line["evidence"].is_object());
  EXPECT_TRUE(line["advice"].is_array());
}

TEST_F(JsonLines, AnUnknownProcessIsNoProcess) {
  core::Finding finding = sample_root();
  finding.owner = core::Process{};
  finding.culprit.process = core::Process{};
  finding.listener->owners = {core::Process{}};
  const Json line = line_of(finding);
  EXPECT_TRUE(line["owner"].is_null());
  EXPECT_FALSE(line["culprit"].contains("pid"));
  EXPECT_TRUE(line["listener"]["owners"].empty());
}

TEST_F(JsonLines, AProcessTellsAllThatWasSeen) {
  core::Finding finding = sample_root();
  finding.owner->start = moment(1);
  finding.owner->cgroup = "/system.slice/lighttpd.service";
  finding.owner->container = "web";
  finding.owner->state = "stopped";
  finding.owner->exit = core::ProcessExit{.signal = 9};
  finding.culprit.process->exit = core::ProcessExit{.code = 3};
  const Json line = line_of(finding);
  EXPECT_EQ(line["owner"], Json::parse(R"({"pid": 2112, "comm": "lighttpd", "host": "web1",
    "start_time": "2026-03-01T12:00:01.000000Z", "cgroup": "/system.slice/lighttpd.service", "container": "web",
    "state": "stopped", "exit": {"signal": 9}})"));
  EXPECT_EQ(line["culprit"]["exit"], Json::parse(R"({"code": 3})"));
}

TEST_F(JsonLines, AnEndedReset) {
  core::Finding finding = sample_root();
  finding.phase = core::Phase::closed;
  finding.ended = core::Ended::process_exit;
  finding.direction = core::Direction::received;
  finding.culprit = {.kind = core::CulpritKind::remote_host, .remote = at("2001:db8::1", 443)};
  const Json line = line_of(finding);
  EXPECT_EQ(line["ended"], "process-exit");
  EXPECT_EQ(line["direction"], "received");
  EXPECT_EQ(line["culprit"], Json::parse(R"({"kind": "remote-host", "host": "web1",
                                             "remote": {"addr": "2001:db8::1", "port": 443}})"));
}

TEST_F(JsonLines, FamilyIsThatOfTheAddresses) {
  core::Finding finding = sample_root();
  finding.connection->local = at("2001:db8::1", 1);
  finding.connection->remote = at("2001:db8::2", 2);
  EXPECT_EQ(line_of(finding)["connection"]["family"], "ipv6");
  finding.connection->local = at("::", 1);  // a connect without an address of its own yet
  finding.connection->remote = at("10.0.0.1", 2);
  EXPECT_EQ(line_of(finding)["connection"]["family"], "ipv4");
}

TEST_F(JsonLines, EvidenceListsAreObjects) {
  core::Finding finding = sample_root();
  finding.evidence = {};
  finding.evidence.set("mib", core::EvidenceValue{std::vector<std::pair<std::string, std::int64_t>>{
                                  {"ListenOverflows", 37}, {"ListenDrops", 40}}});
  finding.evidence.set("gives_up_at", "2026-03-01T12:25:00.000000Z");
  finding.evidence.set("holders", core::EvidenceValue{std::vector<std::pair<std::string, std::int64_t>>{}});
  EXPECT_EQ(line_of(finding)["evidence"], Json::parse(R"({"mib": {"ListenOverflows": 37, "ListenDrops": 40},
                                                          "gives_up_at": "2026-03-01T12:25:00.000000Z",
                                                          "holders": {}})"));
}

TEST_F(JsonLines, AnythingMayBeInAName) {
  core::Finding finding = sample_root();
  finding.owner->comm = "a\"b\\\x1b[2J\n\xff\xc3\x7f";
  sink_.findings({finding});
  const std::string text = out_.str();
  EXPECT_TRUE(std::all_of(text.begin(), text.end() - 1, [](char c) { return c >= 0x20 && c < 0x7f; }));
  EXPECT_EQ(Json::parse(text)["owner"]["comm"], "a\"b\\\x1b[2J\n\xef\xbf\xbd\xef\xbf\xbd\x7f");
}

TEST_F(JsonLines, ShowsEverySeverityUnlessAsked) {
  core::Finding quiet = sample_symptom();
  quiet.severity = core::Severity::info;
  EXPECT_EQ(line_of(quiet)["severity"], "info");

  JsonSink critical{out_, sample_run(), core::Severity::critical};
  critical.findings({sample_symptom()});
  EXPECT_EQ(out_.str(), "");
  critical.findings({sample_root()});
  EXPECT_EQ(take()["id"], "f-1");
}

TEST_F(JsonLines, Events) {
  core::EventView event;
  event.time = moment(1);
  event.kind = "limited";
  event.line = "5 events";
  sink_.event(event);
  EXPECT_EQ(take(), Json::parse(R"({"schema": "tcpwhy.event/1", "host": "web1", "time": "2026-03-01T12:00:01.000000Z",
                                    "event": "limited", "values": {}, "line": "5 events"})"));
  event.connection.emplace();
  event.connection->local = {*util::parse_address("10.0.0.1"), 50000};
  event.connection->remote = {*util::parse_address("10.0.0.9"), 80};
  event.connection->netns = 7;
  event.id = 99;
  event.from = "SYN_SENT";
  event.to = "ESTABLISHED";
  event.owner = core::Process{.pid = 4410, .comm = "curl"};
  event.values.set("rto_ms", 208);
  sink_.event(event);
  EXPECT_EQ(take(), Json::parse(R"({"schema": "tcpwhy.event/1", "host": "web1", "time": "2026-03-01T12:00:01.000000Z",
    "event": "limited", "local": {"addr": "10.0.0.1", "port": 50000}, "remote": {"addr": "10.0.0.9", "port": 80},
    "netns": 7, "id": 99, "from": "SYN_SENT", "to": "ESTABLISHED",
    "owner": {"pid": 4410, "comm": "curl", "host": "web1"}, "values": {"rto_ms": 208}, "line": "5 events"})"));
}

TEST_F(JsonLines, Summary) {
  core::Summary summary = sample_summary();
  summary.events_lost = 3;
  sink_.summary(summary);
  EXPECT_EQ(take(), Json::parse(R"({"schema": "tcpwhy.summary/1", "host": "web1",
    "started": "2026-03-01T12:09:50.000000Z", "ended": "2026-03-01T12:10:02.500000Z",
    "events": {"state": 1200, "retransmit": 34}, "events_lost": 3, "recorder_lost": 0, "connections": 40,
    "connections_evicted": 0, "findings": {"stall-unacked": 3, "synack-retransmit-unexpected": 1},
    "worst": "critical"})"));
}

TEST_F(JsonLines, ASummaryHasOnlyTheLossesThatOccurred) {
  core::Summary summary = sample_summary();
  sink_.summary(summary);
  const Json quiet = take();
  for (const char* key : {"losses", "evictions", "behind_ms"}) EXPECT_FALSE(quiet.contains(key)) << key;
  summary.losses = {{abi::LossWay::recursion, 3}, {abi::LossWay::unswept, 12}};
  summary.evictions = {{"connections", 7}, {"refused", 0}};
  summary.behind = std::chrono::milliseconds{350};
  sink_.summary(summary);
  const Json line = take();
  EXPECT_EQ(line.at("losses"), (Json{{"recursion", 3}, {"not_swept", 12}}));
  EXPECT_EQ(line.at("evictions"), (Json{{"connections", 7}}));
  EXPECT_EQ(line.at("behind_ms"), 350);
}

TEST_F(JsonLines, WhatWasForgottenIsNotCalledRecovered) {
  core::Finding finding = sample_root();
  finding.phase = core::Phase::closed;
  finding.ended = core::Ended::forgotten;
  sink_.findings({finding});
  EXPECT_EQ(take().at("ended"), "forgotten");
}

TEST_F(JsonLines, AnEmptySummaryHasEmptyObjects) {
  sink_.summary({});
  const Json line = take();
  EXPECT_TRUE(line["events"].is_object());
  EXPECT_TRUE(line["findings"].is_object());
  EXPECT_EQ(line["worst"], "none");
}

}  // namespace
}  // namespace tcpwhy::sink
