// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/listener_series.h"

#include <algorithm>
#include <optional>
#include <set>

namespace tcpwhy::metrics {
namespace {

// sk_drops wraps; what would be half of its range is a look that came out of order.
std::uint32_t growth(std::uint32_t before, std::uint32_t after) {
  const std::uint32_t grown = after - before;
  return grown < (1U << 31) ? grown : 0;
}

// In looks, one a second: who accepted, or was in trouble, within ten minutes did so lately; how much it serves is
// averaged over about five.
constexpr std::uint64_t kLately = 600;
constexpr double kRemembered = 300;
// Who has a series gives it up only to one that serves so many times as much.
constexpr double kKeeps = 4;
constexpr double kTroubled = 2;

}  // namespace

void ListenerSeries::Now::add(const Now& other) {
  depth += other.depth;
  limit += other.limit;
  fill = std::max(fill, other.fill);
  sockets += other.sockets;
  grown += other.grown;
  accepted = accepted || other.accepted;
}

std::map<ListenerSeries::Key, ListenerSeries::Now> ListenerSeries::gather(
    const std::vector<const core::Listener*>& listeners) {
  std::map<Key, Now> all;
  std::unordered_map<std::uint64_t, Seen> seen;
  for (const core::Listener* listener : listeners) {
    const core::Listener& l = *listener;
    if (l.ended) continue;
    const auto id = static_cast<std::uint64_t>(l.id);
    Now now{.depth = l.queue, .limit = l.limit, .fill = l.queue / (l.limit + 1.0), .sockets = 1};
    const std::optional<util::BootTime> head =
        l.queue > 0 && l.head_age ? std::optional{l.same_head_since} : std::nullopt;
    const auto before = seen_.find(id);
    if (before != seen_.end()) {
      if (l.drops_known && before->second.drops) now.grown = growth(*before->second.drops, l.drops);
      // Nothing leaves the queue but by accept(2).
      const bool other_head = head && before->second.same_head_since && *head != *before->second.same_head_since;
      now.accepted = l.queue < before->second.queue || other_head;
    }
    seen[id] = {l.drops_known ? std::optional{l.drops} : std::nullopt, l.queue, head};
    all[{l.tuple.local, l.tuple.netns}].add(now);
  }
  seen_ = std::move(seen);
  return all;
}

void ListenerSeries::remember(const std::map<Key, Now>& all) {
  looks_ += 1;
  std::erase_if(past_, [&](const auto& p) { return !all.contains(p.first); });
  for (const auto& [key, now] : all) {
    Past& past = past_[key];
    past.serving += ((now.accepted ? 1.0 : 0.0) - past.serving) / kRemembered;
    if (now.accepted) past.accepted_at = looks_;
    if (now.trouble()) past.trouble_at = looks_;
  }
}

ListenerSeries::Candidates ListenerSeries::candidates() const {
  Candidates result;
  const auto lately = [this](std::uint64_t look) { return look > 0 && looks_ - look < kLately; };
  for (const auto& [key, past] : past_) {
    Candidate c{key, series_.contains(key), 0};
    const bool troubled = lately(past.trouble_at);
    if (lately(past.accepted_at)) {
      c.weight = past.serving * (c.has_series ? kKeeps : 1) * (troubled ? kTroubled : 1);
      result.serving.push_back(c);
    } else {
      (troubled ? result.troubled : result.quiet).push_back(c);
    }
  }
  for (auto* list : {&result.serving, &result.troubled, &result.quiet})
    std::stable_sort(list->begin(), list->end(), [](const Candidate& a, const Candidate& b) {
      return a.weight != b.weight ? a.weight > b.weight : a.has_series && !b.has_series;
    });
  return result;
}

void ListenerSeries::choose(const std::map<Key, Now>& all) {
  std::erase_if(series_, [&](const auto& s) { return !all.contains(s.first); });
  if (all.size() <= most_) {
    for (const auto& [key, now] : all) series_.try_emplace(key);
    return;
  }
  const Candidates from = candidates();
  std::set<Key> chosen;
  const auto take = [&](const std::vector<Candidate>& list, std::size_t upto) {
    for (std::size_t i = 0; i < std::min(list.size(), upto) && chosen.size() < most_; ++i) chosen.insert(list[i].key);
  };
  take(from.serving, most_ - std::min(from.troubled.size(), most_ / 4));
  take(from.troubled, most_ / 2);
  for (const auto* rest : {&from.serving, &from.quiet, &from.troubled}) take(*rest, rest->size());
  std::erase_if(series_, [&](const auto& s) { return !chosen.contains(s.first); });
  for (const Key& key : chosen) series_.try_emplace(key);
}

void ListenerSeries::look(const std::vector<const core::Listener*>& listeners) {
  const std::map<Key, Now> all = gather(listeners);
  remember(all);
  choose(all);
  addresses_ = all.size();
  other_.now = {};
  for (const auto& [key, now] : all) {
    const auto own = series_.find(key);
    Series& series = own == series_.end() ? other_ : own->second;
    series.now = own == series_.end() ? series.now : Now{};
    series.now.add(now);
    series.drops += now.grown;
  }
}

void ListenerSeries::add_to(Snapshot& snapshot) const {
  const auto each = [&](Id id, auto value) {
    for (const auto& [key, series] : series_)
      snapshot.add(id, {util::to_string(key.endpoint), std::to_string(key.netns)}, value(series));
    // Once there, it stays: a counter must not come and go.
    if (other_.now.sockets > 0 || other_.drops > 0) snapshot.add(id, {"other", ""}, value(other_));
  };
  each(Id::accept_queue_depth, [](const Series& s) { return s.now.depth; });
  each(Id::accept_queue_limit, [](const Series& s) { return s.now.limit; });
  each(Id::accept_queue_fill, [](const Series& s) { return s.now.fill; });
  each(Id::accept_queue_sockets, [](const Series& s) { return s.now.sockets; });
  each(Id::accept_queue_drops, [](const Series& s) { return s.drops; });
  snapshot.add(Id::listeners, std::uint64_t{addresses_});
  snapshot.add(Id::listeners_in_other, std::uint64_t{addresses_ - series_.size()});
}

}  // namespace tcpwhy::metrics
