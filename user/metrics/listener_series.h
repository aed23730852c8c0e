// SPDX-License-Identifier: GPL-2.0-only
// Accept queues by listening address, in a bounded number of series; the rest is summed as listener="other".
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <unordered_map>

#include "user/core/connection.h"
#include "user/metrics/snapshot.h"

namespace tcpwhy::metrics {

class ListenerSeries {
 public:
  static constexpr std::size_t kMost = 100;
  explicit ListenerSeries(std::size_t most = kMost) : most_(most) {}

  // The listeners of this moment. An address that has a series keeps it as long as it lives; where there is no room, one
  // in trouble takes the place of one that never was.
  void look(const std::unordered_map<std::uint64_t, core::Listener>& listeners);
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
    [[nodiscard]] bool trouble() const { return fill >= 1 || grown > 0; }
    void add(const Now& other);
  };
  struct Series {
    Now now;
    std::uint64_t drops = 0;  // counted while it had this series
    bool ever_in_trouble = false;
  };
  std::map<Key, Now> gather(const std::unordered_map<std::uint64_t, core::Listener>& listeners);
  void choose(const std::map<Key, Now>& all);

  std::size_t most_;
  std::map<Key, Series> series_;
  Series other_;
  std::size_t addresses_ = 0;
  std::unordered_map<std::uint64_t, std::uint32_t> drops_;  // by socket, at the last look
};

}  // namespace tcpwhy::metrics
