// SPDX-License-Identifier: GPL-2.0-only
// connect-stalled: an outgoing SYN was sent again and no answer came.
#include <fmt/format.h>

#include "user/detect/definition.h"
#include "user/detect/elsewhere.h"
#include "user/detect/unanswered.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using core::Severity;

constexpr std::string_view kCauses[] = {"accept-queue-full", "dropped-locally", "unreachable", "peer-silent"};
constexpr core::FindingSpec kSpec{
    .slug = "connect-stalled",
    .family = core::Family::handshake,
    .rank = 40,
    .instant = false,
    .causes = kCauses,
    .meaning = "A connect sent its SYN again because no answer came.",
};

class ConnectStalled final : public core::Detector {
 public:
  explicit ConnectStalled(const Thresholds&) : Detector(kSpec) {}

  void on_event(const abi::Event& event, core::Scene& scene) override {
    if (const auto* again = std::get_if<abi::Retransmit>(&event.body)) {
      if (again->type == abi::RetransmitType::syn)
        scene.book.raise(*this, {again->socket.id, abi::SocketId::none}, event.time - again->socket.rto);
    } else if (const auto* change = std::get_if<abi::StateChange>(&event.body)) {
      if (change->from == abi::TcpState::syn_sent) on_end(*change, scene);
    }
  }

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const core::Connection* client = scene.facts.connection(c.subject.connection);
    if (!client || client->syn_retransmits == 0) return std::nullopt;
    // A full listener on this host shows itself in the next sweep.
    if (!scene.final && scene.now() - c.raised < kSweepShowsListener && listening_here(*client, scene))
      return std::nullopt;
    core::Verdict v = unanswered_syn(*client, c.since, scene);
    v.severity = client->syn_retransmits >= 3   ? Severity::critical
                 : client->syn_retransmits == 2 ? Severity::warning
                                                : Severity::info;
    if (scene.facts.loss_is_random(client->tuple.remote)) v.severity = Severity::info;
    if (v.cause == "accept-queue-full") v.severity = Severity::critical;
    add_elsewhere_of_connect(v, *client, c.since, scene);
    return v;
  }

  void describe(core::Finding& f) const override {
    const std::string who = f.owner ? core::name_of(*f.owner) : "a process here";
    core::Words& w = f.words;
    w.summary = fmt::format("{} waits in connect() to {}: its SYN is not answered.", who, remote_words(f));
    w.effect = f.count > 1 ? fmt::format("{} connects wait", f.count) : fmt::format("{} waits", who);
    w.evidence =
        fmt::format("SYN sent again {}, last after {}",
                    count_words(static_cast<std::uint64_t>(f.evidence.number("syn_retransmits")), "time", "times"),
                    util::human(std::chrono::milliseconds{f.evidence.number("waiting_ms")}));
    explain_elsewhere(f);
    explain_unanswered(f);
  }

 private:
  static constexpr auto kSweepShowsListener = std::chrono::milliseconds{700};

  static bool listening_here(const core::Connection& client, const core::Scene& scene) {
    return scene.facts.listener_at(client.tuple.remote, client.tuple.netns) != nullptr;
  }

  void on_end(const abi::StateChange& change, core::Scene& scene) {
    const core::Subject subject{change.socket.id, abi::SocketId::none};
    // The last SYN may be the one that was answered, in the same moment.
    scene.book.look_again(*this, subject);
    if (change.to == abi::TcpState::established) scene.book.close(*this, subject, core::Ended::recovered);
    if (change.to != abi::TcpState::close) return;
    const core::Connection* c = scene.facts.connection(change.socket.id);
    if (change.socket.err == ETIMEDOUT)
      scene.book.close(*this, subject, core::Ended::timed_out);
    else if (c && c->reset_received)
      scene.book.close(*this, subject, core::Ended::reset);
    else
      scene.book.close(*this, subject, change.owner.exiting ? core::Ended::process_exit : core::Ended::closed);
  }
};

}  // namespace

constinit const Definition kConnectStalled{kSpec, make<ConnectStalled>};

}  // namespace tcpwhy::detect
