// SPDX-License-Identifier: GPL-2.0-only
#include "user/detect/silent.h"

#include <fmt/format.h>

#include <cerrno>

#include "user/core/host.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;

using core::ProcessLook;

// An observation that is older says how the process was, not how it is.
constexpr auto kFresh = 900ms;
constexpr auto kSecondLook = 400ms;  // what it computes is known from two
// The walk that notices a read comes up to one interval after it; that interval at the least.
constexpr auto kNoticed = 300ms;
// A process that read from another socket within this time does so now.
constexpr auto kLately = 1500ms;
// A sweep, and the observations that go with it.
constexpr auto kSameTick = 50ms;
// It has much to catch up with when it goes on.
constexpr auto kCatchesUp = 5s;
constexpr std::size_t kMostHeldUp = 1024;
// Of one CPU, between two observations: a loop that never comes to an end, and not one that works for its living.
constexpr double kBusyShare = 0.5;

// How long ago the process read from another socket than the one that has been silent for so long, where a walk proves
// that it did. Only reads after the silence began are of another socket for certain: of the silent one nothing was read
// since, but the walk that noticed its last bytes being read may have come up to an interval later.
std::optional<util::Duration> other_read(const ProcessLook* look, util::Duration silent_for, const core::Scene& scene) {
  if (!look || !look->state.read_age) return std::nullopt;
  const util::Duration age = *look->state.read_age + (scene.now() - look->at);
  const util::Duration noticed =
      std::max<util::Duration>(kNoticed, scene.facts.sweep_interval(core::host_of_pid(look->state.pid)));
  return age + noticed < silent_for ? std::optional{age} : std::nullopt;
}

// What was seen after the last look at the silent connection may be of what came after its silence.
const ProcessLook* look_at_owner(std::uint32_t pid, const core::Connection& silent, const core::Scene& scene) {
  const std::optional<util::Duration> looked = scene.facts.look_age(silent);
  if (!looked || silent.silence.only_idle()) return scene.facts.process_look(pid);
  return scene.facts.process_look(pid, scene.now() - *looked + kSameTick);
}

// Whether it computed for most of the time; absent where two looks are needed to tell, and there was one.
std::optional<bool> is_busy(const ProcessLook& look, util::Duration silent_until_look) {
  if (look.cpu_share) return *look.cpu_share >= kBusyShare;
  const auto most = std::chrono::duration_cast<util::Duration>(silent_until_look * kBusyShare);
  return look.state.state != 'R' && look.state.cpu < most ? std::optional{false} : std::nullopt;
}

ProcessActivity activity_in(const ProcessLook* look, util::Duration silent_for, const core::Scene& scene) {
  using enum ProcessActivity;
  if (!look || look->state.state == '?' || scene.now() - look->at > silent_for) return unknown;
  const abi::ProcessState& state = look->state;
  if (is_stopped(state)) return stopped;
  if (state.state == 'D') return blocked;
  const std::optional<util::Duration> read = other_read(look, silent_for, scene);
  const util::Duration lately =
      std::max<util::Duration>(kLately, 2 * scene.facts.sweep_interval(core::host_of_pid(state.pid)));
  if (read && *state.read_age < lately) return reads_elsewhere;
  const std::optional<bool> busy_now = is_busy(*look, silent_for - (scene.now() - look->at));
  if (!busy_now) return unknown;
  if (*busy_now) return busy;
  if (state.polling && *state.polling == 0) return blocked;
  if (read) return reads_elsewhere;
  return state.polling ? waiting : unknown;
}

}  // namespace

util::Duration SilentDetector::threshold(const core::Connection& c) const {
  return thresholds_.of(spec(), core::service_endpoint(c).port);
}

void SilentDetector::on_event(const abi::Event& event, core::Scene& scene) {
  if (std::holds_alternative<abi::SweepEnd>(event.body)) {
    sweep(event.host, scene);
  } else if (const auto* change = std::get_if<abi::StateChange>(&event.body)) {
    // A program that first shut down its side and then closes the descriptor changes nothing: FIN_WAIT1 to FIN_WAIT1.
    const bool closes =
        change->from != change->to && (change->to == abi::TcpState::fin_wait1 || change->to == abi::TcpState::last_ack);
    if (closes || change->to == abi::TcpState::close) on_end(*change, scene);
  }
}

void SilentDetector::sweep(std::uint32_t host, core::Scene& scene) {
  begin_sweep(scene);
  for (const std::uint64_t key : scene.facts.silent()) {
    const core::Connection* c = scene.facts.connection(abi::SocketId{key});
    if (!c || c->host != host) continue;
    const std::optional<util::BootTime> since = silent_since(*c, scene);
    if (since && scene.now() - *since >= opens_after(*c))
      scene.book.raise(*this, {c->key, abi::SocketId::none}, *since);
  }
  for (const core::Subject& subject : scene.book.open_subjects(*this)) {
    const core::Connection* c = scene.facts.connection(subject.connection);
    if (c && c->host != host) continue;
    const core::Case* open = scene.book.find(*this, subject);
    const std::optional<util::BootTime> since = c ? silent_since(*c, scene) : std::nullopt;
    // What moved and is silent again is another silence.
    if (!since || (open && *since > open->since + 100ms && scene.now() - *since < opens_after(*c)))
      scene.book.close(*this, subject, core::Ended::recovered);
  }
}

