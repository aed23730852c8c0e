// SPDX-License-Identifier: GPL-2.0-only
// Groups: cases that are alike are one finding; its lines, its phases, its story.
#include <algorithm>
#include <tuple>
#include <utility>

#include "user/core/book.h"
#include "user/core/host.h"
#include "user/core/place.h"

namespace tcpwhy::core {
namespace {

using namespace std::chrono_literals;

// A condition that returns within this is the same one: it never flaps.
constexpr auto kLinger = 1s;
// Where each sweep confirms what is in trouble, the next one says whether it returns.
constexpr auto kLingerConfirmed = 800ms;
// ... where others are about to be in the same trouble.
constexpr auto kLingerMost = 3s;
constexpr auto kTick = 100ms;
constexpr auto kFirstUpdate = 2s;
constexpr std::size_t kExamples = 5;
constexpr std::size_t kSeenPerGroup = 20000;
constexpr std::size_t kMostGroups = 16384;
// Of the cases of a group so many are kept with all that was told of them; of the others only how severe they are.
constexpr std::size_t kWitnesses = 64;

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
  if (!told.verdict.together.empty()) key += " " + told.verdict.together;
  key += " " + std::to_string(netns_of(told));
  if (told.verdict.direction) key += told.verdict.direction == Direction::sent ? " s" : " r";
  // Ordinary ones must not be counted into one that is not.
  if (detector.instant()) key += told.verdict.severity == Severity::info ? " i" : " w";
  return key;
}

void Book::place(Entry& entry, Told told) {
  Detector& detector = *entry.c.detector;
  const std::string wanted = group_key(detector, told);
  if (entry.group && entry.group->key != wanted && !detector.instant()) move(entry, told, wanted);
  if (!entry.group) {
    auto it = groups_.find(wanted);
    if (it == groups_.end() && groups_.size() >= kMostGroups) {
      evictions_["findings"] += 1;
      return;
    }
    if (it == groups_.end()) {
      it = groups_.try_emplace(wanted).first;
      it->second.key = wanted;
      it->second.detector = &detector;
      it->second.since = told.since;
      it->second.opened = facts_.now();
      it->second.culprit = culprit_key(told);
    }
    entry.group = &it->second;
  }
  Group& group = *entry.group;
  if (group.active.empty()) group.ends.clear();
  group.active[*entry.key] = &entry;
  group.is_dirty = true;
  entry.is_told = true;
  entry.severity = told.verdict.severity;
  entry.cause = told.verdict.cause;
  count(group, entry, told);
  group.since = std::min(group.since, told.since);
  if (!entry.told && group.witnesses >= kWitnesses && !detector.instant()) return;
  group.witnesses += entry.told ? 0 : 1;
  entry.told = std::move(told);
}

void Book::count(Group& group, Entry& entry, const Told& told) {
  const std::uint64_t more = std::exchange(entry.more, 0);
  group.total += more;
  group.fresh += more;
  // Beyond what is remembered, one that returns counts again.
  if (group.seen.size() < kSeenPerGroup ? !group.seen.insert(entry.key->order).second
                                        : group.seen.contains(entry.key->order))
    return;
  group.total += 1;
  group.fresh += 1;
  if (told.connection && group.examples.size() < kExamples) group.examples.push_back(*told.connection);
}

// It is not active in its group any more.
void Book::take_out(Entry& entry) {
  Group& group = *entry.group;
  if (group.active.erase(*entry.key) > 0 && entry.told) group.witnesses -= 1;
  group.last_end = facts_.now();
  group.is_dirty = true;
}

// A better explanation of the same trouble: its finding changes its cause and keeps its id, or, where others have found
// that explanation before, it joins theirs.
void Book::move(Entry& entry, const Told& told, const std::string& wanted) {
  Group& from = *entry.group;
  const auto worth = [](const Verdict& v) {
    return std::tuple{specificity(v.culprit), v.severity, v.cause != "unknown", -static_cast<int>(v.confidence)};
  };
  const bool better = worth(told.verdict) > worth(from.primary.verdict);
  // Once, to where others are already: connections that were told apart for want of a look at the process are one finding.
  const auto there = groups_.find(wanted);
  const bool joins = !entry.joined && there != groups_.end() && there->second.id != 0;
  entry.joined = entry.joined || joins;
  if (!better && from.total > 1 && !joins) return;
  if (there == groups_.end()) {
    // The others of the group follow; whoever sees less than this stays here all the same.
    auto node = groups_.extract(from.key);
    node.key() = wanted;
    node.mapped().key = wanted;
    node.mapped().changed = true;
    groups_.insert(std::move(node));
    return;
  }
  take_out(entry);
  entry.told.reset();
  from.merged = wanted;
  entry.group = &there->second;
}

// Told while its process lived: how it ended belongs to the last line.
void Book::note_exit(Told& told, Subject subject) const {
  const auto note = [&told](const std::optional<Process>& ended) {
    if (ended && ended->exit && told.owner && told.owner->same(*ended)) told.owner->exit = ended->exit;
  };
  if (const Connection* c = facts_.connection(subject.connection)) note(c->owner());
  if (const Listener* l = facts_.listener(subject.listener)) note(l->ended_by);
}

void Book::leave(Entry& entry, Ended how) {
  if (!entry.group) return;
  Group& group = *entry.group;
  if (group.active.size() == 1 && group.active.contains(*entry.key)) {
    if (entry.told) group.primary = *entry.told;
    group.severity = std::max(group.severity, entry.severity);
    if (how == Ended::process_exit) note_exit(group.primary, entry.c.subject);
  }
  take_out(entry);
  group.ends[how] += 1;
}

// All that there is to say of the oldest; where that was not kept, it is judged once more.
const Book::Told* Book::witness(Group& group, Entry& oldest) {
  if (oldest.told) return &*oldest.told;
  const Scene scene{facts_, *this, settings_.identity.wall, false};
  if (std::optional<Verdict> verdict = oldest.c.detector->judge(oldest.c, scene)) {
    oldest.told = tell(oldest, std::move(*verdict));
    group.witnesses += 1;
    return &*oldest.told;
  }
  for (const auto& [key, entry] : group.active)
    if (entry->told) return &*entry->told;
  return nullptr;
}

void Book::refresh(Group& group) {
  if (group.active.empty() || !group.is_dirty) return;
  Entry* oldest = nullptr;
  Severity severity = Severity::info;
  for (const auto& [key, entry] : group.active) {
    if (!oldest || entry->c.since < oldest->c.since) oldest = entry;
    severity = std::max(severity, entry->severity);
  }
  if (const Told* told = witness(group, *oldest)) group.primary = *told;
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

void Book::join_story(Group& group, Phase phase) {
  const util::BootTime now = facts_.now();
  const int rank = group.detector->rank();
  // Where nobody is named there is nothing that joins.
  const std::string key = group.primary.verdict.culprit.kind == CulpritKind::unknown
                              ? "unknown " + std::to_string(group.id)
                              : group.culprit;
  Story& story = stories_[key];
  if (story.root == 0 || (now - story.last > settings_.window && !story_goes_on(story.root)))
    story = {group.id, rank, now, false};
  // A new root only where everybody in the story still has a line to say so.
  if (rank < story.rank && !story.told) {
    story.root = group.id;
    story.rank = rank;
  }
  story.last = now;
  story.told = story.told || phase == Phase::event || phase == Phase::closed;
  leave_story(group);
  group.story = story.root;
  members_[group.story] += 1;
}

void Book::leave_story(Group& group) {
  const auto it = members_.find(group.story);
  if (it == members_.end() || group.story == 0) return;
  if (--it->second == 0) members_.erase(it);
  group.story = 0;
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
  const bool longer = duration >= std::max<util::Duration>(kFirstUpdate, group.told_duration * 2);
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

util::Duration Book::linger(const Group& group) const {
  return facts_.sweeps_confirm(group.primary.host) ? kLingerConfirmed : kLinger;
}

// Of a condition: nobody is in it any more, and nobody is about to be.
bool Book::is_over(const Group& group) const {
  if (!group.active.empty()) return false;
  const util::Duration rest = facts_.now() - group.last_end;
  if (rest < linger(group)) return false;
  const auto& connection = group.primary.connection;
  return rest >= kLingerMost || group.id == 0 || !connection || !group.detector->goes_on(*connection, facts_);
}

// When the passing of time makes a line of it, or its end.
util::BootTime Book::next_look(const Group& group) const {
  if (group.detector->instant()) return group.last_line + settings_.window;
  if (group.active.empty()) return std::max(group.last_end + linger(group), facts_.now() + kTick);
  return group.since + std::max<util::Duration>(kFirstUpdate, group.told_duration * 2);
}

// Those that have something to say, or all.
std::vector<Book::Groups::iterator> Book::groups_in_order(bool all) {
  std::vector<Groups::iterator> order;
  for (auto it = groups_.begin(); it != groups_.end(); ++it)
    if (all || it->second.is_dirty || it->second.look_at <= facts_.now()) order.push_back(it);
  std::stable_sort(order.begin(), order.end(), [](const Groups::iterator& a, const Groups::iterator& b) {
    const Group& x = a->second;
    const Group& y = b->second;
    if ((x.id == 0) != (y.id == 0)) return x.id != 0;
    if (x.id != y.id) return x.id < y.id;
    if (x.detector->rank() != y.detector->rank()) return x.detector->rank() < y.detector->rank();
    return x.since < y.since;
  });
  return order;
}

std::vector<Finding> Book::settle() { return tell_all(false); }

void Book::tell_group(Groups::iterator it, std::vector<Finding>& out) {
  const util::BootTime now = facts_.now();
  Group& group = it->second;
  refresh(group);
  group.is_dirty = false;
  const bool instant = group.detector->instant();
  if (instant)
    instant_line(group, out, false);
  else
    condition_line(group, out);
  if (instant) group.active.clear(), group.witnesses = 0;
  const bool over =
      instant ? now - group.last_line >= settings_.window && group.fresh == 0 && group.id != 0 : is_over(group);
  const bool hidden = group.id == 0 && (instant || group.active.empty());
  if (!over && !hidden) {
    group.look_at = next_look(group);
    return;
  }
  if (over && !instant && group.id != 0) emit(group, Phase::closed, out);
  leave_story(group);
  groups_.erase(it);
}

std::vector<Finding> Book::tell_all(bool final) {
  const util::BootTime now = facts_.now();
  note_forgotten();
  judge_due(final);
  finish_ended();
  std::vector<Finding> out;
  for (const Groups::iterator it : groups_in_order(false)) tell_group(it, out);
  erase_told_instants();
  std::erase_if(stories_, [&](const auto& s) {
    return now - s.second.last > 2 * settings_.window && s.second.root != 0 && !story_goes_on(s.second.root);
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

std::vector<Finding> Book::finish() {
  std::vector<Finding> out = tell_all(true);
  for (const Groups::iterator it : groups_in_order(true)) {
    Group& group = it->second;
    refresh(group);
    if (group.detector->instant()) {
      instant_line(group, out, true);
    } else if (group.id != 0) {
      if (!group.active.empty()) group.last_end = facts_.now(), group.ends = {{Ended::trace_end, 1}};
      emit(group, Phase::closed, out);
    }
  }
  groups_.clear();
  due_.clear();
  ending_.clear();
  entries_.clear();
  return out;
}

}  // namespace tcpwhy::core
