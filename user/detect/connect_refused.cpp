// SPDX-License-Identifier: GPL-2.0-only
// connect-refused: an RST answered a SYN. Told after a second, for a program that then reaches the same port at another
// address (::1 refused, 127.0.0.1 answers) has no problem.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <set>
#include <utility>

#include "user/core/host.h"
#include "user/detect/detectors.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;
using core::CulpritKind;
using core::Severity;

constexpr auto kFallback = 1s;
constexpr auto kRefusalWindow = 10s;
constexpr std::size_t kRefusalsForCritical = 3;
constexpr std::size_t kMaxDestinations = 4096;

class ConnectRefused final : public core::Detector {
 public:
  std::string_view slug() const override { return "connect-refused"; }
  int rank() const override { return 45; }
  bool instant() const override { return true; }

  void on_event(const abi::Event& event, core::Scene& scene) override {
    const auto* change = std::get_if<abi::StateChange>(&event.body);
    if (!change || change->from != abi::TcpState::syn_sent) return;
    const core::Connection* c = scene.facts.connection(change->socket.id);
    if (!c) return;
    if (change->to == abi::TcpState::established) {
      if (c->owner()) successes_.push_back({event.time, c->owner()->pid, c->tuple.remote});
    } else if (change->to == abi::TcpState::close && change->socket.err == ECONNREFUSED && c->reset_received) {
      note(*change, c->owner(), event.time);
      scene.book.raise(*this, {change->socket.id, abi::SocketId::none}, event.time);
    }
  }

