// SPDX-License-Identifier: GPL-2.0-only
// synack-retransmit-unexpected: the server's timer repeats a handshake that the client believes complete.
//
// Only the timer counts: a duplicate SYN also makes the kernel answer again, and after one lost SYN-ACK both fire within
// milliseconds of the client's ESTABLISHED. TCP_DEFER_ACCEPT drops the bare ACK by design.
#include <fmt/format.h>

#include "user/detect/definition.h"
#include "user/detect/elsewhere.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;
using core::Severity;

constexpr std::string_view kCauses[] = {"accept-queue-full", "handshake-ack-lost"};
constexpr core::FindingSpec kSpec{
    .slug = "synack-retransmit-unexpected",
    .family = core::Family::handshake,
    .rank = 20,
    .instant = false,
    .threshold = 200ms,
    .threshold_means = "the client has been connected for this long",
    .causes = kCauses,
    .meaning = "The server repeats its SYN-ACK although the client has answered it and believes it is connected.",
};

class SynAckRetransmitUnexpected final : public core::Detector {
 public:
  explicit SynAckRetransmitUnexpected(const Thresholds& thresholds) : Detector(kSpec), thresholds_(thresholds) {}

  void on_event(const abi::Event& event, core::Scene& scene) override {
    if (const auto* synack = std::get_if<abi::SynAckRetransmit>(&event.body)) {
      if (is_unexpected(*synack, event.time))
        scene.book.raise(*this, {synack->request, abi::SocketId::none}, event.time - synack->since_synack);
    } else if (const auto* change = std::get_if<abi::StateChange>(&event.body)) {
      on_change(*change, scene);
    } else if (const auto* sent = std::get_if<abi::ResetSent>(&event.body)) {
      if (const core::Connection* c = scene.facts.connection_at(sent->socket.tuple))
        scene.book.close(*this, {c->key, abi::SocketId::none}, core::Ended::reset);
    }
  }

