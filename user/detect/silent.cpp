// SPDX-License-Identifier: GPL-2.0-only
#include "user/detect/silent.h"

#include <fmt/format.h>

#include <cerrno>

#include "user/core/host.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;

// An observation that is older says how the process was, not how it is.
constexpr auto kFresh = 900ms;
// Of one CPU, between two observations: a loop that never comes to an end, and not one that works for its living.
constexpr auto kSameSweep = 300ms;
// Who has read nothing for longer may still be alive, but one must look what it does.
constexpr auto kLately = 1500ms;
// It has much to catch up with when it goes on.
constexpr auto kComesRound = 5s;
constexpr std::size_t kMostMoods = 1024;
constexpr double kBusyShare = 0.5;

}  // namespace

util::Duration SilentDetector::threshold(const core::Connection& c) const {
  return thresholds_.of(slug_, core::service_endpoint(c).port, otherwise_);
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

Mood mood_of(std::uint32_t pid, util::Duration silent_for, const core::Scene& scene) {
  const std::optional<util::BootTime> observed = scene.facts.process_observed(pid);
  if (!observed || scene.now() - *observed > kFresh) scene.book.observe(pid);
  const abi::ProcessState* state = observed ? scene.facts.process(pid) : nullptr;
  if (!state || state->state == '?') return Mood::unknown;
  if (is_stopped(*state)) return Mood::stopped;
  if (state->state == 'D') return Mood::blocked;
  // It reads elsewhere: this descriptor is the one that it forgot. The sweep that found it silent may be the one that
  // noticed the last of what it read before.
  const util::Duration lately =
      std::max<util::Duration>(kLately, 2 * scene.facts.sweep_interval(core::host_of_pid(pid)));
  if (state->read_age && *state->read_age + kSameSweep < silent_for && *state->read_age < lately) return Mood::alive;
  const std::optional<double> share = scene.facts.cpu_share(pid);
  if (!share) return Mood::unknown;
  if (*share >= kBusyShare) return Mood::busy;
  if (!state->polling) return Mood::unknown;
  return *state->polling > 0 ? Mood::alive : Mood::blocked;
}

Mood SilentDetector::mood_lately(std::uint32_t pid, util::Duration silent_for, const core::Scene& scene) const {
  const Mood mood = mood_of(pid, silent_for, scene);
  if (mood == Mood::stopped || mood == Mood::busy || mood == Mood::blocked) {
    if (not_alive_.size() >= kMostMoods) not_alive_.clear();
    not_alive_[pid] = {mood, scene.now()};
  } else if (const auto it = not_alive_.find(pid); mood == Mood::alive && it != not_alive_.end()) {
    if (scene.now() - it->second.second < kComesRound) return it->second.first;
    not_alive_.erase(it);
  }
  return mood;
}

std::string_view cause_of(Mood mood) {
  switch (mood) {
    case Mood::stopped:
      return "process-stopped";
    case Mood::busy:
      return "process-busy";
    case Mood::blocked:
      return "process-blocked";
    case Mood::alive:
    case Mood::unknown:
      break;
  }
  return "forgotten-fd";
}

std::string mood_words(const core::Finding& f) {
  const std::string who = f.culprit.process ? core::name_of(*f.culprit.process) : "the process";
  if (f.cause == "process-stopped") return who + " is stopped (SIGSTOP or a debugger)";
  if (f.cause == "process-busy") return who + " computes all the time and reads from no socket";
  if (f.cause == "process-blocked") return fmt::format("{} is {}", who, f.evidence.text("process_state"));
  if (f.confidence == core::Confidence::unsure) return "how the process does could not be observed";
  return who + " is alive and waits for or reads from other sockets, but not from this";
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
