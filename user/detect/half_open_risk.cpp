// SPDX-License-Identifier: GPL-2.0-only
// half-open-risk: an idle connection to another host that nothing would end if that host vanished.
#include <fmt/format.h>

#include "user/detect/definition.h"
#include "user/detect/silent.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kCauses[] = {"no-keepalive"};
constexpr core::FindingSpec kSpec{
    .slug = "half-open-risk",
    .family = core::Family::stall,
    .rank = 60,
    .instant = false,
    .threshold = 15min,
    .threshold_means = "idle for this long",
    .causes = kCauses,
    .meaning = "An idle connection that nothing would end if the peer vanished.",
    .of_idle_connections = true,
};

class HalfOpenRisk final : public SilentDetector {
 public:
  explicit HalfOpenRisk(const Thresholds& thresholds) : SilentDetector(kSpec, thresholds) {}

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const core::Connection* end = scene.facts.connection(c.subject.connection);
    if (!end || !end->silence.idle) return std::nullopt;
    core::Verdict v;
    v.cause = "no-keepalive";
    v.severity = core::Severity::info;
    v.confidence = core::Confidence::certain;
    v.service = core::service_endpoint(*end);
    v.culprit = blame_owner(end->owners);
    v.evidence.set("idle_ms", util::to_ms(scene.now() - *end->silence.idle));
    v.evidence.set("no_timer", true);
    return v;
  }

  void describe(core::Finding& f) const override {
    const std::string who = f.owner ? core::name_of(*f.owner) : "a process here";
    core::Words& w = f.words;
    w.summary = fmt::format("{} would never learn that {} is gone.", who, remote_words(f));
    w.summary += more_like_this(f);
    w.cause = "the connection is idle, and neither SO_KEEPALIVE nor TCP_USER_TIMEOUT is set";
    w.effect = "if the peer vanished, the connection would stay open for ever";
    w.evidence = fmt::format("idle for {}", util::human(std::chrono::milliseconds{f.evidence.number("idle_ms")}));
    w.advice = {fmt::format("let {} set SO_KEEPALIVE (and TCP_KEEPIDLE), or ask its protocol for a heartbeat", who)};
  }

 protected:
  std::optional<util::BootTime> silent_since(const core::Connection& c, const core::Scene& scene) const override {
    if (!c.silence.idle || scene.facts.is_local(c.tuple.remote.addr, c.tuple.netns)) return std::nullopt;
    // In another namespace of this host its end would close with a word.
    const core::Connection* peer = scene.facts.peer_of(c);
    return peer && !peer->ending ? std::nullopt : c.silence.idle;
  }
};

}  // namespace

constinit const Definition kHalfOpenRisk{kSpec, make<HalfOpenRisk>};

}  // namespace tcpwhy::detect
