// SPDX-License-Identifier: GPL-2.0-only
#include "user/sink/problems.h"

#include <algorithm>
#include <tuple>

namespace tcpwhy::sink {
namespace {

using core::Severity;

std::size_t index(Severity severity) { return static_cast<std::size_t>(severity); }

// How it stands now, in the words of then.
core::Finding brought_up_to(core::Finding then, const core::Finding& now) {
  then.phase = now.phase;
  then.ended = now.ended;
  then.time = now.time;
  then.since = now.since;
  then.duration = now.duration;
  if (then.owner && now.owner && then.owner->same(*now.owner)) then.owner->exit = now.owner->exit;
  then.severity = now.severity;
  then.count_total = now.count_total;
  if (now.phase == core::Phase::closed && then.cause == now.cause) then.words.advice = now.words.advice;
  if (then.cause == now.cause) {  // else it is in the story of what is not known any more
    then.story = now.story;
    then.role = now.role;
  }
  return then;
}

}  // namespace

void Problems::on(const std::vector<core::Finding>& batch) {
  for (const core::Finding& finding : batch) {
    if (const auto known = dropped_.find(finding.id); known != dropped_.end()) {
      known->second = std::max(known->second, finding.severity);
      continue;
    }
    const auto entry = kept_.try_emplace(finding.id, Problem{finding, finding}).first;
    Problem& kept = entry->second;
    by_severity_[index(kept.last.severity)].erase(finding.id);
    kept.last = finding;
    kept.told = finding.count >= kept.told.count ? finding : brought_up_to(kept.told, finding);
    by_severity_[index(finding.severity)].insert(finding.id);
    if (kept_.size() > most_) drop_mildest();
  }
}

void Problems::drop_mildest() {
  const auto mildest =
      std::find_if(by_severity_.begin(), by_severity_.end(), [](const auto& ids) { return !ids.empty(); });
  const std::uint64_t id = *mildest->begin();
  dropped_[id] = kept_.at(id).last.severity;
  mildest->erase(id);
  kept_.erase(id);
}

std::vector<const Problem*> Problems::in_order() const {
  std::map<std::uint64_t, Severity> worst_of_story;
  for (const auto& [id, kept] : kept_) {
    Severity& worst = worst_of_story.try_emplace(kept.told.story, kept.told.severity).first->second;
    worst = std::max(worst, kept.told.severity);
  }
  std::vector<const Problem*> all;
  for (const auto& [id, kept] : kept_) all.push_back(&kept);
  const auto rank = [&worst_of_story](const Problem* problem) {
    const core::Finding& f = problem->told;
    const bool symptom = f.role == core::StoryRole::symptom;
    return std::tuple{-static_cast<int>(worst_of_story.at(f.story)), f.story, symptom, -static_cast<int>(f.severity),
                      f.id};
  };
  std::sort(all.begin(), all.end(), [&rank](const Problem* a, const Problem* b) { return rank(a) < rank(b); });
  return all;
}

std::uint64_t Problems::count(Severity severity) const {
  const auto dropped = std::count_if(dropped_.begin(), dropped_.end(),
                                     [severity](const auto& entry) { return entry.second == severity; });
  return by_severity_[index(severity)].size() + static_cast<std::uint64_t>(dropped);
}

std::optional<Severity> Problems::worst() const {
  for (const Severity severity : {Severity::critical, Severity::warning, Severity::info})
    if (count(severity) > 0) return severity;
  return std::nullopt;
}

bool is_over(const core::Finding& finding) {
  return finding.phase == core::Phase::closed && finding.ended != core::Ended::trace_end &&
         finding.ended != core::Ended::forgotten;
}

}  // namespace tcpwhy::sink
