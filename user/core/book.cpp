// SPDX-License-Identifier: GPL-2.0-only
// Cases: raised by detectors, judged when due, answered, ended. What becomes of a verdict is in book_groups.cpp.
#include "user/core/book.h"

#include <algorithm>
#include <utility>

#include "user/core/host.h"
#include "user/core/place.h"

namespace tcpwhy::core {
namespace {

using namespace std::chrono_literals;

// Longer where there are thousands: judging them all must not cost more than telling of them is worth.
constexpr auto kJudgeAgain = 500ms;
constexpr std::size_t kCasesPerInterval = 1000;
// In one tick; what is left is judged in the next. A number and not a time, so that a replay does the same.
constexpr std::size_t kJudgmentsPerTick = 2000;
// A finding waits for the answer to its want, but not longer than this: then what is not known stays unknown.
constexpr auto kWaitForAnswer = 1s;
// On a host with time to spare it is there by then. What ends while a later answer is waited for is told all the same.
constexpr auto kAnswerIsLate = 400ms;
constexpr std::size_t kMostWaiting = 2000;  // cases, with events that wait for an answer among them
constexpr auto kObserveAgain = 450ms;
constexpr auto kObserveCrowd = 3s;
constexpr std::size_t kManyObserved = 200;  // in a second
constexpr std::size_t kMostObserved = 8192;
// Of memory, for a case with its place in a group; the share of all that cases may take.
constexpr std::size_t kCaseBytes = 640;
constexpr std::size_t kCasesShare = 4;  // 1 in

// /proc gives a start in ticks of 10 ms, the kernel side in nanoseconds.
bool same_start(util::BootTime a, util::BootTime b) {
  const auto apart = a > b ? a - b : b - a;
  return a == util::BootTime{} || apart <= 20ms;
}

}  // namespace

ConnectionView view_of(const Connection& c) {
  return {c.number, c.tuple.local,           c.tuple.remote, c.tuple.netns,
          c.role,   abi::to_string(c.state), c.host,         c.socket.cgroup_id};
}

std::optional<ListenerView> view_of(const Listener* l) {
  if (!l) return std::nullopt;
  return ListenerView{l->tuple.local, l->tuple.netns, l->queue, l->limit, l->owners, l->host, l->cgroup_id};
}

Book::Book(Facts& facts, const Settings& settings)
    : facts_(facts),
      settings_(settings),
      most_cases_(std::max<std::size_t>(1024, settings.table_bytes / kCasesShare / kCaseBytes)),
      observed_(kMostObserved) {}

Book::Key Book::key_of(const Detector& detector, Subject subject) const {
  std::uint64_t order = static_cast<std::uint64_t>(subject.listener);
  if (const Connection* c = facts_.connection(subject.connection)) order = c->number;
  return {detector.rank(), detector.slug(), order};
}

void Book::be_due(Entry& entry, util::BootTime when) {
  due_.erase({entry.due, &entry});
  entry.due = when;
  due_.emplace(when, &entry);
}

void Book::end(Entry& entry, Ended how) {
  if (entry.ended) return;
  entry.ended = how;
  ending_.emplace(*entry.key, &entry);
}

Book::Entries::iterator Book::erase(Entries::iterator it) {
  Entry& entry = it->second;
  due_.erase({entry.due, &entry});
  ending_.erase(it->first);
  facts_.unpin(entry.c.subject.connection, entry.c.subject.listener);
  return entries_.erase(it);
}

void Book::raise(Detector& detector, Subject subject, util::BootTime since) {
  const Key key = key_of(detector, subject);
  auto it = entries_.find(key);
  const bool is_new = it == entries_.end();
  if (is_new && entries_.size() >= most_cases_) {
    evictions_["cases"] += 1;
    return;
  }
  if (is_new) it = entries_.try_emplace(key).first;
  Entry& entry = it->second;
  Case& c = entry.c;
  c.touched = facts_.now();
  if (!is_new) {
    if (c.subject != subject) {  // its connection got another key: its cookie
      facts_.unpin(c.subject.connection, c.subject.listener);
      facts_.pin(subject.connection, subject.listener);
      c.subject = subject;
    }
    c.times += 1;
    if (entry.ended) ending_.erase(key);
    entry.ended.reset();
    entry.judged = {};
    // Of thousands each is raised in each sweep, and judged in its turn.
    if (detector.instant() || entries_.size() <= kCasesPerInterval) be_due(entry, facts_.now());
    return;
  }
  entry.key = &it->first;
  c.detector = &detector;
  c.subject = subject;
  c.since = since;
  c.raised = facts_.now();
  facts_.pin(subject.connection, subject.listener);
  be_due(entry, facts_.now());
}

bool Book::add(const Detector& detector, Subject subject, std::uint64_t more) {
  const auto it = entries_.find(key_of(detector, subject));
  if (it == entries_.end() || it->second.group) return false;
  it->second.more += more;
  return true;
}

void Book::close(const Detector& detector, Subject subject, Ended how) {
  const auto it = entries_.find(key_of(detector, subject));
  if (it != entries_.end()) end(it->second, how);
}

void Book::look_again(const Detector& detector, Subject subject) {
  const auto it = entries_.find(key_of(detector, subject));
  if (it == entries_.end() || !it->second.is_told || it->second.judged != util::BootTime{}) return;
  Entry& entry = it->second;
  const std::string_view cause = entry.cause;
  const util::Boxed<Told> before = entry.told;
  judge(entry, true);
  // It counts what was not counted yet; why it happened, the end may have wiped out (an error that ICMP left).
  if (before && entry.cause != cause) place(entry, *before);
}

void Book::withdraw(const Detector& detector, Subject subject) {
  const auto it = entries_.find(key_of(detector, subject));
  if (it != entries_.end() && !it->second.group) erase(it);
}

const Case* Book::find(const Detector& detector, Subject subject) const {
  const auto it = entries_.find(key_of(detector, subject));
  return it == entries_.end() ? nullptr : &it->second.c;
}

void Book::observe(std::uint32_t pid) {
  const util::BootTime now = facts_.now();
  const auto [asked, is_new] = observed_.use(pid, now);
  // Where very many are asked for, those that were not observed yet come first.
  if (now - observing_since_ >= 1s) observing_since_ = now, asked_before_ = std::exchange(asked_lately_, 0);
  const bool crowded = std::max(asked_lately_, asked_before_) >= kManyObserved;
  if (!is_new && now - asked < (crowded ? kObserveCrowd : kObserveAgain)) return;
  asked = now;
  asked_lately_ += 1;
  wants_.processes.push_back(pid);
}

Wants Book::take_wants() {
  wants_.whole_sweep = facts_.take_whole_sweep_wanted();
  return std::exchange(wants_, {});
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
  // In a storm of events nobody waits: what the walk would find is of the few that it can look for.
  if (entry.c.detector->instant() && entries_.size() > kMostWaiting) return false;
  if (verdict.severity > Severity::info) return true;
  const Connection* c = facts_.connection(entry.c.subject.connection);
  return c && entry.c.detector->info_needs_owners() && facts_.is_local(c->tuple.remote.addr, 0);
}

bool Book::still_waits(const Entry& entry) const {
  return entry.asked && entry.judged == util::BootTime{} && !entry.ended &&
         facts_.seed_walks(host_of(entry.c.subject)) == entry.asked_walks &&
         facts_.now() - entry.asked_at < kWaitForAnswer;
}

bool Book::answered(Entry& entry, const Verdict& verdict, bool& waiting) {
  if (entry.asked)
    waiting = facts_.seed_walks(host_of(entry.c.subject)) == entry.asked_walks &&
              facts_.now() - entry.asked_at < kWaitForAnswer;
  else
    ask(entry, verdict, waiting);
  return !waiting;
}

void Book::ask(Entry& entry, const Verdict& verdict, bool& waiting) {
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
  if (entry.c.detector->rests_on_looks() && told.connection)
    if (const auto age = facts_.look_age(*facts_.connection(entry.c.subject.connection)))
      verdict.evidence.set("looked_ms", util::to_ms(*age));
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

// A look that is older than an interval may be of what is over by now: the next sweep says.
bool Book::needs_younger_look(const Entry& entry, const Verdict& verdict) const {
  if (!entry.c.detector->rests_on_looks() || (entry.is_told && verdict.severity <= entry.severity)) return false;
  const Connection* c = facts_.connection(entry.c.subject.connection);
  return c && !facts_.looked_at_lately(*c);
}

// It ended while its answer was late.
void Book::judge_pending(Entry& entry) {
  if (!settings_.lets_through(alone(*entry.pending))) return;
  Told told = *entry.pending;
  entry.pending.reset();
  entry.late = true;
  place(entry, std::move(told));
}

void Book::judge(Entry& entry, bool final) {
  entry.judged = facts_.now();
  entry.is_overdue = false;
  // What is over stays as it was told: facts of afterwards (a queue that drained) explain it no better.
  if (entry.ended && entry.is_told) return;
  if (entry.ended && entry.pending) return judge_pending(entry);
  const Scene scene{facts_, *this, settings_.identity.wall, final};
  std::optional<Verdict> verdict = entry.c.detector->judge(entry.c, scene);
  if (!verdict) return;
  if (is_off(*entry.c.detector, *verdict)) {
    if (entry.c.detector->instant()) end(entry, Ended::closed);  // nobody else would ever forget it
    return;
  }
  if (!final && needs_younger_look(entry, *verdict)) return;
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
  if (!settings_.lets_through(alone(told))) {
    if (entry.c.detector->instant()) end(entry, Ended::closed);
    return;
  }
  // A milder view of what was told worse (the queue drains, the loss turns out to be random) comes too late.
  if (entry.is_told && told.verdict.severity < entry.severity) return;
  place(entry, std::move(told));
}

// What is due in this tick, as far as there is time for it: the most severe first, then what waits longest.
std::vector<Book::Entry*> Book::take_due(bool final) {
  const util::BootTime now = facts_.now();
  std::vector<Entry*> due;
  if (final) {
    for (auto& [key, entry] : entries_) due.push_back(&entry);
    return due;
  }
  for (auto it = due_.begin(); it != due_.end() && it->first <= now; ++it) due.push_back(it->second);
  // Of very many, those whose answer cannot be there yet are not even asked.
  if (due.size() > kJudgmentsPerTick) std::erase_if(due, [this](const Entry* e) { return still_waits(*e); });
  if (due.size() > kJudgmentsPerTick) {
    const auto end_of_first = due.begin() + static_cast<std::ptrdiff_t>(kJudgmentsPerTick);
    std::nth_element(due.begin(), end_of_first, due.end(), [](const Entry* a, const Entry* b) {
      if (a->severity != b->severity) return a->severity > b->severity;
      return a->due != b->due ? a->due < b->due : *a->key < *b->key;
    });
    for (auto late = end_of_first; late != due.end(); ++late) {
      most_behind_ = std::max(most_behind_, now - (*late)->due);
      (*late)->is_overdue = true;
    }
    due.erase(end_of_first, due.end());
  }
  std::sort(due.begin(), due.end(), [](const Entry* a, const Entry* b) { return *a->key < *b->key; });
  return due;
}

void Book::judge_due(bool final) {
  const util::Duration again = kJudgeAgain * static_cast<int>(1 + entries_.size() / kCasesPerInterval);
  for (Entry* entry : take_due(final)) {
    judge(*entry, final);
    // An event waits for its moment: its connection is not remembered for long.
    const util::Duration pause = entry->c.detector->instant() ? util::Duration{kJudgeAgain} : again;
    be_due(*entry, entry->judged == util::BootTime{} ? facts_.now() : facts_.now() + pause);
    if (entry->c.detector->instant() && entry->group) ending_.emplace(*entry->key, entry);
    const Subject& subject = entry->c.subject;
    if (subject.connection != abi::SocketId::none && !facts_.connection(subject.connection)) end(*entry, Ended::closed);
  }
}

// The table of connections had no room for what these stand on.
void Book::note_forgotten() {
  if (!facts_.any_forgotten()) return;
  for (auto& [key, entry] : entries_)
    if (facts_.was_forgotten(entry.c.subject.connection)) end(entry, Ended::forgotten);
}

void Book::finish_ended() {
  for (auto it = ending_.begin(); it != ending_.end();) {
    const auto next = std::next(it);
    Entry& entry = *it->second;
    const bool is_told_instant = entry.c.detector->instant() && entry.group;
    // Its turn to be judged has not come; or, told in this tick, it ends in the next: one line says what it was, one how
    // it ended.
    const bool stays = is_told_instant || entry.is_overdue || std::exchange(entry.late, false);
    if (!stays) {
      leave(entry, *entry.ended);
      erase(entries_.find(it->first));
    }
    it = next;
  }
}

// Their lines are out.
void Book::erase_told_instants() {
  for (auto it = ending_.begin(); it != ending_.end();) {
    const auto next = std::next(it);
    if (it->second->c.detector->instant() && it->second->group) erase(entries_.find(it->first));
    it = next;
  }
}

std::vector<OpenCase> Book::open_cases() const {
  std::vector<OpenCase> cases;
  for (const auto& [key, entry] : entries_) {
    if (!entry.group || entry.group->id == 0 || entry.ended || entry.c.detector->instant()) continue;
    cases.push_back({entry.group->id, key.slug, entry.severity, entry.c.since, entry.c.subject});
  }
  return cases;
}

std::uint32_t Book::host_of(Subject subject) const {
  if (const Connection* c = facts_.connection(subject.connection)) return c->host;
  if (const Listener* l = facts_.listener(subject.listener)) return l->host;
  return host_of_stand_in(subject.listener);
}

void Book::end_of_host(std::uint32_t host) {
  for (auto& [key, entry] : entries_)
    if (host_of(entry.c.subject) == host) end(entry, Ended::trace_end);
}

}  // namespace tcpwhy::core
