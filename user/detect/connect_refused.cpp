// SPDX-License-Identifier: GPL-2.0-only
// connect-refused: an RST answered a SYN. Told after a second, for a program that then reaches the same port at another
// address (::1 refused, 127.0.0.1 answers) has no problem.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "user/core/host.h"
#include "user/detect/definition.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;
using core::CulpritKind;
using core::Severity;

constexpr std::string_view kCauses[] = {"no-listener", "listener-gone", "local-firewall", "refused-by-remote"};
constexpr core::FindingSpec kSpec{
    .slug = "connect-refused",
    .family = core::Family::handshake,
    .rank = 45,
    .instant = true,
    .causes = kCauses,
    .meaning = "A reset answered a connect: as a rule nothing listens there.",
};

constexpr auto kFallback = 1s;
constexpr auto kRefusalWindow = 10s;
constexpr std::size_t kRefusalsForCritical = 3;
constexpr std::size_t kMostDestinations = 4096;
constexpr std::size_t kMostCallers = 4096;
constexpr std::size_t kMostSuccesses = 64;
constexpr std::size_t kMostRefusals = 64;  // of one destination, remembered in the window
// From so many services of one caller on, its refused connects are one finding.
constexpr std::size_t kServicesForOne = 20;
constexpr std::size_t kFirstServices = 5;
constexpr std::size_t kMostServices = 65536;  // of all callers together, counted one by one
// So many wait to be judged on their own; further ones that are alike are counted with the newest of them.
constexpr std::uint32_t kEach = 32;
constexpr std::size_t kMostWaiting = 64;  // processes, of one destination

class ConnectRefused final : public core::Detector {
 public:
  explicit ConnectRefused(const Thresholds&) : Detector(kSpec) {
    callers_.on_evict([this](std::uint32_t, const Caller& c) { services_ -= c.services.size(); });
  }

  void on_event(const abi::Event& event, core::Scene& scene) override {
    const auto* change = std::get_if<abi::StateChange>(&event.body);
    if (!change || change->from != abi::TcpState::syn_sent) return;
    const core::Connection* c = scene.facts.connection(change->socket.id);
    if (!c) return;
    if (change->to == abi::TcpState::established) {
      if (c->owner()) note_success(c->owner()->pid, c->tuple.remote, event.time);
    } else if (change->to == abi::TcpState::close && change->socket.err == ECONNREFUSED && c->reset_received) {
      on_refused(*change, *c, event.time, scene);
    }
  }

  void on_tick(core::Scene& scene) override {
    const auto old = [&](util::BootTime last) { return scene.now() - last > 6 * kRefusalWindow; };
    if (scene.now() - forgot_ < 1s) return;
    forgot_ = scene.now();
    successes_.erase_if([&](const auto&, const Successes& s) { return scene.now() - s.back().time > 2 * kFallback; });
    destinations_.erase_if([&](const auto&, const Destination& d) { return old(d.last); });
    callers_.erase_if([&](std::uint32_t, const Caller& c) {
      if (old(c.last)) services_ -= c.services.size();
      return old(c.last);
    });
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
    if (const Destination* d = destinations_.find(destination_of(client->tuple)))
      v.evidence.set("callers", d->callers.size());
    join_services(v, *client);
    return v;
  }

