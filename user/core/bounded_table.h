// SPDX-License-Identifier: GPL-2.0-only
// The one table for what events fill: bounded, and what it drops is counted.
//
// Entries stand in one of three tiers: retired (first out), in use, pinned (an open finding stands on them: last out).
// Within a tier the source with the most entries gives up its least recently used one, so that one cgroup, process or
// address does not push out the others. What a table does not hold is unknown, not absent: forgot() says whether it may
// have been here.
//
// Iteration is in the order in which entries were made, whatever the hash.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "user/util/seeded_hash.h"
#include "user/util/time.h"

namespace tcpwhy::core {

template <typename Key, typename Value, typename Hash = util::SeededHash>
class BoundedTable {
 public:
  using Source = std::uint64_t;
  // Of one entry: key and value, links, hash node and bucket, without what a value owns elsewhere.
  static constexpr std::size_t kEntryBytes = sizeof(Key) + sizeof(Value) + 112;

  // At most so many entries, and at most so many of them retired. 0 is taken for 1.
  explicit BoundedTable(std::size_t most, std::size_t most_retired = ~std::size_t{0})
      : most_(std::max<std::size_t>(1, most)), most_retired_(most_retired) {}
  BoundedTable(const BoundedTable&) = delete;
  BoundedTable& operator=(const BoundedTable&) = delete;

  // How many entries fit into so many bytes where each owns `owned` bytes more.
  static constexpr std::size_t fit(std::size_t bytes, std::size_t owned = 0) { return bytes / (kEntryBytes + owned); }

  // Called for each entry that had to go, before it goes.
  void on_evict(std::function<void(const Key&, Value&)> call) { on_evict_ = std::move(call); }

  Value* find(const Key& key) {
    const auto it = entries_.find(key);
    return it == entries_.end() ? nullptr : &it->second.value;
  }
  const Value* find(const Key& key) const { return const_cast<BoundedTable*>(this)->find(key); }
  [[nodiscard]] bool contains(const Key& key) const { return entries_.contains(key); }

  struct Found {
    Value& value;
    bool is_new;
  };
  // Finds or makes the entry; it is the most recently used one then, and in use. The source counts when it is made.
  Found use(const Key& key, util::BootTime now, Source source = 0) {
    const auto it = entries_.find(key);
    if (it != entries_.end()) {
      touch(it->second, now);
      return {it->second.value, false};
    }
    while (entries_.size() >= most_) evict();
    const auto [made, is_new] = entries_.try_emplace(key);
    Entry& entry = made->second;
    entry.key = &made->first;
    entry.source = source;
    entry.used = now;
    link(entry);
    entry.before = newest_made_;
    (newest_made_ ? newest_made_->after : first_made_) = &entry;
    newest_made_ = &entry;
    return {entry.value, true};
  }

  bool erase(const Key& key) {
    const auto it = entries_.find(key);
    if (it == entries_.end()) return false;
    remove(it);
    return true;
  }
  template <typename Predicate>
  void erase_if(Predicate predicate) {
    for (Entry* entry = first_made_; entry;) {
      Entry* const next = entry->after;
      if (predicate(*entry->key, entry->value)) remove(entries_.find(*entry->key));
      entry = next;
    }
  }

  // First out from now on, until it is used again.
  void retire(const Key& key) {
    const auto it = entries_.find(key);
    if (it == entries_.end() || it->second.retired) return;
    unlink(it->second);
    it->second.retired = true;
    link(it->second);
    while (tiers_[kRetired].size > std::max<std::size_t>(1, most_retired_)) evict(&it->second);
  }
  // Each pin is undone by one unpin; of an entry that is not here, without effect.
  void pin(const Key& key) { change_pins(key, 1); }
  void unpin(const Key& key) { change_pins(key, -1); }

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t most() const { return most_; }
  [[nodiscard]] std::uint64_t evicted() const { return evicted_; }
  // Whether an entry that was last used at this time or later had to go: then absence proves nothing.
  [[nodiscard]] bool forgot(util::BootTime since) const { return evicted_ > 0 && evicted_used_ >= since; }