  // The kernel drops a request without a word when its retries are used up.
  void on_tick(core::Scene& scene) override {
    if (scene.now() - looked_ < 1s) return;
    looked_ = scene.now();
    for (const core::Subject& subject : scene.book.open_subjects(*this)) {
      const core::Connection* c = scene.facts.connection(subject.connection);
      if (!c || c->state != abi::TcpState::new_syn_recv) continue;
      const auto wait = std::min<util::Duration>(1s * (1LL << std::min(c->synack_timer_retransmits, 7U)), 120s);
      const core::Case* open = scene.book.find(*this, subject);
      const core::Connection* client = scene.facts.peer_of(*c);
      if (client && client->ending)
        scene.book.close(*this, subject, core::Ended::closed);
      else if (open && scene.now() - std::max(open->touched, open->raised) > wait + 1s)
        scene.book.close(*this, subject, core::Ended::timed_out);
    }
  }

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const core::Connection* request = scene.facts.connection(c.subject.connection);
    if (!request) return std::nullopt;
    const core::Listener* l = scene.facts.listener(request->listener);
    core::Verdict v;
    v.service = request->tuple.local;
    v.listener = request->listener;
    v.evidence.set("synack_retransmits", request->synack_timer_retransmits);
    v.evidence.set("client_acked", request->client_acked);
    if (l) v.evidence.set("listener", core::EvidenceValue{util::to_string(l->tuple.local)});
    if (l) add_queue(v.evidence, *l, scene.facts);
    add_client(v.evidence, *request, scene);
    if (request->client_acked || request->overflow_drops > 0 || (l && refuses(*l, scene.now())))
      queue_full(v, *request, l);
    else
      ack_lost(v, *request, c, scene);
    add_elsewhere_of_request(v, *request, c.since, scene);
    return v;
  }

  void describe(core::Finding& f) const override {
    const std::string server =
        f.listener && !f.listener->owners.empty() ? owners_words(f.listener->owners) : core::name_of(f.owner);
    const std::string client = f.peer && f.peer->owner ? core::name_of(*f.peer->owner) : "client " + remote_words(f);
    const std::int64_t times = f.evidence.number("synack_retransmits");
    const std::int64_t sent = f.evidence.number("client_unacked_bytes");
    const std::string and_sent =
        sent > 0 ? fmt::format(" and sent {}", bytes_words(static_cast<std::uint64_t>(sent))) : "";
    core::Words& w = f.words;
    w.summary = fmt::format("{} repeats its SYN-ACK although {} completed the handshake{}.", server, client, and_sent);
    w.effect = fmt::format(
        "{} believes it is connected{}", client,
        sent > 0 ? fmt::format("; its {} are not acknowledged", bytes_words(static_cast<std::uint64_t>(sent))) : "");
    w.evidence = fmt::format(
        "SYN-ACK sent again {} by the timer; client's ACK {}{}",
        count_words(static_cast<std::uint64_t>(times), "time", "times"),
        f.evidence.flag("client_acked") ? "arrived and was dropped by the listener" : "never reached the listener",
        f.count_total > 1 ? fmt::format("; {} connections so far", f.count_total) : "");
    if (f.cause == "accept-queue-full") {
      w.cause = f.listener ? queue_words(*f.listener) : "accept queue full";
      if (f.evidence.number("accepted_nothing_ms") >= 1000)
        w.cause += fmt::format(": {} has accepted nothing for {} or more", server,
                               util::human(std::chrono::milliseconds{f.evidence.number("accepted_nothing_ms")}));
      w.advice = {fmt::format("find what blocks {}'s accept loop", server),
                  fmt::format("a longer listen backlog (now {}) only hides it", f.evidence.number("limit"))};
    } else {
      w.cause =
          f.culprit.kind == core::CulpritKind::local_firewall
              ? fmt::format("a firewall rule on {} dropped the client's ACK of the handshake", firewall_host_words(f))
          : f.evidence.has("seen_elsewhere")
              ? "the client's ACK of the handshake got lost between the two hosts, and so does what it sends now"
              : "the client's ACK of the handshake got lost on this host, and so does what it sends now";
      w.advice = {"nft list ruleset (or iptables -nvL), twice: which rule's counter grows for this port?",
                  "nstat -az TcpExtListenDrops TcpExtTCPBacklogDrop: other places where an ACK can get lost"};
    }
    explain_elsewhere(f);
  }

 private:
  bool is_unexpected(const abi::SynAckRetransmit& e, util::BootTime now) const {
    if (!e.by_timer || (e.listener.defer > 0 && !e.listener.over_limit())) return false;
    const util::Duration client_believes = thresholds_.of(kSpec, e.tuple.local.port);
    return e.acked || (e.client_established && now - *e.client_established >= client_believes);
  }

  void on_change(const abi::StateChange& change, core::Scene& scene) {
    const core::Subject subject{change.socket.id, abi::SocketId::none};
    if (change.to == abi::TcpState::established) scene.book.close(*this, subject, core::Ended::recovered);
    if (change.to == abi::TcpState::close) scene.book.close(*this, subject, core::Ended::closed);
  }

  static void add_client(core::Evidence& evidence, const core::Connection& request, const core::Scene& scene) {
    const core::Connection* client = scene.facts.peer_of(request);
    if (!client) return;
    if (client->socket.full) evidence.set("client_unacked_bytes", client->socket.unacked());
    if (client->established) evidence.set("client_established_ms", util::to_ms(scene.now() - *client->established));
  }

  static void queue_full(core::Verdict& v, const core::Connection& request, const core::Listener* l) {
    v.cause = "accept-queue-full";
    v.severity = Severity::critical;
    v.confidence = request.client_acked ? core::Confidence::certain : core::Confidence::likely;
    v.culprit = l ? blame_owner(l->owners) : blame(core::CulpritKind::unknown);
  }

  void ack_lost(core::Verdict& v, const core::Connection& request, const core::Case& c,
                const core::Scene& scene) const {
    const bool eaten = firewall_ate(scene.facts, request.tuple, c.since - 1s);
    v.cause = "handshake-ack-lost";
    v.culprit = blame(core::CulpritKind::unknown);
    if (eaten) blame_firewall(v, request.tuple, scene.facts);
    v.confidence = eaten ? core::Confidence::certain : core::Confidence::likely;
    v.severity = request.synack_timer_retransmits >= 2 ? Severity::critical : Severity::info;
    if (const core::FirewallDrops* drops = scene.facts.firewall_drops(request.tuple))
      v.evidence.set("firewall_drops", drops->count);
    if (eaten && scene.facts.firewall_drops(request.tuple)->count >= 3) v.severity = Severity::critical;
    if (scene.facts.loss_is_random(request.tuple.local)) v.severity = Severity::info;
  }

  Thresholds thresholds_;
  util::BootTime looked_{};
};

}  // namespace

constinit const Definition kSynackRetransmitUnexpected{kSpec, make<SynAckRetransmitUnexpected>};

}  // namespace tcpwhy::detect
