// SPDX-License-Identifier: GPL-2.0-only
#include "user/detect/verdicts.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstring>

namespace tcpwhy::detect {

using namespace std::chrono_literals;

namespace {
// A refusal so recent that the next SYN or ACK most likely meets the same full queue.
constexpr auto kRecently = 3s;
// A drop that explains a silence is no older than its longest back-off.
constexpr auto kDropsMatter = 120s;

// What /proc calls R, S, D ..., in the contract's words.
std::string state_words(char state) {
  if (state == 'R') return "running";
  if (state == 'S' || state == 'D' || state == 'I') return "blocked";
  if (state == 'T' || state == 't') return "stopped";
  if (state == 'Z' || state == 'X') return "zombie";
  return "unknown";
}

}  // namespace

core::Culprit blame(const core::Process& process) { return {core::CulpritKind::local_process, process, std::nullopt}; }
core::Culprit blame(core::CulpritKind kind) { return {kind, std::nullopt, std::nullopt}; }
core::Culprit blame_remote(const util::Endpoint& remote) {
  return {core::CulpritKind::remote_host, std::nullopt, remote};
}

core::Culprit blame_owner(const std::vector<core::Process>& owners) {
  if (owners.empty()) return blame(core::CulpritKind::unknown);
  const auto oldest = std::min_element(owners.begin(), owners.end(), [](const auto& a, const auto& b) {
    return a.start != b.start ? a.start < b.start : a.pid < b.pid;
  });
  return blame(*oldest);
}

bool refused_after(const core::Listener& listener, util::BootTime time) {
  return listener.last_refusal != util::BootTime{} && listener.last_refusal > time;
}

bool refuses(const core::Listener& listener, util::BootTime now) {
  if (refused_after(listener, now - kRecently)) return true;
  return !listener.ended && listener.over_limit() && now - listener.observed < kRecently;
}

bool firewall_ate(const core::Facts& facts, const abi::Tuple& tuple, util::BootTime since) {
  const core::FirewallDrops* drops = facts.firewall_drops(tuple);
  return drops && drops->last >= since;
}

void blame_firewall(core::Verdict& v, const abi::Tuple& tuple, const core::Facts& facts) {
  v.culprit = blame(core::CulpritKind::local_firewall);
  const core::FirewallDrops* drops = facts.firewall_drops(tuple);
  if (!drops || !facts.several_hosts()) return;
  v.culprit.host = drops->host;
  v.evidence.set("firewall_host", core::EvidenceValue{facts.host_name(drops->host)});
}

std::string firewall_host_words(const core::Finding& f) {
  return f.evidence.has("firewall_host") ? f.evidence.text("firewall_host") : "this host";
}

void blame_silence(core::Verdict& v, core::Culprit culprit, const core::Facts& facts) {
  const bool seen = facts.names().tells_firewall_drops();
  // Too many drops to see each: the one that would explain this may be among those left out.
  if (!facts.has_all_drops(facts.now() - kDropsMatter)) v.confidence = core::Confidence::unsure;
  v.culprit = seen ? std::move(culprit) : blame(core::CulpritKind::unknown);
  if (!seen) v.evidence.set("firewall_unseen", true);
}

void add_queue(core::Evidence& evidence, const core::Listener& l, const core::Facts& facts) {
  evidence.set("queue", l.queue);
  evidence.set("limit", l.limit);
  if (l.head_age && l.queue > 0) evidence.set("head_waiting_ms", util::to_ms(*l.head_age));
  if (l.accepted_nothing() > 0s) evidence.set("accepted_nothing_ms", util::to_ms(l.accepted_nothing()));
  evidence.set("refused", l.refused());
  using enum abi::MibCounter;
  add_counters(evidence, l.tuple.netns, {listen_overflows, listen_drops}, facts, l.host);
  if (!l.owners.empty()) add_process(evidence, blame_owner(l.owners).process->pid, facts);
}

void add_process(core::Evidence& evidence, std::uint32_t pid, const core::Facts& facts) {
  if (const abi::ProcessState* state = facts.process(pid)) add_process(evidence, *state);
}

void add_process(core::Evidence& evidence, const abi::ProcessState& state) {
  if (state.state == '?') return;
  std::string words = state_words(state.state);
  if (words == "blocked" && !state.wait_channel.empty() && state.wait_channel != "0")
    words += " in " + state.wait_channel;
  evidence.set("process_state", core::EvidenceValue{words});
  if (state.open_fds) evidence.set("open_fds", *state.open_fds);
  if (state.fd_limit) evidence.set("fd_limit", *state.fd_limit);
}

std::string queue_words(const core::ListenerView& l) {
  if (l.queue <= l.limit)
    return fmt::format("accept queue of {} was full (its limit is {})", util::to_string(l.endpoint), l.limit);
  return fmt::format("accept queue of {} is full ({} of {})", util::to_string(l.endpoint), l.queue, l.limit);
}

std::string owners_words(const std::vector<core::Process>& owners) {
  if (owners.empty()) return "its process (not known)";
  const core::Process oldest = *blame_owner(owners).process;
  if (owners.size() == 1) return core::name_of(oldest);
  return fmt::format("{} (and {} more that hold the listener)", core::name_of(oldest), owners.size() - 1);
}

std::string remote_words(const core::Finding& f) {
  return f.connection ? util::to_string(f.connection->remote) : std::string{"the peer"};
}

std::string more_like_this(const core::Finding& f) {
  return f.count > 1 ? fmt::format(" The same on {}.", count_words(f.count - 1, "more connection", "more connections"))
                     : std::string{};
}

std::string exit_advice(const core::ProcessExit& exit, const std::string& who, bool serving) {
  const std::string_view drain = serving ? " It should drain first: stop accepting, answer what was asked, exit" : "";
  switch (exit.signal) {
    case 0:
      if (exit.code != 0) return fmt::format("find out why {} gave up: its log, journalctl", who);
      return fmt::format("was {} told to stop (journalctl, a deployment)?{}", who, drain);
    case SIGTERM:
    case SIGINT:
    case SIGHUP:
    case SIGQUIT:
      return fmt::format("who stopped {} (journalctl, a deployment)?{}", who, drain);
    case SIGKILL:
      return fmt::format(
          "what killed {}: the OOM killer (dmesg), a stop that took too long (TimeoutStopSec, a container's grace "
          "period), or somebody's kill -9?",
          who);
    case SIGSEGV:
    case SIGABRT:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGSYS:
    case SIGTRAP:
      return fmt::format("{} crashed: its log and its core dump (coredumpctl) say where", who);
    default:
      return fmt::format("find out who or what sent {} this signal: its log, journalctl", who);
  }
}

void add_counters(core::Evidence& evidence, std::uint32_t netns, std::initializer_list<abi::MibCounter> counters,
                  const core::Facts& facts, std::uint32_t host) {
  std::vector<std::pair<std::string, std::int64_t>> grown;
  for (const abi::MibCounter counter : counters) {
    const std::uint64_t growth = facts.mib_growth(netns, counter, host);
    const std::string_view name = abi::kMibNames.at(static_cast<std::size_t>(counter));
    if (growth > 0) grown.emplace_back(name, static_cast<std::int64_t>(growth));
  }
  if (!grown.empty()) evidence.set("mib", core::EvidenceValue{grown});
}

Outstanding outstanding_of(const abi::Socket& s) {
  if (!s.full) return {};
  Outstanding o;
  // A FIN takes a sequence number in either direction; it is no data.
  const bool fin_sent =
      s.state == abi::TcpState::fin_wait1 || s.state == abi::TcpState::closing || s.state == abi::TcpState::last_ack;
  const bool fin_received = s.state == abi::TcpState::close_wait || s.state == abi::TcpState::last_ack ||
                            s.state == abi::TcpState::closing || s.state == abi::TcpState::time_wait;
  o.unacked = s.unacked() - (fin_sent && s.unacked() > 0 ? 1U : 0U);
  o.unread = s.unread() - (fin_received && s.unread() > 0 ? 1U : 0U);
  // Sent later than anything was received, all of it acknowledged, and something was sent at all.
  // Both stamps start equal and are as coarse as jiffies: where not a byte ever came, there is no need of them.
  const bool never_received = s.bytes_received <= (fin_received ? 1U : 0U);
  const bool sent_last = never_received || (s.sent_age && s.received_age && *s.sent_age < *s.received_age);
  o.reply_owed = o.unacked == 0 && s.bytes_acked > 1 && sent_last;
  return o;
}

std::string bytes_words(std::uint64_t bytes) {
  if (bytes == 1) return "1 byte";
  if (bytes < 10240) return fmt::format("{} bytes", bytes);
  if (bytes < 1U << 20) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / 1024 / 1024);
}

std::string count_words(std::uint64_t n, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", n, n == 1 ? one : many);
}

std::string errno_name(int err) {
  const char* name = strerrorname_np(err);
  return name ? name : fmt::format("errno {}", err);
}

}  // namespace tcpwhy::detect
