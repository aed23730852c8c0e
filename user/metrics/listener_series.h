// SPDX-License-Identifier: GPL-2.0-only
// Accept queues by listening address, in a bounded number of series; the rest is summed as listener="other".
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "user/core/connection.h"
#include "user/metrics/snapshot.h"

namespace tcpwhy::metrics {

class ListenerSeries {
 public:
  static constexpr std::size_t kMost = 100;
  explicit ListenerSeries(std::size_t most = kMost) : most_(most) {}

  // The listeners of this moment; called once a second. Where there is no room for all, series go to addresses whose
  // process accepted connections lately, those that did so most first. Addresses that are only in trouble (a full queue,
  // drops) get a share, so that many of them push out nobody who serves. Who has a series keeps it among equals.
  void look(const std::vector<const core::Listener*>& listeners);
  void add_to(Snapshot& snapshot) const;

 private:
  // Sockets that share an address (SO_REUSEPORT) are one series.
  struct Key {
    util::Endpoint endpoint;
    std::uint32_t netns = 0;
    auto operator<=>(const Key&) const = default;
  };
  struct Now {
    std::uint64_t depth = 0;
    std::uint64_t limit = 0;
    double fill = 0;
    std::uint64_t sockets = 0;
    std::uint64_t grown = 0;  // drops since the last look
    bool accepted = false;    // something left the queue since the last look
    [[nodiscard]] bool trouble() const { return fill >= 1 || grown > 0; }
    void add(const Now& other);
  };
  struct Series {
    Now now;
    std::uint64_t drops = 0;  // counted while it had this series
  };
  // Of an address, with a series or without.
  struct Past {
    double serving = 0;             // share of the looks that found something accepted, older looks for less
    std::uint64_t accepted_at = 0;  // the last such look; 0: none
    std::uint64_t trouble_at = 0;
  };
  struct Candidate {
    Key key;
    bool has_series = false;
    double weight = 0;
  };
  struct Candidates {
    std::vector<Candidate> serving;
    std::vector<Candidate> troubled;  // and not serving
    std::vector<Candidate> quiet;
  };
  std::map<Key, Now> gather(const std::vector<const core::Listener*>& listeners);
  void remember(const std::map<Key, Now>& all);
  [[nodiscard]] Candidates candidates() const;
  void choose(const std::map<Key, Now>& all);

  std::size_t most_;
  std::map<Key, Series> series_;
  Series other_;
  std::size_t addresses_ = 0;
  std::uint64_t looks_ = 0;
  std::map<Key, Past> past_;
  // A socket at the last look.
  struct Seen {
    std::optional<std::uint32_t> drops;
    std::uint32_t queue = 0;
    std::optional<util::BootTime> same_head_since;  // where the head is known
  };
  std::unordered_map<std::uint64_t, Seen> seen_;
};

}  // namespace tcpwhy::metrics
