// SPDX-License-Identifier: GPL-2.0-only
// timed-out: the kernel gave an established connection up.
#include <fmt/format.h>

#include <cerrno>

#include "user/detect/definition.h"
#include "user/detect/elsewhere.h"
#include "user/detect/unanswered.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;
using core::Severity;

constexpr std::string_view kCauses[] = {"retransmit-timeout", "keepalive-timeout", "user-timeout", "unreachable"};
constexpr core::FindingSpec kSpec{
    .slug = "timed-out",
    .family = core::Family::ending,
    .rank = 48,
    .instant = true,
    .causes = kCauses,
    .meaning = "The kernel gave up on a connection.",
};

class TimedOut final : public core::Detector {
 public:
  explicit TimedOut(const Thresholds&) : Detector(kSpec) {}

  void on_event(const abi::Event& event, core::Scene& scene) override {
    // The error report comes before the end on older kernels and after it on newer ones; the end itself is always told,
    // with the sequence numbers still whole.
    const auto* change = std::get_if<abi::StateChange>(&event.body);
    if (!change || change->to != abi::TcpState::close || change->from == abi::TcpState::syn_sent) return;
    const core::Connection* c = scene.facts.connection(change->socket.id);
    if (!c || !c->ending) return;
    const int err = c->ending->err;
    if (err != ETIMEDOUT && err != EHOSTUNREACH && err != ENETUNREACH) return;
    abi::Socket& last = last_words_[c->number] = change->socket;
    last.err = err;
    while (last_words_.size() > 10000) last_words_.erase(last_words_.begin());
    // The trouble began with the first retransmission, or, of an idle connection, with the first silent keepalive.
    const abi::Socket& s = change->socket;
    const auto idle = s.segment_age.value_or(0s);
    const auto silent = s.unacked() > 0 ? s.retrans_age.value_or(0s) : idle - std::min(idle, s.keepalive_time);
    scene.book.raise(*this, {change->socket.id, abi::SocketId::none}, event.time - silent);
  }

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const core::Connection* connection = scene.facts.connection(c.subject.connection);
    if (!connection) return std::nullopt;
    const auto it = last_words_.find(connection->number);
    if (it == last_words_.end()) return std::nullopt;
    const abi::Socket& s = it->second;
    core::Verdict v = unanswered_data(*connection, c.since, scene);
    const std::string_view why = v.cause;
    v.cause = cause_of(s);
    v.severity = Severity::critical;
    v.confidence = core::Confidence::certain;
    // A keepalive that nobody answers says more of the host than of the path.
    if (v.cause == "keepalive-timeout" && why == "unknown")
      blame_silence(v, blame_remote(connection->tuple.remote), scene.facts);
    v.evidence.set("errno", core::EvidenceValue{errno_name(s.err)});
    v.evidence.set("unacked_bytes", s.unacked());
    v.evidence.set("rtos", s.retransmits);
    v.evidence.set("probes", s.probes_out);
    v.evidence.set("rst_sent", connection->reset_sent.has_value());
    if (s.segment_age) v.evidence.set("since_last_ack_ms", util::to_ms(*s.segment_age));
    if (s.user_timeout > 0ms) v.evidence.set("user_timeout_ms", util::to_ms(s.user_timeout));
    add_elsewhere_of_data(v, *connection, c.since, scene);
    return v;
  }

  void describe(core::Finding& f) const override {
    const std::string who = f.owner ? core::name_of(*f.owner) : "a process here";
    core::Words& w = f.words;
    const std::string silent = util::human(std::chrono::milliseconds{f.evidence.number("since_last_ack_ms")});
    w.summary =
        fmt::format("the kernel gave up the connection of {} to {}: no answer for {}.", who, remote_words(f), silent);
    if (f.culprit.kind == core::CulpritKind::local_firewall)
      w.summary = fmt::format(
          "the kernel gave up the connection of {} to {} after {}: a firewall rule on {} dropped its segments.", who,
          remote_words(f), silent, firewall_host_words(f));
    const std::int64_t bytes = f.evidence.number("unacked_bytes");
    w.effect = bytes > 0 ? fmt::format("{} of {} are lost", bytes_words(static_cast<std::uint64_t>(bytes)), who)
                         : fmt::format("{} learns it with its next call ({})", who, f.evidence.text("errno"));
    if (f.cause == "keepalive-timeout") {
      w.cause = fmt::format("{} keepalive probes were not answered", f.evidence.number("probes"));
    } else if (f.cause == "user-timeout") {
      w.cause = fmt::format("TCP_USER_TIMEOUT of {} passed without an acknowledgment",
                            util::human(std::chrono::milliseconds{f.evidence.number("user_timeout_ms")}));
    } else if (f.cause == "unreachable") {
      explain_unreachable(f);
    } else {
      w.cause = fmt::format("{} retransmissions without an answer (net.ipv4.tcp_retries2)", f.evidence.number("rtos"));
    }
    if (f.culprit.kind == core::CulpritKind::local_firewall) {
      w.cause += fmt::format("; a firewall rule on {} dropped the segments", firewall_host_words(f));
      w.advice = {firewall_advice(f)};
    } else if (w.advice.empty()) {
      w.advice = {
          fmt::format("is {} up, and does the path to it work? ping, traceroute, its own logs", remote_words(f))};
      add_firewall_doubt(f);
    }
    w.evidence = fmt::format("{}; {} time-outs, {} probes; RST {}", f.evidence.text("errno"), f.evidence.number("rtos"),
                             f.evidence.number("probes"), f.evidence.flag("rst_sent") ? "sent" : "not sent");
    explain_elsewhere(f);
  }

 private:
  static std::string_view cause_of(const abi::Socket& s) {
    if (s.err != ETIMEDOUT) return "unreachable";
    const bool data = s.packets_out > 0 || s.unacked() > 0;
    if (s.user_timeout > 0ms && s.segment_age.value_or(0s) >= s.user_timeout) return "user-timeout";
    if (!data && s.keepalive) return "keepalive-timeout";
    return "retransmit-timeout";
  }

  std::map<std::uint64_t, abi::Socket> last_words_;  // by connection number
};

}  // namespace

constinit const Definition kTimedOut{kSpec, make<TimedOut>};

}  // namespace tcpwhy::detect
