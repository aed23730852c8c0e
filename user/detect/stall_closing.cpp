// SPDX-License-Identifier: GPL-2.0-only
// stall-closing: a connection that was closed cannot finish: its last data or its FIN is not acknowledged.
#include <fmt/format.h>

#include "user/core/silence.h"
#include "user/detect/definition.h"
#include "user/detect/silent.h"
#include "user/detect/unanswered.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kCauses[] = {"peer-not-reading", "peer-gone", "path-lost", "unknown"};
constexpr core::FindingSpec kSpec{
    .slug = "stall-closing",
    .family = core::Family::stall,
    .rank = 36,
    .instant = false,
    .threshold = 5s,
    .threshold_means = "nothing acknowledged for this long",
    .causes = kCauses,
    .meaning = "A closed connection cannot finish: its last data or its FIN is not acknowledged.",
};

class StallClosing final : public SilentDetector {
 public:
  explicit StallClosing(const Thresholds& thresholds) : SilentDetector(kSpec, thresholds) {}

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const core::Connection* closer = scene.facts.connection(c.subject.connection);
    if (!closer || !closer->silence.closing) return std::nullopt;
    const abi::Socket& s = closer->socket;
    const core::Connection* peer = scene.facts.peer_of(*closer);
    core::Verdict v;
    if (core::window_is_shut(s)) {
      v.service = core::service_endpoint(*closer);
      v.cause = "peer-not-reading";
      v.culprit = blame_peer(*closer, scene);
      v.confidence = peer ? core::Confidence::certain : core::Confidence::likely;
    } else {
      v = unanswered_data(*closer, c.since, scene);
      // This finding has fewer causes: why nothing comes back goes into the evidence.
      if (v.cause != "path-lost") {
        v.evidence.set("why", core::EvidenceValue{std::string{v.cause}});
        v.cause = "unknown";
      }
    }
    const bool reads = peer && peer->silence.last_read && *peer->silence.last_read > c.since;
    const bool unlucky = v.cause != "peer-not-reading" && scene.facts.loss_is_random(core::service_endpoint(*closer));
    v.severity = reads || unlucky ? core::Severity::info : core::Severity::warning;
    v.evidence.set("held_bytes", outstanding_of(s).unacked);
    v.evidence.set("orphan", s.orphan);
    v.evidence.set("rtos", s.retransmits);
    v.evidence.set("window_bytes", s.snd_wnd);
    if (closer->before_trace) v.evidence.set("history", "began before the trace");
    return v;
  }

  void describe(core::Finding& f) const override {
    const std::string who = f.owner ? core::name_of(*f.owner) : "a process here";
    const std::string bytes = bytes_words(static_cast<std::uint64_t>(f.evidence.number("held_bytes")));
    const std::string reader = f.culprit.process ? core::name_of(*f.culprit.process) : remote_words(f);
    core::Words& w = f.words;
    w.summary = fmt::format("{} closed its connection to {}, but {} cannot be delivered.", who, remote_words(f),
                            f.evidence.number("held_bytes") > 0 ? bytes : std::string{"its FIN"});
    w.summary += more_like_this(f);
    w.effect = f.evidence.flag("orphan") ? "no process holds the connection any more; the kernel keeps the data"
                                         : "the data stays in the send queue";
    w.evidence =
        fmt::format("window {}, {}", bytes_words(static_cast<std::uint64_t>(f.evidence.number("window_bytes"))),
                    count_words(static_cast<std::uint64_t>(f.evidence.number("rtos")), "time-out", "time-outs"));
    if (f.cause == "peer-not-reading") {
      w.cause = reader + " does not read what has arrived, and its window is shut";
      w.advice = {fmt::format("find why {} does not read", reader)};
    } else {
      explain_unanswered(f);
    }
  }

 protected:
  std::optional<util::BootTime> silent_since(const core::Connection& c, const core::Scene&) const override {
    return c.silence.closing;
  }
};

}  // namespace

constinit const Definition kStallClosing{kSpec, make<StallClosing>};

}  // namespace tcpwhy::detect
