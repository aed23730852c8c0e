// SPDX-License-Identifier: GPL-2.0-only
// close-wait-leak: the peer has closed, and the local process keeps its end open.
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>

#include "user/detect/definition.h"
#include "user/detect/silent.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;
using core::Severity;

constexpr std::string_view kCauses[] = {"process-stopped", "process-blocked", "process-busy", "forgotten-fd",
                                        "unknown"};
constexpr core::FindingSpec kSpec{
    .slug = "close-wait-leak",
    .family = core::Family::stall,
    .rank = 32,
    .instant = false,
    .threshold = 60s,
    .threshold_means = "closed by the peer and kept open for this long",
    .causes = kCauses,
    .meaning = "The peer has closed and the local process does not close its end.",
};

constexpr std::uint32_t kMany = 10;
constexpr auto kGrowth = 3min;
constexpr auto kReadsNow = 10s;

class CloseWaitLeak final : public SilentDetector {
 public:
  explicit CloseWaitLeak(const Thresholds& thresholds) : SilentDetector(kSpec, thresholds) {}

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const core::Connection* keeper = scene.facts.connection(c.subject.connection);
    if (!keeper || !keeper->silence.close_wait) return std::nullopt;
    core::Verdict v;
    v.service = core::service_endpoint(*keeper);
    v.culprit = blame_owner(keeper->owners);
    const std::uint32_t pid = v.culprit.process ? v.culprit.process->pid : 0;
    const auto held = held_.find(pid);
    const std::uint32_t count = held == held_.end() ? 1 : held->second.now;
    const std::uint32_t before = held == held_.end() ? 0 : held->second.three_minutes_ago(scene.now());
    const bool grows = before > 0 && count > before;
    v.severity = pid != 0 && (count >= kMany || grows) ? Severity::warning : Severity::info;
    // To read the end of file moves copied_seq, too: what a walk saw read long ago may have been this FIN.
    const util::Duration silent_for = std::min<util::Duration>(scene.now() - c.since, kReadsNow);
    const ProcessActivity activity = pid != 0 ? activity_of(pid, *keeper, silent_for, scene) : ProcessActivity::unknown;
    if (pid != 0 && activity == ProcessActivity::unknown && scene.now() - c.raised < kObserveFor && !scene.final)
      return std::nullopt;
    v.cause = cause_of(activity);
    v.confidence = confidence_of(activity);
    v.evidence.set("held", count);
    v.evidence.set("grew_by", static_cast<std::int64_t>(count) - first_of(pid));
    v.evidence.set("waiting_ms", util::to_ms(scene.now() - *keeper->silence.close_wait));
    v.evidence.set("unread_bytes", outstanding_of(keeper->socket).unread);
    if (pid != 0) add_activity(v.evidence, pid, *keeper, activity, silent_for, scene);
    return v;
  }

  void describe(core::Finding& f) const override {
    const std::string who = f.culprit.process ? core::name_of(*f.culprit.process) : "a process here";
    core::Words& w = f.words;
    w.summary = fmt::format("{} keeps {} in CLOSE_WAIT: the peer has closed, and it does not.", who,
                            count_words(f.count, "connection", "connections"));
    w.cause = activity_words(f);
    w.effect = "each holds a descriptor and its buffers until the process closes it or ends";
    const std::int64_t grew = f.evidence.number("grew_by");
    w.evidence = fmt::format("the oldest for {}{}", util::human(f.duration),
                             grew > 0 ? fmt::format(", {} more than when it was first seen", grew) : std::string{});
    if (f.evidence.has("open_fds"))
      w.evidence +=
          fmt::format(", {} descriptors of {} in use", f.evidence.number("open_fds"), f.evidence.number("fd_limit"));
    w.advice = {};
    if (f.cause == "unknown") w.advice.push_back(unknown_activity_advice(f));
    w.advice.push_back(
        fmt::format("find the path in {} that handles a request and does not close (errors, time-outs)", who));
    w.advice.push_back(fmt::format("ss -tnp state close-wait shows them; restarting {} frees them", who));
  }

 protected:
  std::optional<util::BootTime> silent_since(const core::Connection& c, const core::Scene&) const override {
    // What waits in an accept queue is nobody's yet.
    return c.in_accept_queue() ? std::nullopt : c.silence.close_wait;
  }

  void begin_sweep(core::Scene& scene) override {
    for (auto& [pid, held] : held_) held.now = 0;
    for (const std::uint64_t key : scene.facts.silent()) {
      const core::Connection* c = scene.facts.connection(abi::SocketId{key});
      if (!c || !c->silence.close_wait || c->owners.empty()) continue;
      if (scene.now() - *c->silence.close_wait < threshold(*c)) continue;
      held_[c->owners.front().pid].now += 1;
    }
    std::erase_if(held_, [](const auto& entry) { return entry.second.now == 0; });
    for (auto& [pid, held] : held_) held.remember(scene.now());
  }

 private:
  static constexpr auto kObserveFor = 1500ms;

  // How many one process keeps, once a minute for the last three.
  struct Held {
    std::uint32_t now = 0;
    std::uint32_t first = 0;
    std::deque<std::pair<util::BootTime, std::uint32_t>> past;
    void remember(util::BootTime at) {
      if (past.empty()) first = now;
      if (past.empty() || at - past.back().first >= 1min) past.emplace_back(at, now);
      while (past.size() > 2 && at - past[1].first >= kGrowth) past.pop_front();
    }
    // 0 where it is not known for so long.
    [[nodiscard]] std::uint32_t three_minutes_ago(util::BootTime at) const {
      return !past.empty() && at - past.front().first >= kGrowth ? past.front().second : 0;
    }
  };

  [[nodiscard]] std::int64_t first_of(std::uint32_t pid) const {
    const auto it = held_.find(pid);
    return it == held_.end() ? 0 : it->second.first;
  }

  std::map<std::uint32_t, Held> held_;  // by process
};

}  // namespace

constinit const Definition kCloseWaitLeak{kSpec, make<CloseWaitLeak>};

}  // namespace tcpwhy::detect
