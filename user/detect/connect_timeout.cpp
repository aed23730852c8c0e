// SPDX-License-Identifier: GPL-2.0-only
// connect-timeout: a connect ended without an RST and without success.
#include <fmt/format.h>

#include <cerrno>

#include "user/detect/definition.h"
#include "user/detect/elsewhere.h"
#include "user/detect/unanswered.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using core::CulpritKind;
using core::Severity;

constexpr std::string_view kCauses[] = {"accept-queue-full", "dropped-locally", "unreachable",
                                        "peer-silent",       "ports-exhausted", "rejected"};
constexpr core::FindingSpec kSpec{
    .slug = "connect-timeout",
    .family = core::Family::handshake,
    .rank = 50,
    .instant = true,
    .causes = kCauses,
    .meaning = "A connect ended without an answer from the peer's TCP.",
};

constexpr auto kAtOnce = std::chrono::milliseconds{20};

class ConnectTimeout final : public core::Detector {
 public:
  explicit ConnectTimeout(const Thresholds&) : Detector(kSpec) {}

  void on_event(const abi::Event& event, core::Scene& scene) override {
    const auto* change = std::get_if<abi::StateChange>(&event.body);
    if (!change || change->from != abi::TcpState::syn_sent || change->to != abi::TcpState::close) return;
    const core::Connection* c = scene.facts.connection(change->socket.id);
    if (!c || c->reset_received || !(is_failure(*c) || rejected_at_once(*c, scene.facts))) return;
    scene.book.raise(*this, {change->socket.id, abi::SocketId::none},
                     c->syn_retransmits ? c->connect_started : c->first_seen);
  }

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const core::Connection* client = scene.facts.connection(c.subject.connection);
    if (!client || !client->ending) return std::nullopt;
    const int err = client->ending->err;
    core::Verdict v = unanswered_syn(*client, c.since, scene);
    v.severity = err != 0 ? Severity::critical : was_unlucky(*client, scene.facts) ? Severity::info : Severity::warning;
    v.evidence.set("waiting_ms", util::to_ms(client->ending->time - c.since));
    if (err) v.evidence.set("errno", core::EvidenceValue{errno_name(err)});
    if (const auto owner = client->owner(); owner && owner->exit) {
      v.evidence.set("exit_code", owner->exit->code);
      v.evidence.set("exit_signal", owner->exit->signal);
    }
    if (rejected_at_once(*client, scene.facts)) {
      v.cause = "rejected";
      v.severity = Severity::critical;
      v.confidence = core::Confidence::likely;
    } else if (out_of_ports(*client)) {
      v.cause = "ports-exhausted";
      v.culprit = blame(CulpritKind::kernel_limit);
      v.confidence = core::Confidence::likely;
      v.severity = Severity::critical;
      v.evidence.set("errno", "EADDRNOTAVAIL");
    } else if (err == ECONNREFUSED || err == EHOSTUNREACH || err == ENETUNREACH || err == EACCES || err == EPERM) {
      judge_icmp(v, *client, err, scene);
      if (may_have_been_an_rst(v, *client, err, scene.facts)) return std::nullopt;
    }
    if (v.cause == "peer-silent") add_elsewhere_of_connect(v, *client, c.since, scene);
    return v;
  }

  void describe(core::Finding& f) const override {
    const std::string who = f.owner ? core::name_of(*f.owner) : "a process here";
    core::Words& w = f.words;
    w.effect = fmt::format("{} failed", count_words(f.count_total, "connect", "connects"));
    explain_unanswered(f);
    if (f.cause == "ports-exhausted")
      describe_no_port(f, who);
    else if (f.cause == "rejected")
      describe_reject(f, who);
    else if (f.evidence.has("errno"))
      describe_failure(f, who);
    else
      describe_surrender(f, who);
    explain_elsewhere(f);
  }

 private:
  static std::string syns(const core::Finding& f) {
    const auto again = static_cast<std::uint64_t>(f.evidence.number("syn_retransmits"));
    return again == 0 ? "SYN sent once" : "SYN sent again " + count_words(again, "time", "times");
  }

  static void describe_no_port(core::Finding& f, const std::string& who) {
    core::Words& w = f.words;
    w.summary = fmt::format("{} cannot connect to {}: no local port is free.", who, remote_words(f));
    w.cause = "every port of net.ipv4.ip_local_port_range is in use towards this destination";
    w.evidence = "connect() failed before a SYN was sent and without a local port";
    w.advice = {
        "ss -tan state time-wait | wc -l: who opens and closes so many connections? Reuse connections",
        "net.ipv4.ip_local_port_range widens the range; net.ipv4.tcp_tw_reuse=1 lets TIME_WAIT ports be used again"};
  }

  static void describe_reject(core::Finding& f, const std::string& who) {
    const bool here = f.culprit.kind == CulpritKind::local_firewall;
    core::Words& w = f.words;
    w.summary = fmt::format("the connect of {} to {} was rejected {}.", who, remote_words(f),
                            here ? "by a firewall rule of this host" : "with an ICMP error");
    w.cause = here ? "a reject rule of a firewall on this host answers with an ICMP error, not with an RST"
                   : "a firewall or router answers with an ICMP error instead of an RST";
    w.evidence =
        f.evidence.has("errno")
            ? fmt::format("the connect ended with {} and without an RST; {}", f.evidence.text("errno"), syns(f))
            : fmt::format(
                  "a rule dropped the SYN and the connect ended within {} ms, without an RST; the error "
                  "went straight to the program",
                  kAtOnce.count());
    w.advice = {"look for a reject rule on the way, this host's own rules first (nft list ruleset)"};
  }

  static void describe_failure(core::Finding& f, const std::string& who) {
    const std::string err = f.evidence.text("errno");
    f.words.summary = fmt::format("the connect of {} to {} failed: {}.", who, remote_words(f), err);
    f.words.evidence = fmt::format("the connect ended with {}; {}", err, syns(f));
  }

  // No error: the program closed its socket, or ended, while the kernel would have gone on.
  static void describe_surrender(core::Finding& f, const std::string& who) {
    const std::string waited = util::human(std::chrono::milliseconds{f.evidence.number("waiting_ms")});
    const bool ended = f.owner && f.owner->exit;
    core::Words& w = f.words;
    if (ended)
      w.summary = fmt::format("{} {} while it waited in connect() to {} ({} without an answer).", who,
                              was(exit_words(*f.owner->exit)), remote_words(f), waited);
    else
      w.summary = fmt::format("{} gave up its connect to {} after {} without an answer.", who, remote_words(f), waited);
    w.evidence = fmt::format("{} before the kernel gave up; {}",
                             ended ? "the process ended" : "the program closed the socket", syns(f));
  }

  static bool out_of_ports(const core::Connection& c) {
    return c.tuple.local.port == 0 && c.syn_retransmits == 0 && c.ending && c.ending->err == 0;
  }

  // The program's time was up while a SYN that random loss had taken was on its way again.
  static bool was_unlucky(const core::Connection& c, const core::Facts& facts) {
    return c.syn_retransmits <= 2 && facts.loss_is_random(core::service_endpoint(c));
  }

  // A reject rule on this host answers while connect() still runs: the kernel returns the error from the call itself
  // and leaves none in the socket. All there is to see is the dropped SYN and the end within the same moment.
  static bool rejected_at_once(const core::Connection& c, const core::Facts& facts) {
    if (!c.ending || c.ending->err != 0 || c.syn_retransmits > 0 || c.tuple.local.port == 0) return false;
    const core::FirewallDrops* drops = facts.firewall_drops(c.tuple);
    return drops && drops->last <= c.ending->time && c.ending->time - drops->last < kAtOnce;
  }

  // An ICMP error ended it. A reject rule on this host also shows as a dropped segment.
  static void judge_icmp(core::Verdict& v, const core::Connection& client, int err, const core::Scene& scene) {
    const bool by_rule_here = v.cause == "dropped-locally";
    // A full queue makes no error: where it was full a while ago, another answered now.
    const core::Listener* l = scene.facts.listener(v.listener);
    if (v.cause == "accept-queue-full" && l && refuses(*l, scene.now())) return;
    v.confidence = core::Confidence::certain;
    if (by_rule_here || err == ECONNREFUSED || err == EACCES || err == EPERM ||
        (err == EHOSTUNREACH && client.syn_retransmits == 0)) {
      v.cause = "rejected";
      if (!by_rule_here) blame_silence(v, blame_remote(client.tuple.remote), scene.facts);
    } else {
      v.cause = "unreachable";
      blame_silence(v, blame(CulpritKind::network), scene.facts);
    }
  }

  // On loopback only a rule of this host can reject, and the kernel would have told what it dropped: rather, the event of
  // an RST got lost (a tracing program that interrupts itself is not run again).
  static bool may_have_been_an_rst(const core::Verdict& v, const core::Connection& client, int err,
                                   const core::Facts& facts) {
    return err == ECONNREFUSED && v.culprit.kind != CulpritKind::local_firewall &&
           client.tuple.remote.addr.is_loopback() && facts.names().tells_firewall_drops();
  }

  // A program may close a connect within its first second (address fallback): that is no failure.
  static bool is_failure(const core::Connection& c) {
    if (!c.ending) return false;
    return c.ending->err != 0 ? c.ending->err != ECONNABORTED && c.ending->err != ECONNRESET
                              : c.syn_retransmits > 0 || out_of_ports(c);
  }
};

}  // namespace

constinit const Definition kConnectTimeout{kSpec, make<ConnectTimeout>};

}  // namespace tcpwhy::detect
