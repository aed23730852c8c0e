// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/book.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "user/core/host.h"
#include "user/core/place.h"

namespace tcpwhy::core {
namespace {

using namespace std::chrono_literals;

// Longer where there are thousands: judging them all must not cost more than telling of them is worth.
constexpr auto kJudgeAgain = 500ms;
constexpr std::size_t kCasesPerInterval = 1000;
// A finding waits for the answer to its want, but not longer than this: then what is not known stays unknown.
constexpr auto kWaitForAnswer = 1s;
// On a host with time to spare it is there by then. What ends while a later answer is waited for is told all the same.
constexpr auto kAnswerIsLate = 400ms;
// A condition that returns within this is the same one: it never flaps.
constexpr auto kLinger = 1s;
constexpr auto kObserveAgain = 450ms;
constexpr std::size_t kMostObserved = 1024;
constexpr std::size_t kExamples = 5;
constexpr std::size_t kSeenPerGroup = 100000;

// How much a culprit says: a better explanation names somebody.
int specificity(const Culprit& culprit) {
  switch (culprit.kind) {
    case CulpritKind::local_process:
    case CulpritKind::local_firewall:
    case CulpritKind::kernel_limit:
      return 2;
    case CulpritKind::remote_host:
    case CulpritKind::network:
      return 1;
    case CulpritKind::unknown:
      break;
  }
  return 0;
}

// /proc gives a start in ticks of 10 ms, the kernel side in nanoseconds.
bool same_start(util::BootTime a, util::BootTime b) {
  const auto apart = a > b ? a - b : b - a;
  return a == util::BootTime{} || apart <= 20ms;
}

// How most of them ended.
Ended most(const std::map<Ended, std::uint64_t>& ends) {
  const auto it =
      std::max_element(ends.begin(), ends.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return it == ends.end() ? Ended::recovered : it->first;
}

std::string process_key(const Process& p) {
  return std::to_string(p.pid) + "@" + std::to_string(p.start.time_since_epoch().count());
}

}  // namespace

ConnectionView view_of(const Connection& c) {
  return {c.number, c.tuple.local, c.tuple.remote, c.tuple.netns, c.role, abi::to_string(c.state), c.host};
}

std::optional<ListenerView> view_of(const Listener* l) {
  if (!l) return std::nullopt;
  return ListenerView{l->tuple.local, l->tuple.netns, l->queue, l->limit, l->owners, l->host};
}

// Cases ---------------------------------------------------------------------------------------------------------------

Book::Key Book::key_of(const Detector& detector, Subject subject) const {
  std::uint64_t order = static_cast<std::uint64_t>(subject.listener);
  if (const Connection* c = facts_.connection(subject.connection)) order = c->number;
  return {detector.rank(), detector.slug(), order};
}

void Book::raise(Detector& detector, Subject subject, util::BootTime since) {
  const auto [it, is_new] = entries_.try_emplace(key_of(detector, subject));
  Case& c = it->second.c;
  c.touched = facts_.now();
  if (!is_new) {
    c.times += 1;
    it->second.judged = {};
    it->second.ended.reset();
    return;
  }
  c.detector = &detector;
  c.subject = subject;
  c.since = since;
  c.raised = facts_.now();
}

void Book::close(const Detector& detector, Subject subject, Ended how) {
  const auto it = entries_.find(key_of(detector, subject));
  if (it != entries_.end() && !it->second.ended) it->second.ended = how;
}

void Book::look_again(const Detector& detector, Subject subject) {
  const auto it = entries_.find(key_of(detector, subject));
  if (it == entries_.end() || !it->second.told || it->second.judged != util::BootTime{}) return;
  Entry& entry = it->second;
  Told before = *entry.told;
  judge(it->first, entry, true);
  // It counts what was not counted yet; why it happened, the end may have wiped out (an error that ICMP left).
  if (entry.told->verdict.cause == before.verdict.cause) return;
  entry.told = std::move(before);
  place(it->first, entry);
}

void Book::withdraw(const Detector& detector, Subject subject) {
  const auto it = entries_.find(key_of(detector, subject));
  if (it != entries_.end() && it->second.group.empty()) entries_.erase(it);
}

const Case* Book::find(const Detector& detector, Subject subject) const {
  const auto it = entries_.find(key_of(detector, subject));
  return it == entries_.end() ? nullptr : &it->second.c;
}

void Book::observe(std::uint32_t pid) {
  const auto [it, is_new] = observed_.try_emplace(pid, facts_.now());
  if (!is_new && facts_.now() - it->second < kObserveAgain) return;
  it->second = facts_.now();
  wants_.processes.push_back(pid);
  if (observed_.size() > kMostObserved)
    std::erase_if(observed_, [this](const auto& o) { return facts_.now() - o.second > settings_.window; });
}

std::vector<Subject> Book::open_subjects(const Detector& detector) const {
  std::vector<Subject> result;
  for (auto it = entries_.lower_bound(Key{detector.rank(), detector.slug(), 0}); it != entries_.end(); ++it) {
    if (it->first.slug != detector.slug()) break;
    if (!it->second.ended) result.push_back(it->second.c.subject);
  }
  return result;
}

// Asks once who holds the two ends and how the culprit does; true when there is nothing (more) to wait for.
// What is only worth knowing is worth a walk where the silent one is on this host: it is the culprit.
bool Book::asks(const Entry& entry, const Verdict& verdict) const {
  if (verdict.severity > Severity::info) return true;
  const Connection* c = facts_.connection(entry.c.subject.connection);
  return c && entry.c.detector->info_needs_owners() && facts_.is_local(c->tuple.remote.addr, 0);
}

bool Book::answered(Entry& entry, const Verdict& verdict, bool& waiting) {
  if (entry.asked) {
    waiting = facts_.seed_walks(host_of(entry.c.subject)) == entry.asked_walks &&
              facts_.now() - entry.asked_at < kWaitForAnswer;
    return !waiting;
  }
  entry.asked = true;
  entry.asked_at = facts_.now();
  entry.asked_walks = facts_.seed_walks(host_of(entry.c.subject));
  Wants asked;
  if (const Connection* c = facts_.connection(entry.c.subject.connection)) {
    const Connection* peer = facts_.peer_of(*c);
    if (c->owner_basis != OwnerBasis::observed && !c->ending) asked.sockets.push_back(c->tuple);
    const bool peer_may_be_there = !peer || (peer->owner_basis != OwnerBasis::observed && !peer->ending);
    if (peer_may_be_there && !(c->ending && peer)) asked.sockets.push_back(c->tuple.mirrored());
  }
  const Listener* listener = facts_.listener(entry.c.subject.listener);
  if (!listener) listener = facts_.listener(verdict.listener);
  if (listener && !listener->ended) asked.sockets.push_back(listener->tuple);
  if (verdict.siblings) asked.sockets.push_back(*verdict.siblings);
  if (verdict.culprit.process) asked.processes.push_back(verdict.culprit.process->pid);
  waiting = !asked.empty();
  wants_.sockets.insert(wants_.sockets.end(), asked.sockets.begin(), asked.sockets.end());
  wants_.processes.insert(wants_.processes.end(), asked.processes.begin(), asked.processes.end());
  return !waiting;
}

Book::Told Book::tell(const Entry& entry, Verdict verdict) const {
  Told told;
  told.since = entry.c.since;
  told.host = host_of(entry.c.subject);
  const Listener* listener = facts_.listener(entry.c.subject.listener);
  if (!listener) listener = facts_.listener(verdict.listener);
  if (const Connection* c = facts_.connection(entry.c.subject.connection)) {
    told.connection = view_of(*c);
    told.owner = c->owner();
    if (const Connection* peer = facts_.peer_of(*c)) told.peer = PeerView{view_of(*peer), peer->owner()};
    if (!listener) listener = facts_.listener(c->listener);
  }
  told.listener = view_of(listener);
  if (!told.connection && listener && !listener->owners.empty()) told.owner = listener->owners.front();
  if (verdict.culprit.process) {
    const abi::ProcessState* state = facts_.process(verdict.culprit.process->pid);
    if (state && same_start(verdict.culprit.process->start, state->start))
      verdict.culprit.process->cgroup = state->cgroup;
  }
  const bool lost = facts_.lost_since(entry.c.since, told.host) ||
                    (told.peer && facts_.lost_since(entry.c.since, told.peer->connection.host));
  if (verdict.confidence == Confidence::likely && lost) {
    verdict.confidence = Confidence::unsure;
    verdict.evidence.set("events_lost", facts_.lost_total());
  }
  told.verdict = std::move(verdict);
  return told;
}

// What a filter looks at.
Finding Book::alone(const Told& told) {
  Finding f;
  f.connection = told.connection;
  f.owner = told.owner;
  f.peer = told.peer;
  f.listener = told.listener;
  f.culprit = told.verdict.culprit;
  f.service = told.verdict.service;
  return f;
}

// Switched off for the service that it is about.
bool Book::is_off(const Detector& detector, const Verdict& verdict) const {
  const Thresholds& thresholds = settings_.thresholds;
  return verdict.service ? thresholds.off(detector.slug(), verdict.service->port) : thresholds.off(detector.slug());
}

void Book::judge(const Key& key, Entry& entry, bool final) {
  entry.judged = facts_.now();
  // What is over stays as it was told: facts of afterwards (a queue that drained) explain it no better.
  if (entry.ended && entry.told) return;
  if (entry.ended && entry.pending) {
    if (settings_.lets_through(alone(*entry.pending))) {
      entry.told = std::exchange(entry.pending, std::nullopt);
      entry.late = true;
      place(key, entry);
    }
    return;
  }
  const Scene scene{facts_, *this, settings_.identity.wall, final};
  std::optional<Verdict> verdict = entry.c.detector->judge(entry.c, scene);
  if (!verdict) return;
  if (is_off(*entry.c.detector, *verdict)) {
    if (entry.c.detector->instant()) entry.ended = Ended::closed;  // nobody else would ever forget it
    return;
  }
  bool waiting = false;
  // Only what will be read is worth a walk over the host's processes.
  // Told as no more than info before, its owners were not asked for.
  if (!final && asks(entry, *verdict) && !answered(entry, *verdict, waiting)) {
    entry.judged = {};
    if (!entry.c.detector->instant() && !entry.ended && facts_.now() - entry.asked_at >= kAnswerIsLate)
      entry.pending = tell(entry, std::move(*verdict));
    return;
  }
  entry.pending.reset();
  // Each case by itself, before it is counted: what an aggregate shows are only some of its connections.
  Told told = tell(entry, std::move(*verdict));
  if (!settings_.lets_through(alone(told))) return;
  // A milder view of what was told worse (the queue drains, the loss turns out to be random) comes too late.
  if (entry.told && told.verdict.severity < entry.told->verdict.severity) return;
  entry.told = std::move(told);
  place(key, entry);
}

// Groups --------------------------------------------------------------------------------------------------------------

std::uint32_t Book::netns_of(const Told& told) {
  if (told.connection) return told.connection->netns;
  return told.listener ? told.listener->netns : 0;
}

std::string Book::culprit_key(const Told& told) {
  const Culprit& culprit = told.verdict.culprit;
  const std::uint32_t host = culprit.host.value_or(told.host);
  const std::string on_host = host == 0 ? std::string{} : " on " + std::to_string(host);
  const std::string service = told.verdict.service ? util::to_string(*told.verdict.service) : std::string{};
  const std::string kind{to_string(culprit.kind)};
  if (culprit.process) return kind + " " + process_key(*culprit.process);
  // The same address in two namespaces is two hosts.
  if (culprit.remote)
    return kind + " " + util::to_string(culprit.remote->addr) + " " + std::to_string(netns_of(told)) + on_host;
  return kind + " " + service + " " + std::to_string(netns_of(told)) + on_host;
}

std::string Book::group_key(const Detector& detector, const Told& told) const {
  std::string key{detector.slug()};
  key += ' ';
  key += told.verdict.cause;
  key += ' ';
  key += culprit_key(told);
  if (told.verdict.service) key += " " + util::to_string(*told.verdict.service);
  key += " " + std::to_string(netns_of(told));
  if (told.verdict.direction) key += told.verdict.direction == Direction::sent ? " s" : " r";
  // Ordinary ones must not be counted into one that is not.
  if (detector.instant()) key += told.verdict.severity == Severity::info ? " i" : " w";
  return key;
}

void Book::place(const Key& key, Entry& entry) {
  Detector& detector = *entry.c.detector;
  const std::string wanted = group_key(detector, *entry.told);
  if (!entry.group.empty() && entry.group != wanted && !detector.instant()) move(key, entry, wanted);
  if (entry.group.empty()) entry.group = wanted;
  const auto [it, is_new] = groups_.try_emplace(entry.group);
  Group& group = it->second;
  if (is_new) {
    group.detector = &detector;
    group.since = entry.told->since;
    group.opened = facts_.now();
    group.culprit = culprit_key(*entry.told);
  }
  if (group.active.empty()) group.ends.clear();
  group.active[key] = *entry.told;
  if (group.seen.size() < kSeenPerGroup && group.seen.insert(key.order).second) {
    group.total += 1;
    group.fresh += 1;
    if (entry.told->connection && group.examples.size() < kExamples) group.examples.push_back(*entry.told->connection);
  }
  group.since = std::min(group.since, entry.told->since);
}

// A better explanation of the same trouble: its finding changes its cause and keeps its id, or, where others have found
// that explanation before, it joins theirs.
void Book::move(const Key& key, Entry& entry, const std::string& wanted) {
  const auto old = groups_.find(entry.group);
  if (old == groups_.end()) return;
  Group& from = old->second;
  const Verdict& now = entry.told->verdict;
  const Verdict& then = from.primary.verdict;
  const auto worth = [](const Verdict& v) {
    return std::tuple{specificity(v.culprit), v.severity, -static_cast<int>(v.confidence)};
  };
  const bool better = worth(now) > worth(then);
  // Once, to where others are already: connections that were told apart for want of a look at the process are one finding.
  const bool joins = !entry.joined && groups_.contains(wanted) && groups_.at(wanted).id != 0;
  entry.joined = entry.joined || joins;
  if (!better && from.total > 1 && !joins) return;
  if (!groups_.contains(wanted)) {
    auto node = groups_.extract(old);
    node.key() = wanted;
    node.mapped().changed = true;
    // The others of the group follow; whoever sees less than this stays here all the same.
    const std::string before = entry.group;  // this entry is one of them
    for (auto& [other_key, other] : entries_)
      if (other.group == before) other.group = wanted;
    groups_.insert(std::move(node));
    return;
  }
  from.active.erase(key);
  from.last_end = facts_.now();
  from.merged = wanted;
  entry.group = wanted;
}

// Told while its process lived: how it ended belongs to the last line.
void Book::note_exit(Told& told, Subject subject) const {
  const auto note = [&told](const std::optional<Process>& ended) {
    if (ended && ended->exit && told.owner && told.owner->same(*ended)) told.owner->exit = ended->exit;
  };
  if (const Connection* c = facts_.connection(subject.connection)) note(c->owner());
  if (const Listener* l = facts_.listener(subject.listener)) note(l->ended_by);
}

void Book::leave(const Key& key, Entry& entry, Ended how) {
  const auto it = groups_.find(entry.group);
  if (it == groups_.end()) return;
  Group& group = it->second;
  if (group.active.size() == 1 && group.active.contains(key)) {
    group.primary = group.active.begin()->second;
    group.severity = std::max(group.severity, group.primary.verdict.severity);
    if (how == Ended::process_exit) note_exit(group.primary, entry.c.subject);
  }
  group.active.erase(key);
  group.last_end = facts_.now();
  group.ends[how] += 1;
}

void Book::refresh(Group& group) {
  if (group.active.empty()) return;
  const Told* oldest = nullptr;
  Severity severity = Severity::info;
  for (const auto& [key, told] : group.active) {
    if (!oldest || told.since < oldest->since) oldest = &told;
    severity = std::max(severity, told.verdict.severity);
  }
  group.primary = *oldest;
  group.severity = std::max(group.severity, severity);
  group.culprit = culprit_key(group.primary);
}

Finding Book::finding_of(const Group& group, Phase phase) const {
  const Told& p = group.primary;
  const bool instant = group.detector->instant();
  Finding f;
  f.id = group.id;
  f.story = group.story;
  f.time = facts_.now();
  f.since = group.since;
  f.duration = instant ? util::Duration{} : (group.active.empty() ? group.last_end : facts_.now()) - group.since;
  f.slug = group.detector->slug();
  f.cause = p.verdict.cause;
  f.severity = group.severity;
  f.phase = phase;
  if (phase == Phase::closed) f.ended = most(group.ends);
  f.direction = p.verdict.direction;
  f.confidence = p.verdict.confidence;
  f.culprit = p.verdict.culprit;
  f.connection = p.connection;
  f.owner = p.owner;
  f.peer = p.peer;
  f.listener = p.listener;
  f.service = p.verdict.service;
  f.host = p.host;
  f.count = instant ? group.total : std::max<std::uint64_t>(1, group.active.size());
  f.count_total = std::max<std::uint64_t>(1, group.total);
  f.examples = group.examples;
  f.evidence = p.verdict.evidence;
  if (const auto into = groups_.find(group.merged);
      phase == Phase::closed && into != groups_.end() && into->second.id != 0)
    f.evidence.set("merged_into", EvidenceValue{"f-" + std::to_string(into->second.id)});
  group.detector->describe(f);
  place_commands(f, settings_.identity);
  return f;
}

// Lines ---------------------------------------------------------------------------------------------------------------

void Book::join_story(Group& group, Phase phase) {
  const util::BootTime now = facts_.now();
  const int rank = group.detector->rank();
  // Where nobody is named there is nothing that joins.
  const std::string key = group.primary.verdict.culprit.kind == CulpritKind::unknown
                              ? "unknown " + std::to_string(group.id)
                              : group.culprit;
  Story& story = stories_[key];
  const auto goes_on = [&] {
    return std::any_of(groups_.begin(), groups_.end(), [&](const auto& g) { return g.second.story == story.root; });
  };
  if (story.root == 0 || (now - story.last > settings_.window && !goes_on())) story = {group.id, rank, now, false};
  // A new root only where everybody in the story still has a line to say so.
  if (rank < story.rank && !story.told) {
    story.root = group.id;
    story.rank = rank;
  }
  story.last = now;
  story.told = story.told || phase == Phase::event || phase == Phase::closed;
  group.story = story.root;
}

void Book::emit(Group& group, Phase phase, std::vector<Finding>& out) {
  const bool first = group.id == 0;
  Finding probe = finding_of(group, phase);
  if (first) {
    group.id = next_id_++;
    opened_[std::string{probe.slug}] += 1;
  }
  worst_ = std::max(worst_.value_or(Severity::info), group.severity);
  join_story(group, phase);
  probe.id = group.id;
  probe.story = group.story;
  probe.role = group.story == group.id ? StoryRole::root : StoryRole::symptom;
  group.last_line = facts_.now();
  group.told_severity = group.severity;
  group.told_count = probe.count;
  group.told_duration = probe.duration;
  group.fresh = 0;
  group.changed = false;
  out.push_back(std::move(probe));
}

void Book::condition_line(Group& group, std::vector<Finding>& out) {
  if (group.id == 0) {
    if (!group.active.empty()) emit(group, Phase::open, out);
    return;
  }
  if (group.active.empty()) return;
  const util::Duration duration = facts_.now() - group.since;
  const bool longer = duration >= std::max<util::Duration>(2s, group.told_duration * 2);
  if (group.severity > group.told_severity || group.active.size() >= 2 * group.told_count || longer || group.changed)
    emit(group, Phase::update, out);
}

void Book::instant_line(Group& group, std::vector<Finding>& out, bool last) {
  if (group.id == 0) {
    if (group.total > 0) emit(group, Phase::event, out);
    return;
  }
  if (group.fresh == 0) return;
  if (last || group.severity > group.told_severity || facts_.now() - group.last_line >= settings_.window)
    emit(group, Phase::update, out);
}

std::vector<std::string> Book::groups_in_order() const {
  std::vector<std::string> order;
  for (const auto& [key, group] : groups_) order.push_back(key);
  std::stable_sort(order.begin(), order.end(), [this](const std::string& a, const std::string& b) {
    const Group& x = groups_.at(a);
    const Group& y = groups_.at(b);
    if ((x.id == 0) != (y.id == 0)) return x.id != 0;
    if (x.id != y.id) return x.id < y.id;
    if (x.detector->rank() != y.detector->rank()) return x.detector->rank() < y.detector->rank();
    return x.since < y.since;
  });
  return order;
}

void Book::judge_all(bool final) {
  const util::BootTime now = facts_.now();
  const auto again = kJudgeAgain * (1 + entries_.size() / kCasesPerInterval);
  for (auto& [key, entry] : entries_)
    if (final || now - entry.judged >= again || entry.judged == util::BootTime{}) judge(key, entry, final);
  for (auto it = entries_.begin(); it != entries_.end();) {
    Entry& entry = it->second;
    const bool told_instant = entry.c.detector->instant() && !entry.group.empty();
    const bool forgotten =
        entry.c.subject.connection != abi::SocketId::none && !facts_.connection(entry.c.subject.connection);
    if (forgotten && !entry.ended) entry.ended = Ended::closed;
    // Told in this tick, it ends in the next: one line says what it was, one how it ended.
    if (std::exchange(entry.late, false)) {
      ++it;
      continue;
    }
    if (entry.ended && !told_instant) leave(it->first, entry, *entry.ended);
    it = entry.ended || told_instant ? entries_.erase(it) : std::next(it);
  }
}

std::vector<OpenCase> Book::open_cases() const {
  std::vector<OpenCase> cases;
  for (const auto& [key, entry] : entries_) {
    if (!entry.told || entry.ended || entry.c.detector->instant()) continue;
    const auto group = groups_.find(entry.group);
    if (group == groups_.end() || group->second.id == 0) continue;
    cases.push_back({group->second.id, key.slug, entry.told->verdict.severity, entry.c.since, entry.c.subject});
  }
  return cases;
}

std::vector<Finding> Book::settle() { return tell_all(false); }

std::vector<Finding> Book::tell_all(bool final) {
  const util::BootTime now = facts_.now();
  judge_all(final);
  std::vector<Finding> out;
  for (const std::string& key : groups_in_order()) {
    Group& group = groups_.at(key);
    refresh(group);
    const bool instant = group.detector->instant();
    if (instant)
      instant_line(group, out, false);
    else
      condition_line(group, out);
    if (instant) group.active.clear();
    const bool over = instant ? now - group.last_line >= settings_.window && group.fresh == 0 && group.id != 0
                              : group.active.empty() && now - group.last_end >= kLinger;
    const bool hidden = group.id == 0 && (instant || group.active.empty());
    if (!over && !hidden) continue;
    if (over && !instant && group.id != 0) emit(group, Phase::closed, out);
    groups_.erase(key);
  }
  std::erase_if(stories_, [&](const auto& s) {
    return now - s.second.last > 2 * settings_.window && s.second.root != 0 &&
           std::none_of(groups_.begin(), groups_.end(), [&](const auto& g) { return g.second.story == s.second.root; });
  });
  return out;
}

std::vector<OpenFinding> Book::open() const {
  std::vector<OpenFinding> result;
  for (const auto& [key, group] : groups_)
    if (group.id != 0 && !group.detector->instant())
      result.push_back({group.id, group.detector->slug(), group.primary.verdict.cause, group.severity,
                        group.active.size(), group.total});
  return result;
}

std::uint32_t Book::host_of(Subject subject) const {
  if (const Connection* c = facts_.connection(subject.connection)) return c->host;
  if (const Listener* l = facts_.listener(subject.listener)) return l->host;
  return host_of_stand_in(subject.listener);
}

void Book::end_of_host(std::uint32_t host) {
  for (auto& [key, entry] : entries_)
    if (!entry.ended && host_of(entry.c.subject) == host) entry.ended = Ended::trace_end;
}

std::vector<Finding> Book::finish() {
  std::vector<Finding> out = tell_all(true);
  for (const std::string& key : groups_in_order()) {
    Group& group = groups_.at(key);
    refresh(group);
    if (group.detector->instant()) {
      instant_line(group, out, true);
    } else if (group.id != 0) {
      if (!group.active.empty()) group.last_end = facts_.now(), group.ends = {{Ended::trace_end, 1}};
      emit(group, Phase::closed, out);
    }
  }
  groups_.clear();
  entries_.clear();
  return out;
}

}  // namespace tcpwhy::core