  void on_tick(core::Scene& scene) override {
    while (!successes_.empty() && scene.now() - successes_.front().time > 2 * kFallback) successes_.pop_front();
    std::erase_if(destinations_, [&](const auto& d) { return scene.now() - d.second.last > 6 * kRefusalWindow; });
  }

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const core::Connection* client = scene.facts.connection(c.subject.connection);
    if (!client || (!scene.final && scene.now() - c.since < kFallback)) return std::nullopt;
    core::Verdict v;
    v.service = client->tuple.remote;
    v.confidence = core::Confidence::certain;
    judge_cause(v, *client, scene);
    v.severity = severity_of(*client, c.since, scene.facts);
    v.evidence.set("errno", "ECONNREFUSED");
    if (const auto it = destinations_.find(destination_of(client->tuple)); it != destinations_.end())
      v.evidence.set("callers", it->second.callers.size());
    return v;
  }

  void describe(core::Finding& f) const override {
    f.evidence.set("attempts", f.count_total);
    const std::string where = f.service ? util::to_string(*f.service) : remote_words(f);
    const std::string who = callers_words(f);
    const std::string attempts = count_words(f.count_total, "connect", "connects");
    core::Words& w = f.words;
    w.effect = fmt::format("{} of {} failed at once", attempts, who);
    w.evidence = fmt::format("an RST answered the SYN; {} refused", attempts);
    if (f.cause == "listener-gone") {
      describe_gone(f, who, where);
    } else if (f.cause == "local-firewall") {
      w.summary = fmt::format("{} cannot connect to {}: a firewall of this host refuses it.", who, where);
      w.cause = "the RST did not come from the TCP stack of the destination, which is this host";
      w.advice = {"nft list ruleset (or iptables -L -v): which reject rule matches this port?"};
    } else if (f.cause == "no-listener") {
      w.summary = fmt::format("{} cannot connect to {}: nothing listens there.", who, where);
      w.cause = "no process on this host has this port open";
      w.advice = {fmt::format("is the service running, and on this address? ss -ltn 'sport = :{}'",
                              f.service ? f.service->port : 0)};
    } else {
      w.summary = fmt::format("{} cannot connect to {}: the remote host refuses it.", who, where);
      w.cause = "the remote host has nobody on this port, or a firewall there answers with an RST";
      w.advice = {"is the service on the remote host running?"};
    }
  }

 private:
  // "php[50]", or how many where it is not that one alone.
  static std::string callers_words(const core::Finding& f) {
    const auto callers = static_cast<std::uint64_t>(f.evidence.number("callers"));
    if (callers > 1 && callers <= f.count_total) return count_words(callers, "process", "processes");
    return f.owner ? core::name_of(*f.owner) : "a process here";
  }

  static void describe_gone(core::Finding& f, const std::string& who, const std::string& where) {
    const std::string had = f.culprit.process ? core::name_of(*f.culprit.process) : "its process";
    const bool ended = f.culprit.process && f.culprit.process->exit;
    core::Words& w = f.words;
    w.summary = fmt::format("{} cannot connect to {}: nothing listens there since {} {}.", who, where, had,
                            ended ? was(exit_words(*f.culprit.process->exit)) : "closed its listener");
    w.cause = fmt::format("{} had the listener and it is gone", had);
    w.advice = {ended ? fmt::format("restart {}; {}", had, exit_advice(*f.culprit.process->exit, had, false))
                      : fmt::format("why did {} stop listening? Its log tells; restart it if it should serve", had)};
  }

  struct Success {
    util::BootTime time;
    std::uint32_t pid;
    util::Endpoint remote;
  };
  struct Destination {
    std::deque<util::BootTime> refusals;
    std::set<std::uint32_t> callers;
    util::BootTime last{};
    std::optional<util::BootTime> last_success;
  };

  // The same address in two namespaces is two hosts.
  static std::pair<std::uint32_t, util::Endpoint> destination_of(const abi::Tuple& tuple) {
    return {tuple.netns, tuple.remote};
  }

  void note(const abi::StateChange& change, const std::optional<core::Process>& owner, util::BootTime now) {
    if (destinations_.size() >= kMaxDestinations) destinations_.clear();
    Destination& d = destinations_[destination_of(change.socket.tuple)];
    d.refusals.push_back(now);
    while (now - d.refusals.front() > kRefusalWindow) d.refusals.pop_front();
    if (owner && d.callers.size() < 1000) d.callers.insert(owner->pid);
    d.last = now;
    if (change.last_success) d.last_success = change.last_success;
  }

  static void judge_cause(core::Verdict& v, const core::Connection& client, const core::Scene& scene) {
    const util::Endpoint& to = client.tuple.remote;
    const core::RefusedEndpoint* by_stack = scene.facts.refused(to, client.host);
    const bool stack_refused =
        by_stack && client.reset_received && by_stack->last_stack_rst + 100ms > client.reset_received->time;
    const core::Listener* gone = scene.facts.gone_listener_at(to, client.tuple.netns);
    const core::Listener* there = scene.facts.listener_at(to, client.tuple.netns);
    if (there && client.reset_received && there->first_seen > client.reset_received->time) there = nullptr;
    // It is gone by now, and was there when the RST came.
    if (gone && client.reset_received && gone->ended > client.reset_received->time)
      there = std::exchange(gone, nullptr);
    // A listener at the very address proves that it is this host's; a wildcard says nothing of it.
    const bool here = to.addr.is_loopback() || stack_refused ||
                      (there && there->tuple.local == to && there->host == client.host) ||
                      (gone && gone->tuple.local == to && gone->host == client.host);
    // Before 5.17 nobody tells of an RST without a socket: then only a listener speaks against the stack.
    const bool stack_tells = scene.facts.names().tells_resets_without_socket();
    if (here && !stack_refused && !stack_tells) v.confidence = core::Confidence::likely;
    // A reject rule shows as a dropped SYN, wherever on this host it stands.
    const bool by_rule = !stack_refused && firewall_ate(scene.facts, client.tuple, client.first_seen - 1s);
    if (by_rule || (here && !stack_refused && (stack_tells || there))) {
      v.cause = "local-firewall";
      blame_firewall(v, client.tuple, scene.facts);
      if (!by_rule) v.confidence = core::Confidence::likely;
    } else if (gone && here) {
      v.cause = "listener-gone";
      v.listener = gone->id;
      v.culprit = gone->ended_by ? blame(*gone->ended_by) : blame_owner(gone->owners);
      if (v.culprit.process && gone->ended_exit) v.culprit.process->exit = gone->ended_exit;
      if (v.culprit.process) v.evidence.set("listener_pid", core::plain_pid(v.culprit.process->pid));
      v.evidence.set("listener_ended",
                     core::EvidenceValue{gone->ended_exit ? exit_words(*gone->ended_exit) : std::string{"closed it"}});
      v.evidence.set("listener_gone_ms", util::to_ms(scene.now() - *gone->ended));
    } else if (here) {
      v.cause = "no-listener";
      v.culprit = blame(CulpritKind::unknown);
    } else {
      v.cause = "refused-by-remote";
      v.culprit = blame_remote(to);
    }
  }

  Severity severity_of(const core::Connection& client, util::BootTime refused, const core::Facts& facts) const {
    const auto owner = client.owner();
    const bool fell_back = owner && std::any_of(successes_.begin(), successes_.end(), [&](const Success& s) {
                             return s.pid == owner->pid && s.remote.port == client.tuple.remote.port &&
                                    s.remote.addr != client.tuple.remote.addr && s.time >= refused &&
                                    s.time - refused <= kFallback;
                           });
    if (fell_back) return Severity::info;
    const auto it = destinations_.find(destination_of(client.tuple));
    if (it == destinations_.end()) return Severity::warning;
    const Destination& d = it->second;
    const bool was_there = d.last_success || facts.listener_at(client.tuple.remote, client.tuple.netns) ||
                           facts.gone_listener_at(client.tuple.remote, client.tuple.netns);
    const bool works = d.last_success && d.last - *d.last_success < kRefusalWindow &&
                       (d.refusals.empty() || *d.last_success > d.refusals.front());
    return was_there && !works && d.refusals.size() >= kRefusalsForCritical ? Severity::critical : Severity::warning;
  }

  std::deque<Success> successes_;
  std::map<std::pair<std::uint32_t, util::Endpoint>, Destination> destinations_;
};

}  // namespace

std::unique_ptr<core::Detector> make_connect_refused(const Thresholds&) { return std::make_unique<ConnectRefused>(); }

}  // namespace tcpwhy::detect