void SilentDetector::on_end(const abi::StateChange& change, core::Scene& scene) {
  const core::Connection* c = scene.facts.connection(change.socket.id);
  if (!c) return;
  const core::Subject subject{c->key, abi::SocketId::none};
  const core::Case* open = scene.book.find(*this, subject);
  if (open)
    scene.book.close(*this, subject,
                     moved_at_last(change.socket, open->since, scene) ? core::Ended::recovered : how_ended(*c, change));
}

core::Ended how_ended(const core::Connection& c, const abi::StateChange& change) {
  if (c.ending && c.ending->err == ETIMEDOUT) return core::Ended::timed_out;
  if (c.reset_received || c.reset_sent) return core::Ended::reset;
  return change.owner.exiting || c.owner_exit ? core::Ended::process_exit : core::Ended::closed;
}

bool is_stopped(const abi::ProcessState& state) { return state.state == 'T' || state.state == 't'; }

void observe_activity(std::uint32_t pid, const core::Scene& scene) {
  const ProcessLook* look = scene.facts.process_look(pid);
  if (!look || scene.now() - look->at > (look->cpu_share ? kFresh : kSecondLook)) scene.book.observe(pid);
}

ProcessActivity SilentDetector::activity_of(std::uint32_t pid, const core::Connection& silent,
                                            util::Duration silent_for, const core::Scene& scene) const {
  using enum ProcessActivity;
  observe_activity(pid, scene);
  const ProcessActivity activity = activity_in(look_at_owner(pid, silent, scene), silent_for, scene);
  if (activity == stopped || activity == busy || activity == blocked) {
    if (held_up_.size() >= kMostHeldUp) held_up_.clear();
    held_up_[pid] = {activity, scene.now()};
  } else if (const auto it = held_up_.find(pid); it != held_up_.end()) {
    // Where sweeps are rare, both looks at the process may be younger than the last at the connection.
    const util::Duration rare = 2 * scene.facts.sweep_interval(core::host_of_pid(pid));
    if (scene.now() - it->second.second < std::max<util::Duration>(kCatchesUp, rare)) return it->second.first;
    if (activity != unknown) held_up_.erase(it);
  }
  return activity;
}

std::string_view cause_of(ProcessActivity activity) {
  switch (activity) {
    case ProcessActivity::stopped:
      return "process-stopped";
    case ProcessActivity::busy:
      return "process-busy";
    case ProcessActivity::blocked:
      return "process-blocked";
    case ProcessActivity::reads_elsewhere:
      return "forgotten-fd";
    case ProcessActivity::waiting:
    case ProcessActivity::unknown:
      break;
  }
  return "unknown";
}

core::Confidence confidence_of(ProcessActivity activity) {
  if (activity == ProcessActivity::stopped) return core::Confidence::certain;
  return activity == ProcessActivity::unknown ? core::Confidence::unsure : core::Confidence::likely;
}

void add_activity(core::Evidence& evidence, std::uint32_t pid, const core::Connection& silent, ProcessActivity activity,
                  util::Duration silent_for, const core::Scene& scene) {
  const ProcessLook* look = look_at_owner(pid, silent, scene);
  if (look) add_process(evidence, look->state);
  if (activity == ProcessActivity::waiting) evidence.set("waits_for_sockets", true);
  if (activity != ProcessActivity::reads_elsewhere) return;
  if (const auto read = other_read(look, silent_for, scene)) evidence.set("other_read_ms", util::to_ms(*read));
}

std::string activity_words(const core::Finding& f) {
  const std::string who = f.culprit.process ? core::name_of(*f.culprit.process) : "the process";
  if (f.cause == "process-stopped") return who + " is stopped (SIGSTOP or a debugger)";
  if (f.cause == "process-busy") return who + " computes all the time and reads from no socket";
  if (f.cause == "process-blocked") return fmt::format("{} is {}", who, f.evidence.text("process_state"));
  if (f.cause == "forgotten-fd") return who + " is alive and waits for or reads from other sockets, but not from this";
  if (!f.culprit.process) return "unknown: no process is known to hold the socket";
  if (!f.evidence.has("process_state")) return fmt::format("unknown: {} could not be observed", who);
  if (!f.evidence.flag("waits_for_sockets"))
    return fmt::format("unknown: {} was observed as {}, but not what it waits for", who,
                       f.evidence.text("process_state"));
  return fmt::format(
      "unknown: {} is {} and waits for sockets; it is not stopped and does not compute, and no read from another "
      "socket was observed since",
      who, f.evidence.text("process_state"));
}

std::string unknown_activity_advice(const core::Finding& f) {
  if (!f.culprit.process) return "find the process that holds the socket: ss -tnpe";
  const std::uint32_t pid = core::plain_pid(f.culprit.process->pid);
  return fmt::format(
      "check whether {} still asks for this socket (strace slows it while it runs): "
      "timeout 5 strace -f -p {} -e trace=epoll_ctl,epoll_wait,poll,ppoll,read,recvfrom",
      core::name_of(*f.culprit.process), pid);
}

core::Culprit blame_peer(const core::Connection& c, const core::Scene& scene) {
  // One that has ended meanwhile is to blame for what it did not do before.
  if (const core::Connection* peer = scene.facts.peer_of(c)) {
    const core::Listener* l = scene.facts.listener(peer->listener);
    if (peer->in_accept_queue() && l) return blame_owner(l->owners);
    if (!peer->ending || !peer->owners.empty()) return blame_owner(peer->owners);
  }
  if (c.tuple.remote.addr.is_loopback()) return blame(core::CulpritKind::unknown);
  return blame_remote(c.tuple.remote);
}

}  // namespace tcpwhy::detect
