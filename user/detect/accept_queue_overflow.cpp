// SPDX-License-Identifier: GPL-2.0-only
// accept-queue-overflow: the kernel refused a SYN or the ACK of a handshake because the listener's accept queue is full.
#include <fmt/format.h>

#include "user/detect/definition.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;
using core::Severity;

constexpr std::string_view kCauses[] = {"not-accepting", "too-slow", "backlog-too-small"};
constexpr core::FindingSpec kSpec{
    .slug = "accept-queue-overflow",
    .family = core::Family::handshake,
    .rank = 10,
    .instant = false,
    .threshold = 1s,
    .threshold_means = "the oldest connection in the queue has waited for this long",
    .causes = kCauses,
    .meaning = "The kernel turned clients away because a listener's queue of connections to accept was full.",
};

class AcceptQueueOverflow final : public core::Detector {
 public:
  explicit AcceptQueueOverflow(const Thresholds& thresholds) : Detector(kSpec), thresholds_(thresholds) {}

  void on_event(const abi::Event& event, core::Scene& scene) override {
    if (const auto* drop = std::get_if<abi::Drop>(&event.body);
        drop && scene.facts.names().drop_reason(drop->reason) != "NETFILTER_DROP")
      check(listener_of(*drop, scene), scene);
    else if (const auto* sample = std::get_if<abi::Sample>(&event.body); sample && sample->socket.listener)
      check(sample->socket.id, scene);
    else if (const auto* synack = std::get_if<abi::SynAckRetransmit>(&event.body))
      check(synack->listener.id, scene);
    else if (const auto* change = std::get_if<abi::StateChange>(&event.body);
             change && change->from == abi::TcpState::listen)
      scene.book.close(*this, {abi::SocketId::none, change->socket.id},
                       change->owner.exiting ? core::Ended::process_exit : core::Ended::closed);
  }

  void on_tick(core::Scene& scene) override {
    for (const core::Subject& subject : scene.book.open_subjects(*this)) {
      const core::Listener* l = scene.facts.listener(subject.listener);
      if (!l || !l->first_refusal) scene.book.close(*this, subject, core::Ended::drained);
    }
  }

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const core::Listener* l = scene.facts.listener(c.subject.listener);
    if (!l) return std::nullopt;
    const util::Duration head_waits = thresholds_.of(kSpec, l->tuple.local.port);
    const bool not_accepting = l->accepted_nothing() >= head_waits;
    // A moment must pass before a burst, a slow and a dead reader can be told apart.
    if (!not_accepting && !scene.final && scene.now() - c.since < head_waits) return std::nullopt;
    core::Verdict v;
    v.confidence = core::Confidence::certain;
    v.service = l->tuple.local;
    v.listener = l->id;
    v.culprit = blame_owner(l->owners);
    add_queue(v.evidence, *l, scene.facts);
    if (not_accepting) {
      v.cause = "not-accepting";
      v.severity = Severity::critical;
    } else {
      // Only a queue that has emptied since tells that a burst was all it was.
      const bool drained = l->queue * 2 <= l->limit && scene.now() - l->last_refusal >= head_waits;
      v.cause = drained ? "backlog-too-small" : "too-slow";
      v.severity = Severity::warning;
      v.confidence = core::Confidence::likely;
    }
    return v;
  }

  void describe(core::Finding& f) const override {
    const std::string who = f.listener ? owners_words(f.listener->owners) : "its process";
    const std::string where = f.listener ? util::to_string(f.listener->endpoint) : "a listener";
    const std::string refused =
        count_words(static_cast<std::uint64_t>(f.evidence.number("refused")), "segment", "segments");
    core::Words& w = f.words;
    if (f.cause == "not-accepting") {
      w.summary = fmt::format(
          "{} has accepted nothing on {} for {} or more; the kernel drops new connections, their clients wait.", who,
          where, util::human(std::chrono::milliseconds{f.evidence.number("accepted_nothing_ms")}));
      w.advice = {fmt::format("find what blocks {}'s accept loop (its stack, its event loop, its thread pool)", who),
                  "a longer listen backlog or net.core.somaxconn only hides it"};
    } else if (f.cause == "too-slow") {
      w.summary = fmt::format(
          "{} accepts connections on {} more slowly than they arrive; the kernel drops some, their clients wait.", who,
          where);
      w.advice = {fmt::format("give {} more workers or less work between two accept() calls", who),
                  "compare the arrival rate with the accept rate before raising the backlog"};
    } else {
      w.summary = fmt::format("a burst of connections was larger than the listen backlog of {} at {}.", who, where);
      w.advice = {fmt::format("raise the backlog that {} gives to listen() (now {}; net.core.somaxconn is its ceiling)",
                              who, f.evidence.number("limit"))};
    }
    if (f.evidence.text("process_state") == "stopped") {
      w.summary = fmt::format(
          "{} is stopped (SIGSTOP or a debugger) and accepts nothing on {}; the kernel drops new connections, their "
          "clients wait.",
          who, where);
      w.advice = {fmt::format("find out who stopped {}; kill -CONT lets it go on", who)};
    }
    const std::int64_t queue = f.evidence.number("queue");
    const std::int64_t limit = f.evidence.number("limit");
    if (f.listener)
      w.cause = queue > limit
                    ? fmt::format("the accept queue of {} is full: {} wait, its limit is {}", where, queue, limit)
                    : fmt::format("the accept queue of {} was full (its limit is {}); at the last look {} waited",
                                  where, limit, queue);
    if (f.phase == core::Phase::closed && f.ended == core::Ended::closed && f.listener)
      w.advice.insert(w.advice.begin(),
                      fmt::format("ss -ltnp 'sport = :{}': does anybody listen again? The log of {} says why it closed",
                                  f.listener->endpoint.port, who));
    w.effect = fmt::format(
        "the kernel refused {} of clients so far; a refused client waits a second or more before each next try",
        refused);
    w.evidence = fmt::format("queue {}, limit {}, {} refused{}", queue, limit, refused,
                             f.evidence.has("process_state") ? ", process " + f.evidence.text("process_state") : "");
  }

 private:
  static abi::SocketId listener_of(const abi::Drop& drop, const core::Scene& scene) {
    if (drop.listener != abi::SocketId::none) return drop.listener;
    const core::Listener* l = scene.facts.listener_at(drop.tuple.local, drop.tuple.netns);
    return l ? l->id : abi::SocketId::none;
  }

  void check(abi::SocketId id, core::Scene& scene) {
    const core::Listener* l = scene.facts.listener(id);
    if (l && !l->ended && l->first_refusal) scene.book.raise(*this, {abi::SocketId::none, id}, *l->first_refusal);
  }

  Thresholds thresholds_;
};

}  // namespace

constinit const Definition kAcceptQueueOverflow{kSpec, make<AcceptQueueOverflow>};

}  // namespace tcpwhy::detect
