// SPDX-License-Identifier: GPL-2.0-only
// Findings for the tests of the sinks: a server that does not accept, and the client that suffers from it.
#pragma once

#include <string>

#include "user/core/finding.h"

namespace tcpwhy::sink {

inline util::Endpoint at(const std::string& address, std::uint16_t port) {
  return {*util::parse_address(address), port};
}

// The run began on 2026-03-01 at 12:00:00 UTC, boot time zero.
inline core::RunIdentity sample_run() {
  return {.host = "web1",
          .boot_id = "0123abcd-4567-89ef-0123-456789abcdef",
          .wall = util::WallOffset{.nanoseconds = 1'772'366'400'000'000'000}};
}

inline util::BootTime moment(double seconds) {
  return util::BootTime{std::chrono::duration_cast<util::Duration>(std::chrono::duration<double>{seconds})};
}

inline core::Process lighttpd() { return {.pid = 2112, .comm = "lighttpd"}; }
inline core::Process curl() { return {.pid = 4410, .comm = "curl"}; }

inline core::Finding sample_root() {
  core::Finding f;
  f.id = 1;
  f.story = 1;
  f.time = moment(594.954);
  f.since = moment(591.454);
  f.duration = std::chrono::milliseconds{3'500};
  f.slug = "synack-retransmit-unexpected";
  f.cause = "accept-queue-full";
  f.severity = core::Severity::critical;
  f.confidence = core::Confidence::certain;
  f.culprit = {.kind = core::CulpritKind::local_process, .process = lighttpd()};
  f.connection = core::ConnectionView{.number = 7,
                                      .local = at("127.0.0.1", 8080),
                                      .remote = at("127.0.0.1", 49186),
                                      .netns = 4026531840,
                                      .role = core::ConnectionRole::server,
                                      .state = "NEW_SYN_RECV"};
  f.owner = lighttpd();
  f.peer = core::PeerView{.connection = {.number = 8,
                                         .local = at("127.0.0.1", 49186),
                                         .remote = at("127.0.0.1", 8080),
                                         .role = core::ConnectionRole::client,
                                         .state = "ESTABLISHED"},
                          .owner = curl()};
  f.listener = core::ListenerView{.endpoint = at("0.0.0.0", 8080), .queue = 129, .limit = 128, .owners = {lighttpd()}};
  f.service = at("127.0.0.1", 8080);
  f.evidence.set("synack_retransmits", 2);
  f.evidence.set("client_acked", true);
  f.words = {.summary =
                 "lighttpd[2112] sent its SYN-ACK again 3.5 s after curl[4410] completed the handshake and sent "
                 "5 bytes.",
             .cause =
                 "accept queue of 0.0.0.0:8080 is full (129 of 128): lighttpd[2112] has accepted nothing for 3.6 s "
                 "or more",
             .effect = "curl[4410] believes it is connected; its 5 bytes are unacknowledged, retransmitted 4 times",
             .evidence = "SYN-ACK retransmits 2, client ACK seen and dropped by the listener",
             .advice = {"find what blocks lighttpd's accept loop"}};
  return f;
}

inline core::Finding sample_symptom() {
  core::Finding f;
  f.id = 2;
  f.story = 1;
  f.role = core::StoryRole::symptom;
  f.time = moment(594.954);
  f.since = moment(591.954);
  f.duration = std::chrono::seconds{3};
  f.slug = "stall-unacked";
  f.cause = "accept-queue-full";
  f.severity = core::Severity::warning;
  f.culprit = {.kind = core::CulpritKind::local_process, .process = lighttpd()};
  f.connection = core::ConnectionView{.number = 8,
                                      .local = at("127.0.0.1", 49186),
                                      .remote = at("127.0.0.1", 8080),
                                      .role = core::ConnectionRole::client,
                                      .state = "ESTABLISHED"};
  f.owner = curl();
  f.words.summary = "curl[4410] has sent 5 bytes that nobody acknowledges.";
  f.words.evidence = "back-off 2";
  return f;
}

inline core::Summary sample_summary() {
  return {.started = moment(590),
          .ended = moment(602.5),
          .events = {{"state", 1'200}, {"retransmit", 34}},
          .connections = 40,
          .findings = {{"stall-unacked", 3}, {"synack-retransmit-unexpected", 1}},
          .worst = core::Severity::critical};
}

}  // namespace tcpwhy::sink
