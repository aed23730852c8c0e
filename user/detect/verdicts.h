// SPDX-License-Identifier: GPL-2.0-only
// Judgments that several detectors share: who is the culprit, what keeps segments from arriving, what a listener does.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "user/core/detector.h"

namespace tcpwhy::detect {

core::Culprit blame(const core::Process& process);
core::Culprit blame(core::CulpritKind kind);
core::Culprit blame_remote(const util::Endpoint& remote);
// The process that answers for a listener: its owner; of several (a master and its workers) the oldest. Unknown where
// nobody is known to hold it.
core::Culprit blame_owner(const std::vector<core::Process>& owners);

// Whether it refused anybody after that time; one that never did, did not.
bool refused_after(const core::Listener& listener, util::BootTime time);
// A listener on this host that refuses, or refused a moment ago, because its accept queue is full.
bool refuses(const core::Listener& listener, util::BootTime now);

// Segments between the two ends that a firewall of this host dropped since the time.
bool firewall_ate(const core::Facts& facts, const abi::Tuple& tuple, util::BootTime since);

// For segments that got lost nobody knows where: the culprit, where the kernel would have told if it had been a firewall of
// this host; else unknown, and evidence firewall_unseen says why.
void blame_silence(core::Verdict& verdict, core::Culprit culprit, const core::Facts& facts);

// The queue's state as evidence: queue, limit, head_waiting_ms, refused, and its owner's state where it was observed.
void add_queue(core::Evidence& evidence, const core::Listener& listener, const core::Facts& facts);

// mib: how much these counters of the namespace (0: of all of the host) have grown in this run, those that have.
void add_counters(core::Evidence& evidence, std::uint32_t netns, std::initializer_list<abi::MibCounter> counters,
                  const core::Facts& facts, std::uint32_t host);
// A firewall that dropped segments of this connection; evidence firewall_host where several hosts were recorded.
void blame_firewall(core::Verdict& verdict, const abi::Tuple& tuple, const core::Facts& facts);
// "this host", or the name of the host whose firewall it was.
std::string firewall_host_words(const core::Finding& finding);

// process_state ("blocked in hrtimer_nanosleep"), open_fds and fd_limit, where the process was observed.
void add_process(core::Evidence& evidence, std::uint32_t pid, const core::Facts& facts);
void add_process(core::Evidence& evidence, const abi::ProcessState& state);

// "accept queue of 0.0.0.0:8080 is full (129 of 128)": queue holds limit + 1.
std::string queue_words(const core::ListenerView& listener);

// "critical service[12]" or "12 processes (nginx[3], ...)".
std::string owners_words(const std::vector<core::Process>& owners);

// "127.0.0.1:8080", or "the peer".
std::string remote_words(const core::Finding& finding);
// Of a finding whose summary tells of its first connection: how many more it is about; empty where there is none.
std::string more_like_this(const core::Finding& finding);

using core::exit_words;
using core::was;
// What to do about a process that ended: who stopped it, what killed it, where it crashed. `serving`: it left
// connections behind that it should have served first.
std::string exit_advice(const core::ProcessExit& exit, const std::string& who, bool serving);

// The wire's state when a wait began: for a reset and a time-out alike.
struct Outstanding {
  std::uint32_t unacked = 0;  // bytes this end sent that were not acknowledged
  std::uint32_t unread = 0;   // bytes this end had not read
  bool reply_owed = false;    // this end sent last and everything arrived: the other end owes it a reply
};
Outstanding outstanding_of(const abi::Socket& socket);

std::string bytes_words(std::uint64_t bytes);  // "5 bytes", "12.3 KiB"
std::string count_words(std::uint64_t n, std::string_view one, std::string_view many);
std::string errno_name(int err);  // "ETIMEDOUT"

}  // namespace tcpwhy::detect
