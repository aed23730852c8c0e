// SPDX-License-Identifier: GPL-2.0-only
// A model for the tests of views and layouts.
#pragma once

#include <string>

#include "user/top/layout.h"

namespace tcpwhy::top {

inline util::Endpoint at(const std::string& address, std::uint16_t port) {
  return {*util::parse_address(address), port};
}
inline util::BootTime moment(double seconds) {
  return util::BootTime{std::chrono::duration_cast<util::Duration>(std::chrono::duration<double>{seconds})};
}
inline core::Process process(std::uint32_t pid, const std::string& comm) {
  core::Process p;
  p.pid = pid;
  p.comm = comm;
  return p;
}

inline FindingRow finding(std::uint64_t id, core::Severity severity, double since,
                          FindingRow::State state = FindingRow::State::open) {
  FindingRow row;
  row.finding.id = row.finding.story = id;
  row.finding.slug = "accept-queue-overflow";
  row.finding.cause = "not-accepting";
  row.finding.severity = severity;
  row.finding.since = moment(since);
  row.finding.time = moment(since);
  row.finding.culprit = {.kind = core::CulpritKind::local_process, .process = process(22189, "queue-server")};
  row.finding.service = at("127.0.0.1", 38367);
  row.finding.words = {.summary = "queue-server[22189] has accepted nothing.",
                       .cause = "the accept queue is full",
                       .effect = "clients wait",
                       .evidence = "queue 5 over limit 4",
                       .advice = {"find what blocks it", "a longer backlog only hides it"}};
  row.state = state;
  row.duration = moment(600) - moment(since);
  return row;
}

inline ConnectionRow connection(std::uint32_t number, std::uint32_t unread) {
  ConnectionRow row;
  row.number = number;
  row.tuple = {at("127.0.0.1", 38367), at("127.0.0.1", static_cast<std::uint16_t>(40000 + number)), 0};
  row.owner = process(22189, "queue-server");
  row.what = "stall-unread";
  row.since = moment(500);
  row.state = abi::TcpState::established;
  row.unread = unread;
  row.unread_order = unread;
  return row;
}

inline ProcessRow process_row(std::uint32_t pid, const std::string& comm, std::uint32_t established) {
  ProcessRow row;
  row.use = {.pid = pid, .start = {}, .comm = comm, .established = established};
  row.connections_order = established;
  return row;
}

inline Model sample() {
  Model model;
  model.header.host = "web-1";
  model.header.now = moment(600);
  model.header.watched = std::chrono::minutes{5};
  model.header.connections = 20012;
  model.header.processes = 14;
  model.header.counted = moment(599.5);
  model.header.listeners = 1;
  model.header.open_critical = 1;
  model.findings = {finding(1, core::Severity::warning, 590), finding(2, core::Severity::critical, 595),
                    finding(3, core::Severity::info, 580),
                    finding(4, core::Severity::critical, 570, FindingRow::State::ended)};
  model.connections = {connection(7, 1000), connection(8, 573440)};
  ListenerRow listener;
  listener.id = 99;
  listener.endpoint = at("127.0.0.1", 38367);
  listener.owner = process(22189, "queue-server");
  listener.queue = 5;
  listener.limit = 4;
  listener.severity = core::Severity::critical;
  listener.finding = 2;
  model.listeners = {listener};
  model.processes = {process_row(10, "nginx", 12), process_row(11, "postgres", 9000)};
  model.all_processes = true;
  return model;
}

inline std::string text_of(const Frame& frame) {
  std::string text;
  for (const Line& line : frame) text += line.text() + "\n";
  return text;
}

}  // namespace tcpwhy::top