  void describe(core::Finding& f) const override {
    f.evidence.set("attempts", f.count_total);
    const std::string where = f.evidence.has("services") ? services_words(f)
                              : f.service                ? util::to_string(*f.service)
                                                         : remote_words(f);
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
      w.advice = {
          f.service ? fmt::format("is the service running, and on this address? ss -ltn 'sport = :{}'", f.service->port)
                    : fmt::format("Find out why {} connects to so many services: its command line, its log", who)};
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

  // "1,234 services (127.0.0.1:1, 127.0.0.1:2, ...)"
  static std::string services_words(const core::Finding& f) {
    const core::EvidenceValue* first = f.evidence.find("first_services");
    std::string names;
    if (const auto* list = first ? std::get_if<std::vector<std::pair<std::string, std::int64_t>>>(first) : nullptr)
      for (const auto& [service, connects] : *list) names += service + ", ";
    return fmt::format("{} services ({}...)", f.evidence.number("services"), names);
  }

  // Of a process at a port, the last ones.
  struct Success {
    util::BootTime time;
    util::Address address;
  };
  using Successes = std::deque<Success>;
  // Cases that wait to be judged, of what is alike.
  struct Waiting {
    core::Subject newest;
    util::BootTime begun{};
    std::uint32_t cases = 0;
  };
  struct Destination {
    std::deque<util::BootTime> refusals;  // in the window, the last kMostRefusals
    std::set<std::uint32_t> callers;
    util::BootTime last{};
    std::optional<util::BootTime> last_success;
    std::map<std::uint32_t, Waiting> waiting;  // by process; of very many processes together
  };
  struct Caller {
    std::set<util::Endpoint> services;
    std::vector<util::Endpoint> first;
    std::size_t more_services = 0;  // there was no room to count them one by one
    util::BootTime last{};
    Waiting waiting;
    [[nodiscard]] bool is_everywhere() const { return services.size() + more_services >= kServicesForOne; }
  };

  // The same address in two namespaces is two hosts.
  static std::pair<std::uint32_t, util::Endpoint> destination_of(const abi::Tuple& tuple) {
    return {tuple.netns, tuple.remote};
  }

  void note_success(std::uint32_t pid, const util::Endpoint& remote, util::BootTime now) {
    Successes& successes = successes_.use({pid, remote.port}, now, pid).value;
    successes.push_back({now, remote.addr});
    while (successes.size() > kMostSuccesses || now - successes.front().time > 2 * kFallback) successes.pop_front();
  }

  void on_refused(const abi::StateChange& change, const core::Connection& c, util::BootTime now, core::Scene& scene) {
    const std::uint32_t pid = c.owner() ? c.owner()->pid : 0;
    Destination& destination = note(change, c.owner(), now);
    Caller& caller = note_caller(pid, c.tuple.remote, now);
    const bool own = destination.waiting.size() < kMostWaiting || destination.waiting.contains(pid);
    Waiting& waiting = caller.is_everywhere() ? caller.waiting : destination.waiting[own ? pid : 0];
    if (now - waiting.begun >= kFallback) waiting = {waiting.newest, now, 0};
    if (waiting.cases >= kEach && scene.book.add(*this, waiting.newest, 1)) return;
    waiting.cases += 1;
    waiting.newest = {c.key, abi::SocketId::none};
    scene.book.raise(*this, waiting.newest, now);
  }

  Destination& note(const abi::StateChange& change, const std::optional<core::Process>& owner, util::BootTime now) {
    Destination& d = destinations_.use(destination_of(change.socket.tuple), now, owner ? owner->pid : 0).value;
    d.refusals.push_back(now);
    while (now - d.refusals.front() > kRefusalWindow || d.refusals.size() > kMostRefusals) d.refusals.pop_front();
    if (owner && d.callers.size() < 1000) d.callers.insert(owner->pid);
    d.last = now;
    if (change.last_success) d.last_success = change.last_success;
    return d;
  }

  Caller& note_caller(std::uint32_t pid, const util::Endpoint& service, util::BootTime now) {
    Caller& caller = callers_.use(pid, now).value;
    caller.last = now;
    if (services_ >= kMostServices) {
      caller.more_services += caller.services.contains(service) ? 0 : 1;
    } else if (caller.services.insert(service).second) {
      services_ += 1;
      if (caller.first.size() < kFirstServices) caller.first.push_back(service);
    }
    return caller;
  }

  // Of a caller that is refused everywhere the services are counted, and not told one by one.
  void join_services(core::Verdict& v, const core::Connection& client) const {
    const auto owner = client.owner();
    const Caller* caller = callers_.find(owner ? owner->pid : 0);
    if (!caller || !caller->is_everywhere()) return;
    v.service.reset();
    v.together = owner ? "of " + std::to_string(owner->pid) : "of all";
    const bool one_host = std::all_of(caller->first.begin(), caller->first.end(), [&](const util::Endpoint& service) {
      return service.addr == client.tuple.remote.addr;
    });
    if (v.culprit.kind == CulpritKind::remote_host && !one_host) v.culprit = blame(CulpritKind::unknown);
    v.evidence.set("services", caller->services.size() + caller->more_services);
    std::vector<std::pair<std::string, std::int64_t>> first;
    for (const util::Endpoint& service : caller->first) {
      const Destination* d = destinations_.find({client.tuple.netns, service});
      first.emplace_back(util::to_string(service), d ? static_cast<std::int64_t>(d->refusals.size()) : 1);
    }
    v.evidence.set("first_services", core::EvidenceValue{std::move(first)});
  }

  static void judge_cause(core::Verdict& v, const core::Connection& client, const core::Scene& scene) {
    const util::Endpoint& to = client.tuple.remote;
    const core::RefusedEndpoint* by_stack = scene.facts.refused(to, client.host);
    const bool stack_refused =
        client.refused_by_stack ||
        (by_stack && client.reset_received && by_stack->last_stack_rst + 100ms > client.reset_received->time);
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
    // Nor does its absence mean anything where some may be missing here.
    const bool stack_tells = scene.facts.names().tells_resets_without_socket() &&
                             scene.facts.has_all_refusals(client.first_seen - kFallback, client.host);
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
      // There may have been one that was forgotten.
      if (!scene.facts.has_all_listeners({})) v.confidence = core::Confidence::likely;
    } else {
      v.cause = "refused-by-remote";
      v.culprit = blame_remote(to);
    }
  }

  Severity severity_of(const core::Connection& client, util::BootTime refused, const core::Facts& facts) const {
    const auto owner = client.owner();
    const Successes* successes = owner ? successes_.find({owner->pid, client.tuple.remote.port}) : nullptr;
    const bool fell_back =
        successes && std::any_of(successes->begin(), successes->end(), [&](const Success& s) {
          return s.address != client.tuple.remote.addr && s.time >= refused && s.time - refused <= kFallback;
        });
    if (fell_back) return Severity::info;
    const Destination* known = destinations_.find(destination_of(client.tuple));
    if (!known) return Severity::warning;
    const Destination& d = *known;
    const bool was_there = d.last_success || facts.listener_at(client.tuple.remote, client.tuple.netns) ||
                           facts.gone_listener_at(client.tuple.remote, client.tuple.netns);
    const bool works = d.last_success && d.last - *d.last_success < kRefusalWindow &&
                       (d.refusals.empty() || *d.last_success > d.refusals.front());
    return was_there && !works && d.refusals.size() >= kRefusalsForCritical ? Severity::critical : Severity::warning;
  }

  core::BoundedTable<std::pair<std::uint32_t, std::uint16_t>, Successes> successes_{kMostCallers};  // by process, port
  core::BoundedTable<std::pair<std::uint32_t, util::Endpoint>, Destination> destinations_{kMostDestinations};
  core::BoundedTable<std::uint32_t, Caller> callers_{kMostCallers};  // by process
  std::size_t services_ = 0;                                         // of all callers
  util::BootTime forgot_{};
};

}  // namespace

constinit const Definition kConnectRefused{kSpec, make<ConnectRefused>};

}  // namespace tcpwhy::detect
