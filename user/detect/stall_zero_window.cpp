// SPDX-License-Identifier: GPL-2.0-only
// stall-zero-window: the peer's window takes less than a segment, data waits behind it, and none was sent.
#include <fmt/format.h>

#include "user/core/silence.h"
#include "user/detect/definition.h"
#include "user/detect/silent.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;
using core::Severity;

constexpr std::string_view kCauses[] = {"peer-not-reading", "peer-slow"};
constexpr core::FindingSpec kSpec{
    .slug = "stall-zero-window",
    .family = core::Family::stall,
    .rank = 34,
    .instant = false,
    .threshold = 3s,
    .threshold_means = "the window has been shut for this long",
    .causes = kCauses,
    .meaning = "The peer's receive window is shut and data waits behind it.",
};

class StallZeroWindow final : public SilentDetector {
 public:
  explicit StallZeroWindow(const Thresholds& thresholds) : SilentDetector(kSpec, thresholds) {}

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const core::Connection* sender = scene.facts.connection(c.subject.connection);
    if (!sender || !sender->silence.window_shut) return std::nullopt;
    const abi::Socket& s = sender->socket;
    const core::Connection* peer = scene.facts.peer_of(*sender);
    const util::Duration shut = scene.now() - c.since;
    core::Verdict v;
    v.service = core::service_endpoint(*sender);
    v.culprit = blame_peer(*sender, scene);
    const bool reads = peer && reads_slowly(*peer, c.since, scene.now());
    v.cause = reads ? "peer-slow" : "peer-not-reading";
    v.severity = reads ? Severity::info : shut >= kLong ? Severity::critical : Severity::warning;
    v.confidence = peer && !peer->ending ? core::Confidence::certain : core::Confidence::likely;
    v.evidence.set("window_bytes", s.snd_wnd);
    v.evidence.set("waiting_bytes", s.unsent());
    v.evidence.set("probes", s.backoff);
    v.evidence.set("held_bytes", s.unacked());
    if (peer && peer->in_accept_queue()) v.evidence.set("never_accepted", true);
    if (peer && peer->silence.unread) v.evidence.set("unread_bytes", core::unread_data(peer->socket));
    if (sender->before_trace) v.evidence.set("history", "began before the trace");
    return v;
  }

  void describe(core::Finding& f) const override {
    const std::string who = f.owner ? core::name_of(*f.owner) : "a process here";
    const std::string reader = f.culprit.process ? core::name_of(*f.culprit.process) : remote_words(f);
    core::Words& w = f.words;
    const std::string bytes = bytes_words(static_cast<std::uint64_t>(f.evidence.number("waiting_bytes")));
    const bool over = f.phase == core::Phase::closed && f.ended == core::Ended::recovered;
    w.summary =
        fmt::format("{} {} {} to {}: the peer's window {} shut for {}.", who, over ? "could not send" : "cannot send",
                    bytes, remote_words(f), over ? "was" : "is", util::human(f.duration));
    w.summary += more_like_this(f);
    w.cause = f.cause == "peer-slow" ? reader + " reads, but more slowly than it is sent to"
                                     : reader + " does not read what has arrived";
    w.effect = fmt::format("{} holds {} in its send queue", who,
                           bytes_words(static_cast<std::uint64_t>(f.evidence.number("held_bytes"))));
    w.evidence = fmt::format("window {}, {} answered by nothing but the same window",
                             bytes_words(static_cast<std::uint64_t>(f.evidence.number("window_bytes"))),
                             count_words(static_cast<std::uint64_t>(f.evidence.number("probes")), "probe", "probes"));
    w.advice = {advice_of(f, reader)};
  }

 protected:
  std::optional<util::BootTime> silent_since(const core::Connection& c, const core::Scene&) const override {
    return c.silence.window_shut;
  }

 private:
  static std::string advice_of(const core::Finding& f, const std::string& reader) {
    if (f.cause == "peer-slow")
      return fmt::format("find what {} does between its reads (its disk, its own peer): the sender can only wait",
                         reader);
    if (f.culprit.process)
      return fmt::format("find why {} does not read: is it stopped, busy, blocked, or has it forgotten the descriptor?",
                         reader);
    return fmt::format("on {}: which process holds the connection, and why does it not read?", remote_words(f));
  }

  // Since the window shut and lately. The sweep that found it shut may be the one that noticed what was read before.
  static bool reads_slowly(const core::Connection& peer, util::BootTime since, util::BootTime now) {
    const auto& read = peer.silence.last_read;
    return read && *read > since + 300ms && now - *read < 5s;
  }

  static constexpr auto kLong = 10s;
};

}  // namespace

constinit const Definition kStallZeroWindow{kSpec, make<StallZeroWindow>};

}  // namespace tcpwhy::detect
