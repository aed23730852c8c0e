// SPDX-License-Identifier: GPL-2.0-only
// synack-retransmit: the server's timer repeats a SYN-ACK, and nothing says that the client ever answered.
#include <fmt/format.h>

#include <deque>
#include <set>

#include "user/detect/definition.h"
#include "user/detect/elsewhere.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;
using core::Severity;

constexpr std::string_view kCauses[] = {"synack-lost", "client-silent", "syn-flood"};
constexpr core::FindingSpec kSpec{
    .slug = "synack-retransmit",
    .family = core::Family::handshake,
    .rank = 30,
    .instant = false,
    .causes = kCauses,
    .meaning = "The server repeats its SYN-ACK because nothing answers it.",
};

constexpr auto kRateWindow = 60s;
constexpr std::size_t kRateForWarning = 10;
constexpr auto kFloodWindow = 10s;
constexpr std::size_t kFloodSources = 50;

class SynAckRetransmit final : public core::Detector {
 public:
  explicit SynAckRetransmit(const Thresholds&) : Detector(kSpec) {}

  void on_event(const abi::Event& event, core::Scene& scene) override {
    if (const auto* synack = std::get_if<abi::SynAckRetransmit>(&event.body)) {
      if (is_silence(*synack)) {
        note(*synack, event.time);
        scene.book.raise(*this, {synack->request, abi::SocketId::none}, event.time - synack->since_synack);
      } else if (synack->acked) {
        scene.book.close(*this, {synack->request, abi::SocketId::none}, core::Ended::recovered);
      }
    } else if (const auto* change = std::get_if<abi::StateChange>(&event.body)) {
      if (change->to == abi::TcpState::established || change->to == abi::TcpState::close)
        scene.book.close(*this, {change->socket.id, abi::SocketId::none}, core::Ended::recovered);
    }
  }

  void on_tick(core::Scene& scene) override {
    if (scene.now() - looked_ < 1s) return;
    looked_ = scene.now();
    for (const core::Subject& subject : scene.book.open_subjects(*this)) {
      const core::Connection* c = scene.facts.connection(subject.connection);
      const core::Case* open = scene.book.find(*this, subject);
      if (!c || !open) continue;
      const auto wait = std::min<util::Duration>(1s * (1LL << std::min(c->synack_timer_retransmits, 7U)), 120s);
      if (scene.now() - std::max(open->touched, open->raised) > wait + 1s)
        scene.book.close(*this, subject, core::Ended::timed_out);
    }
  }

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const core::Connection* request = scene.facts.connection(c.subject.connection);
    if (!request) return std::nullopt;
    const core::Listener* l = scene.facts.listener(request->listener);
    const auto recent = recent_.find(request->listener);
    const std::size_t rate = recent == recent_.end() ? 0 : recent->second.size();
    core::Verdict v;
    v.service = request->tuple.local;
    v.listener = request->listener;
    v.evidence.set("synack_retransmits", request->synack_timer_retransmits);
    v.evidence.set("client_acked", false);
    if (l) v.evidence.set("listener", core::EvidenceValue{util::to_string(l->tuple.local)});
    v.severity = rate >= kRateForWarning ? Severity::warning : Severity::info;
    if (l && is_flood(*l, recent == recent_.end() ? Recent{} : recent->second, scene.now())) {
      v.cause = "syn-flood";
      v.severity = Severity::critical;
      v.culprit = blame(core::CulpritKind::network);
      v.evidence.set("requests", l->requests);
    } else {
      v.cause = request->synack_duplicate_syns > 0 ? "synack-lost" : "client-silent";
      if (firewall_ate(scene.facts, request->tuple, c.since - 1s))
        blame_firewall(v, request->tuple, scene.facts);
      else
        blame_silence(
            v, v.cause == "synack-lost" ? blame(core::CulpritKind::network) : blame_remote(request->tuple.remote),
            scene.facts);
      add_elsewhere_of_request(v, *request, c.since, scene);
    }
    return v;
  }

  void describe(core::Finding& f) const override {
    const std::string server = f.listener ? owners_words(f.listener->owners) : "the server";
    core::Words& w = f.words;
    if (f.cause == "syn-flood") {
      w.summary = fmt::format("many sources open connections to {} and never complete them.", server);
      w.cause = fmt::format("{} requests wait half-open, from many addresses", f.evidence.number("requests"));
      w.advice = {"net.ipv4.tcp_syncookies=1 keeps real clients connecting", "filter the sources upstream"};
    } else if (f.cause == "synack-lost") {
      w.summary = fmt::format("{} does not get the SYN-ACKs of {}: it repeats its SYN.", remote_words(f), server);
      w.cause = "the way from this host to the client loses packets, or a firewall lets only one direction through";
      w.advice = {"look at the return path (asymmetric routes, firewall state) towards the client"};
    } else {
      w.summary = fmt::format("{} does not answer the SYN-ACKs of {}.", remote_words(f), server);
      w.cause = "the client vanished after its SYN, or its ACK does not reach this host";
      w.advice = {"one client: its problem; many: look at the path from the clients to this host"};
    }
    w.effect = "the client waits in connect()";
    w.evidence =
        fmt::format("SYN-ACK sent again {} by the timer, {} affected so far",
                    count_words(static_cast<std::uint64_t>(f.evidence.number("synack_retransmits")), "time", "times"),
                    count_words(f.count_total, "connection", "connections"));
    explain_elsewhere(f);
  }

 private:
  struct Seen {
    util::BootTime time;
    util::Address source;
  };
  using Recent = std::deque<Seen>;

  // The second by the timer, and the client's socket is not known to be ESTABLISHED on this host.
  static bool is_silence(const abi::SynAckRetransmit& e) {
    return e.by_timer && !e.acked && e.num_timeout >= 1 && !e.client_established;
  }

  void note(const abi::SynAckRetransmit& e, util::BootTime now) {
    Recent& recent = recent_[e.listener.id];
    recent.push_back({now, e.tuple.remote.addr});
    while (!recent.empty() && now - recent.front().time > kRateWindow) recent.pop_front();
    while (recent.size() > 10000) recent.pop_front();
  }

  static bool is_flood(const core::Listener& l, const Recent& recent, util::BootTime now) {
    std::set<util::Address> sources;
    for (const Seen& seen : recent)
      if (now - seen.time <= kFloodWindow) sources.insert(seen.source);
    return sources.size() >= kFloodSources && l.requests * 2 > l.limit;
  }

  std::map<abi::SocketId, Recent> recent_;
  util::BootTime looked_{};
};

}  // namespace

constinit const Definition kSynackRetransmit{kSpec, make<SynAckRetransmit>};

}  // namespace tcpwhy::detect
