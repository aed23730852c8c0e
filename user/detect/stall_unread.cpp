// SPDX-License-Identifier: GPL-2.0-only
// stall-unread: data has arrived, and the local process reads nothing.
//
// Much unread, or the window shut, is a stall whatever the process does. A little (a request) is one only where the process
// cannot read: nobody has accepted the connection, or the process is stopped or computes without end while several of its
// connections wait. A pooled connection with an alert in it that its process will look at one day is no stall.
#include <fmt/format.h>

#include <map>

#include "user/core/silence.h"
#include "user/detect/definition.h"
#include "user/detect/silent.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;
using core::Severity;

constexpr std::string_view kCauses[] = {"never-accepted", "process-stopped", "process-blocked",
                                        "process-busy",   "forgotten-fd",    "unknown"};
constexpr core::FindingSpec kSpec{
    .slug = "stall-unread",
    .family = core::Family::stall,
    .rank = 12,
    .instant = false,
    .threshold = 2s,
    .threshold_means = "nothing read for this long",
    .causes = kCauses,
    .meaning = "Data has arrived and the local process does not read it.",
};

// So many with a little unread make one think that the process does not read at all.
constexpr std::uint32_t kSeveral = 5;

class StallUnread final : public SilentDetector {
 public:
  explicit StallUnread(const Thresholds& thresholds) : SilentDetector(kSpec, thresholds) {}

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const core::Connection* reader = scene.facts.connection(c.subject.connection);
    if (!reader || !reader->silence.unread) return std::nullopt;
    const abi::Socket& s = reader->socket;
    const core::Culprit culprit = culprit_of(*reader, scene);
    const bool never_accepted = reader->in_accept_queue();
    const bool much = core::much_unread(s);
    const util::Duration silent_for = scene.now() - c.since;
    const ProcessActivity activity =
        culprit.process ? activity_of(culprit.process->pid, *reader, silent_for, scene) : ProcessActivity::unknown;
    const bool asking =
        culprit.process && activity == ProcessActivity::unknown && scene.now() - c.raised < kObserveFor && !scene.final;
    if (asking && !never_accepted) return std::nullopt;
    // Asleep it may be by design: a little waits for it, and it will come.
    const bool cannot_read = activity == ProcessActivity::stopped || activity == ProcessActivity::busy;
    if (!much && !never_accepted && !cannot_read) return std::nullopt;
    core::Verdict v;
    v.service = core::service_endpoint(*reader);
    v.listener = reader->listener;
    v.culprit = culprit;
    v.cause = never_accepted ? "never-accepted" : cause_of(activity);
    v.severity = core::own_window_is_shut(s) && much ? Severity::critical : Severity::warning;
    v.confidence = never_accepted ? core::Confidence::certain : confidence_of(activity);
    v.evidence.set("unread_bytes", core::unread_data(s));
    v.evidence.set("last_read_ms", util::to_ms(silent_for));
    v.evidence.set("window_bytes", s.rcv_wnd);
    if (const core::Listener* l = scene.facts.listener(reader->listener); l && never_accepted)
      add_queue(v.evidence, *l, scene.facts);
    else if (culprit.process)
      add_activity(v.evidence, culprit.process->pid, *reader, activity, silent_for, scene);
    if (reader->before_trace) v.evidence.set("history", "began before the trace");
    return v;
  }

  void describe(core::Finding& f) const override {
    const std::string who = f.culprit.process ? core::name_of(*f.culprit.process) : "a process here";
    const std::string bytes = bytes_words(static_cast<std::uint64_t>(f.evidence.number("unread_bytes")));
    const std::string age = util::human(std::chrono::milliseconds{f.evidence.number("last_read_ms")});
    core::Words& w = f.words;
    w.summary = f.cause == "never-accepted"
                    ? fmt::format("{} has not accepted the connection of {}, whose {} wait to be read for {}.", who,
                                  remote_words(f), bytes, age)
                    : fmt::format("{} {}has not read {} from {} for {} or more.", who,
                                  f.cause == "process-stopped" ? "is stopped and " : "", bytes, remote_words(f), age);
    w.summary += more_like_this(f);
    w.cause = f.cause == "never-accepted" ? who + " accepts nothing: its accept loop does not run" : activity_words(f);
    w.effect = f.severity == Severity::critical ? "the window is shut: whoever sends to it can send nothing more"
                                                : "whoever sent it waits for an answer";
    w.evidence = fmt::format("{} unread, window {}", bytes,
                             bytes_words(static_cast<std::uint64_t>(f.evidence.number("window_bytes"))));
    if (f.evidence.has("process_state")) w.evidence += ", process " + f.evidence.text("process_state");
    w.advice = {advice_of(f, who)};
  }

 protected:
  std::optional<util::BootTime> silent_since(const core::Connection& c, const core::Scene& scene) const override {
    const auto& unread = c.silence.unread;
    if (!unread) return std::nullopt;
    if (core::much_unread(c.socket) || c.in_accept_queue()) return unread;
    if (c.owners.empty()) return std::nullopt;
    const std::uint32_t pid = c.owners.front().pid;
    if (const abi::ProcessState* state = scene.facts.process(pid); state && is_stopped(*state)) return unread;
    const auto it = waiting_.find(pid);
    return it != waiting_.end() && it->second >= kSeveral ? unread : std::nullopt;
  }

  void begin_sweep(core::Scene& scene) override {
    waiting_.clear();
    for (const std::uint64_t key : scene.facts.silent()) {
      const core::Connection* c = scene.facts.connection(abi::SocketId{key});
      if (!c || !c->silence.unread) continue;
      const core::Culprit culprit = culprit_of(*c, scene);
      if (!culprit.process) continue;
      const std::uint32_t pid = culprit.process->pid;
      waiting_[pid] += 1;
      // Two observations tell how much it computes: the first is asked for before the threshold.
      const bool long_enough = scene.now() - *c->silence.unread >= threshold(*c) / 2;
      const bool telling = core::much_unread(c->socket) || c->in_accept_queue() || waiting_[pid] >= kSeveral;
      if (long_enough && telling) observe_activity(pid, scene);
      // A little on one connection is ordinary, unless its process is stopped: worth a look now and then.
      const core::ProcessLook* look = scene.facts.process_look(pid);
      if (long_enough && !telling && (!look || scene.now() - look->at > kNowAndThen)) scene.book.observe(pid);
    }
  }

 private:
  static constexpr auto kObserveFor = 1000ms;
  static constexpr auto kNowAndThen = 5s;

  static core::Culprit culprit_of(const core::Connection& c, const core::Scene& scene) {
    if (const core::Listener* l = scene.facts.listener(c.listener); l && c.in_accept_queue())
      return blame_owner(l->owners);
    return blame_owner(c.owners);
  }

  static std::string advice_of(const core::Finding& f, const std::string& who) {
    // Nothing is left that could be continued or profiled.
    if (f.phase == core::Phase::closed && f.owner && f.owner->exit && f.cause != "forgotten-fd" &&
        f.cause != "unknown") {
      const std::string ended = exit_advice(*f.owner->exit, who, false);
      return f.cause == "process-stopped" ? fmt::format("find out who had stopped {}; {}", who, ended) : ended;
    }
    if (f.evidence.text("process_state") == "stopped")
      return fmt::format("find out who stopped {}; kill -CONT lets it go on", who);
    if (f.cause == "process-busy")
      return fmt::format("profile {} (perf top -p PID): what keeps its event loop from coming round?", who);
    if (f.cause == "forgotten-fd")
      return fmt::format("{} forgot this descriptor, or is slow by design: does it still ask its event loop for it?",
                         who);
    if (f.cause == "unknown") return unknown_activity_advice(f);
    return fmt::format("find what blocks {}: its stack (/proc/PID/stack), its locks, its thread pool", who);
  }

  std::map<std::uint32_t, std::uint32_t> waiting_;  // connections with data unread, by process, in this sweep
};

}  // namespace

constinit const Definition kStallUnread{kSpec, make<StallUnread>};

}  // namespace tcpwhy::detect
