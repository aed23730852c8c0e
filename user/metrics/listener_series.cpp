// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/listener_series.h"

#include <algorithm>

namespace tcpwhy::metrics {
namespace {

// sk_drops wraps; what would be half of its range is a look that came out of order.
std::uint32_t growth(std::uint32_t before, std::uint32_t after) {
  const std::uint32_t grown = after - before;
  return grown < (1U << 31) ? grown : 0;
}

}  // namespace

void ListenerSeries::Now::add(const Now& other) {
  depth += other.depth;
  limit += other.limit;
  fill = std::max(fill, other.fill);
  sockets += other.sockets;
  grown += other.grown;
}

std::map<ListenerSeries::Key, ListenerSeries::Now> ListenerSeries::gather(
    const std::unordered_map<std::uint64_t, core::Listener>& listeners) {
  std::map<Key, Now> all;
  std::unordered_map<std::uint64_t, std::uint32_t> drops;
  for (const auto& [id, l] : listeners) {
    if (l.ended) continue;
    Now now{.depth = l.queue, .limit = l.limit, .fill = l.queue / (l.limit + 1.0), .sockets = 1, .grown = 0};
    if (l.drops_known) {
      const auto before = drops_.find(id);
      if (before != drops_.end()) now.grown = growth(before->second, l.drops);
      drops[id] = l.drops;
    }
    all[{l.tuple.local, l.tuple.netns}].add(now);
  }
  drops_ = std::move(drops);
  return all;
}

void ListenerSeries::choose(const std::map<Key, Now>& all) {
  std::erase_if(series_, [&](const auto& s) { return !all.contains(s.first); });
  if (series_.size() == all.size()) return;
  for (const bool trouble : {true, false}) {
    for (const auto& [key, now] : all) {
      if (now.trouble() != trouble || series_.contains(key)) continue;
      if (series_.size() >= most_) {
        if (!trouble) return;
        const auto idle = std::find_if(series_.begin(), series_.end(), [&](const auto& s) {
          return !s.second.ever_in_trouble && !all.at(s.first).trouble();
        });
        if (idle == series_.end()) return;
        series_.erase(idle);
      }
      series_[key];
    }
  }
}

void ListenerSeries::look(const std::unordered_map<std::uint64_t, core::Listener>& listeners) {
  const std::map<Key, Now> all = gather(listeners);
  choose(all);
  addresses_ = all.size();
  other_.now = {};
  for (const auto& [key, now] : all) {
    const auto own = series_.find(key);
    Series& series = own == series_.end() ? other_ : own->second;
    series.now = own == series_.end() ? series.now : Now{};
    series.now.add(now);
    series.drops += now.grown;
    series.ever_in_trouble = series.ever_in_trouble || now.trouble();
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
