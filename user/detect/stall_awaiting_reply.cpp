// SPDX-License-Identifier: GPL-2.0-only
// stall-awaiting-reply: a client asked, all of it arrived, and no answer comes.
//
// That this side spoke last proves little: there are protocols in which it always does. So the kernel side counts, for
// each service, how often connections rest with the answer there, and how long answers take; only where answers are the
// rule is their absence more than worth knowing.
#include <fmt/format.h>

#include <map>

#include "user/detect/definition.h"
#include "user/detect/silent.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;
using core::Severity;

constexpr std::string_view kCauses[] = {"peer-silent", "peer-busy"};
constexpr core::FindingSpec kSpec{
    .slug = "stall-awaiting-reply",
    .family = core::Family::stall,
    .rank = 38,
    .instant = false,
    .threshold = 10s,
    .threshold_means = "no reply for this long, or 20 times the usual wait",
    .causes = kCauses,
    .meaning = "A request was delivered in full and its reply does not come.",
};

constexpr int kTimesUsual = 20;
constexpr std::uint32_t kEnoughAnswers = 3;
constexpr auto kLong = 60s;
constexpr std::uint32_t kManyAtOnce = 5;
// This side spoke so soon after the other that it answered rather than asked (a pong, a window update).
constexpr auto kAnAnswer = 200ms;

class StallAwaitingReply final : public SilentDetector {
 public:
  explicit StallAwaitingReply(const Thresholds& thresholds) : SilentDetector(kSpec, thresholds) {}

  bool info_needs_owners() const override { return true; }

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const core::Connection* client = scene.facts.connection(c.subject.connection);
    if (!client || !client->silence.awaiting) return std::nullopt;
    const core::Silence& q = client->silence;
    const util::Duration waiting = scene.now() - *q.awaiting;
    core::Verdict v;
    v.service = core::service_endpoint(*client);
    v.culprit = blame_peer(*client, scene);
    const core::Connection* peer = scene.facts.peer_of(*client);
    v.cause = v.culprit.process ? "peer-busy" : "peer-silent";
    const auto others = waiting_.find(service_of(*client));
    const std::uint32_t at_once = others == waiting_.end() ? 1 : others->second;
    const bool odd = has_history(*client) || waiting >= kLong || at_once >= kManyAtOnce;
    v.severity = odd && !may_be_an_answer(*client) ? Severity::warning : Severity::info;
    v.confidence = core::Confidence::likely;
    v.evidence.set("waiting_ms", util::to_ms(waiting));
    if (q.usual_wait && q.answers > 0) v.evidence.set("usual_wait_ms", util::to_ms(*q.usual_wait));
    v.evidence.set("no_timer", !client->socket.keepalive && client->socket.user_timeout == util::Duration{});
    if (peer && peer->in_accept_queue()) v.evidence.set("never_accepted", true);
    if (v.culprit.process) {
      if (v.severity > Severity::info) observe_activity(v.culprit.process->pid, scene);
      add_process(v.evidence, v.culprit.process->pid, scene.facts);
    }
    if (client->before_trace) v.evidence.set("history", "began before the trace");
    return v;
  }

  void describe(core::Finding& f) const override {
    const std::string who = f.owner ? core::name_of(*f.owner) : "a process here";
    const std::string server = f.culprit.process ? core::name_of(*f.culprit.process) : remote_words(f);
    const bool over = f.phase == core::Phase::closed && f.ended == core::Ended::recovered;
    core::Words& w = f.words;
    const std::string answerer = f.culprit.process ? fmt::format("{} ({})", server, remote_words(f)) : server;
    const std::string_view verb = over ? "did not answer" : "has not answered";
    w.summary = f.count > 1 ? fmt::format("{} {} {} on {} connections, on the oldest for {}.", answerer, verb, who,
                                          f.count, util::human(f.duration))
                            : fmt::format("{} {} {} for {}.", answerer, verb, who, util::human(f.duration));
    w.cause = f.evidence.flag("never_accepted")
                  ? server + " has not even accepted the connection; the kernel took the request for it"
                  : server + " has the request, in full, and does not answer";
    w.effect = f.evidence.flag("no_timer") ? "no keepalive and no TCP_USER_TIMEOUT will ever end the wait"
                                           : "a timer of the connection ends it only if the peer's host is gone";
    w.evidence = "request acknowledged, nothing received since";
    if (f.evidence.has("usual_wait_ms"))
      w.evidence += fmt::format("; its longest wait so far was {}",
                                util::human(std::chrono::milliseconds{f.evidence.number("usual_wait_ms")}));
    if (f.evidence.has("process_state")) w.evidence += "; " + server + " is " + f.evidence.text("process_state");
    w.advice = {
        f.culprit.process
            ? fmt::format("find out what {} does with the request (its stack, its log, what it waits for itself)",
                          server)
            : fmt::format("on {}: did the request arrive at the program, and what does it wait for?", remote_words(f)),
        fmt::format("give {} a time-out for its requests", who)};
  }

 protected:
  std::optional<util::BootTime> silent_since(const core::Connection& c, const core::Scene&) const override {
    // What has come, and is not read, is no lack of an answer.
    return c.socket.unread() > 0 ? std::nullopt : c.silence.awaiting;
  }

  util::Duration opens_after(const core::Connection& c) const override {
    const util::Duration usual = c.silence.usual_wait.value_or(util::Duration{}) * kTimesUsual;
    return std::max(threshold(c), usual);
  }

  bool moved_at_last(const abi::Socket& s, util::BootTime since, const core::Scene& scene) const override {
    return s.bytes_received > 0 && s.received_age && *s.received_age < scene.now() - since;
  }

  void begin_sweep(core::Scene& scene) override {
    waiting_.clear();
    for (const std::uint64_t key : scene.facts.silent()) {
      const core::Connection* c = scene.facts.connection(abi::SocketId{key});
      if (!c || !c->silence.awaiting || c->socket.unread() > 0 || may_be_an_answer(*c)) continue;
      if (scene.now() - *c->silence.awaiting >= opens_after(*c)) waiting_[service_of(*c)] += 1;
    }
  }

 private:
  using Service = std::pair<std::uint32_t, util::Endpoint>;  // of one process

  static Service service_of(const core::Connection& c) {
    return {c.owners.empty() ? 0 : c.owners.front().pid, core::service_endpoint(c)};
  }
  static bool has_history(const core::Connection& c) {
    return c.silence.answers >= kEnoughAnswers && c.silence.answers > 3 * c.silence.unanswered;
  }
  // Without history, and the last word followed the other side's at once.
  static bool may_be_an_answer(const core::Connection& c) {
    const abi::Socket& s = c.socket;
    return !has_history(c) && s.bytes_received > 0 && s.sent_age && s.received_age &&
           *s.received_age - *s.sent_age < kAnAnswer;
  }

  std::map<Service, std::uint32_t> waiting_;  // for longer than the threshold, in this sweep
};

}  // namespace

constinit const Definition kStallAwaitingReply{kSpec, make<StallAwaitingReply>};

}  // namespace tcpwhy::detect
