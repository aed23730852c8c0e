// SPDX-License-Identifier: GPL-2.0-only
// closed-mid-request: the peer's FIN came while it owed a reply: the request was acknowledged, and not a byte came back.
#include <fmt/format.h>

#include "user/detect/definition.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kCauses[] = {"process-exit", "peer-closed"};
constexpr core::FindingSpec kSpec{
    .slug = "closed-mid-request",
    .family = core::Family::ending,
    .rank = 44,
    .instant = true,
    .causes = kCauses,
    .meaning = "The peer closed while it still owed a reply.",
};

// The other end's record is at most a softirq away.
constexpr auto kOtherEnd = 300ms;

class ClosedMidRequest final : public core::Detector {
 public:
  explicit ClosedMidRequest(const Thresholds&) : Detector(kSpec) {}

  void on_event(const abi::Event& event, core::Scene& scene) override {
    const auto* change = std::get_if<abi::StateChange>(&event.body);
    if (!change || change->to != abi::TcpState::close_wait || change->socket.accepted) return;
    const core::Connection* c = scene.facts.connection(change->socket.id);
    if (!c || c->role == core::ConnectionRole::server) return;
    // The FIN is already counted as received.
    abi::Socket asked = change->socket;
    asked.state = abi::TcpState::close_wait;
    if (!outstanding_of(asked).reply_owed) return;
    if (asked.bytes_received > 0) asked.bytes_received -= 1;
    asked_[c->number] = asked;
    while (asked_.size() > kMostRemembered) asked_.erase(asked_.begin());
    scene.book.raise(*this, {c->key, abi::SocketId::none}, event.time);
  }

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const core::Connection* client = scene.facts.connection(c.subject.connection);
    if (!client || (!scene.final && scene.now() - c.raised < kOtherEnd)) return std::nullopt;
    const auto asked = asked_.find(client->number);
    if (asked == asked_.end()) return std::nullopt;
    const core::Connection* peer = scene.facts.peer_of(*client);
    core::Verdict v;
    v.service = core::service_endpoint(*client);
    v.severity = was_goodbye(asked->second, peer) ? core::Severity::info : core::Severity::warning;
    v.cause = peer && peer->owner_exit ? "process-exit" : "peer-closed";
    v.confidence = core::Confidence::certain;
    v.culprit = culprit_of(*client, peer, scene);
    if (peer && peer->owner_exit) {
      if (v.culprit.process) v.culprit.process->exit = peer->owner_exit;
      v.evidence.set("exit_code", peer->owner_exit->code);
      v.evidence.set("exit_signal", peer->owner_exit->signal);
    }
    const abi::Socket& s = asked->second;
    v.evidence.set("request_bytes", s.bytes_acked > 0 ? s.bytes_acked - 1 : 0);
    v.evidence.set("received_bytes", s.bytes_received);
    if (s.sent_age) v.evidence.set("waiting_ms", util::to_ms(*s.sent_age));
    v.evidence.set("reply_owed", true);
    return v;
  }

  void describe(core::Finding& f) const override {
    const std::string who = f.owner ? core::name_of(*f.owner) : "a process here";
    const std::string server = f.culprit.process ? core::name_of(*f.culprit.process) : remote_words(f);
    core::Words& w = f.words;
    const bool died = f.cause == "process-exit" && f.culprit.process && f.culprit.process->exit;
    w.summary =
        died ? fmt::format("{} {} while it owed {} a reply.", server, was(exit_words(*f.culprit.process->exit)), who)
             : fmt::format("{} closed the connection while it owed {} a reply.", server, who);
    w.cause = died ? "the process ended, and the kernel closed its connections"
                   : "the other end closed after it had taken the request";
    w.effect = fmt::format("{} gets an end of file instead of an answer", who);
    if (f.count_total > 1) w.effect += fmt::format("; {} connections so far", f.count_total);
    w.evidence = fmt::format("{} of request acknowledged {} before the FIN, no reply since",
                             bytes_words(static_cast<std::uint64_t>(f.evidence.number("request_bytes"))),
                             util::human(std::chrono::milliseconds{f.evidence.number("waiting_ms")}));
    w.advice = {died ? exit_advice(*f.culprit.process->exit, server, true)
                     : fmt::format("look at the log of {} at this second: an error, a time-out of its own, a restart?",
                                   server)};
  }

 private:
  static constexpr std::size_t kMostRemembered = 10000;

  // "QUIT", and the server closes at once: after answers, a last word that asks for none.
  static bool was_goodbye(const abi::Socket& s, const core::Connection* peer) {
    const bool failed = peer && peer->owner_exit && (peer->owner_exit->signal != 0 || peer->owner_exit->code != 0);
    return !failed && s.bytes_received > 0 && s.sent_age.value_or(util::Duration{}) < 1s;
  }

  static core::Culprit culprit_of(const core::Connection& client, const core::Connection* peer,
                                  const core::Scene& scene) {
    if (peer && !peer->owners.empty()) return blame_owner(peer->owners);
    const core::Listener* l = scene.facts.listener_at(client.tuple.remote, client.tuple.netns);
    // Of several that hold the listener nobody knows which one closed.
    if (l && l->owners.size() == 1) return blame_owner(l->owners);
    if (l || client.tuple.remote.addr.is_loopback()) return blame(core::CulpritKind::unknown);
    return blame_remote(client.tuple.remote);
  }

  std::map<std::uint64_t, abi::Socket> asked_;  // by connection number
};

}  // namespace

constinit const Definition kClosedMidRequest{kSpec, make<ClosedMidRequest>};

}  // namespace tcpwhy::detect