  template <typename Visit>
  void for_each(Visit visit) {
    for (Entry* entry = first_made_; entry; entry = entry->after) visit(*entry->key, entry->value);
  }
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const Entry* entry = first_made_; entry; entry = entry->after) visit(*entry->key, entry->value);
  }

 private:
  enum Tier : std::uint8_t { kRetired, kInUse, kPinned, kTiers };
  struct Entry {
    Value value{};
    const Key* key = nullptr;
    Source source = 0;
    util::BootTime used{};
    std::uint32_t pins = 0;
    bool retired = false;
    std::uint64_t turn = 0;  // in which it came into its lane
    Entry* older = nullptr;  // in its lane
    Entry* newer = nullptr;
    Entry* before = nullptr;  // in the order of making
    Entry* after = nullptr;
    [[nodiscard]] Tier tier() const { return pins > 0 ? kPinned : retired ? kRetired : kInUse; }
  };
  // The entries of one source in one tier.
  struct Lane {
    Entry* oldest = nullptr;
    Entry* newest = nullptr;
    std::size_t size = 0;
    [[nodiscard]] std::uint64_t age() const { return ~oldest->turn; }
  };
  struct Lanes {
    std::unordered_map<Source, Lane, util::SeededHash> by_source;
    // By size; of equal ones the one whose oldest entry is the oldest comes last.
    std::set<std::tuple<std::size_t, std::uint64_t, Source>> by_size;
    std::size_t size = 0;
  };

  void touch(Entry& entry, util::BootTime now) {
    entry.used = std::max(entry.used, now);
    if (!entry.newer && !entry.retired) return;  // the newest of its lane already
    unlink(entry);
    entry.retired = false;
    link(entry);
  }

  void link(Entry& entry) {
    Lanes& lanes = tiers_[entry.tier()];
    Lane& lane = lanes.by_source[entry.source];
    if (lane.size > 0) lanes.by_size.erase({lane.size, lane.age(), entry.source});
    entry.turn = turns_++;
    entry.older = lane.newest;
    entry.newer = nullptr;
    (lane.newest ? lane.newest->newer : lane.oldest) = &entry;
    lane.newest = &entry;
    lane.size += 1;
    lanes.size += 1;
    lanes.by_size.emplace(lane.size, lane.age(), entry.source);
  }

  void unlink(Entry& entry) {
    Lanes& lanes = tiers_[entry.tier()];
    const auto it = lanes.by_source.find(entry.source);
    Lane& lane = it->second;
    lanes.by_size.erase({lane.size, lane.age(), entry.source});
    (entry.older ? entry.older->newer : lane.oldest) = entry.newer;
    (entry.newer ? entry.newer->older : lane.newest) = entry.older;
    lane.size -= 1;
    lanes.size -= 1;
    if (lane.size > 0)
      lanes.by_size.emplace(lane.size, lane.age(), entry.source);
    else
      lanes.by_source.erase(it);
  }

  void change_pins(const Key& key, int by) {
    const auto it = entries_.find(key);
    if (it == entries_.end()) return;
    Entry& entry = it->second;
    if (by < 0 && entry.pins == 0) return;
    const bool moves = entry.pins == 0 || (by < 0 && entry.pins == 1);
    if (moves) unlink(entry);
    entry.pins += static_cast<std::uint32_t>(by);
    if (moves) link(entry);
  }

  // keep: whoever asked still refers to it.
  void evict(const Entry* keep = nullptr) {
    for (Lanes& lanes : tiers_) {
      if (lanes.size == 0 || (lanes.size == 1 && keep && keep->tier() == (&lanes - tiers_.data()))) continue;
      auto largest = lanes.by_size.rbegin();
      Entry* oldest = lanes.by_source.at(std::get<2>(*largest)).oldest;
      if (oldest == keep) oldest = oldest->newer ? oldest->newer : lanes.by_source.at(std::get<2>(*++largest)).oldest;
      Entry& entry = *oldest;
      evicted_ += 1;
      evicted_used_ = std::max(evicted_used_, entry.used);
      if (on_evict_) on_evict_(*entry.key, entry.value);
      remove(entries_.find(*entry.key));
      return;
    }
  }

  void remove(typename std::unordered_map<Key, Entry, Hash>::iterator it) {
    Entry& entry = it->second;
    unlink(entry);
    (entry.before ? entry.before->after : first_made_) = entry.after;
    (entry.after ? entry.after->before : newest_made_) = entry.before;
    entries_.erase(it);
  }

  std::size_t most_;
  std::size_t most_retired_;
  std::unordered_map<Key, Entry, Hash> entries_;
  std::array<Lanes, kTiers> tiers_;
  Entry* first_made_ = nullptr;
  Entry* newest_made_ = nullptr;
  std::uint64_t turns_ = 0;
  std::uint64_t evicted_ = 0;
  util::BootTime evicted_used_{};
  std::function<void(const Key&, Value&)> on_evict_;
};

}  // namespace tcpwhy::core
