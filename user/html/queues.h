// SPDX-License-Identifier: GPL-2.0-only
// The listeners of a run and how long their accept queues were, look by look.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "user/abi/event.h"
#include "user/html/people.h"

namespace tcpwhy::html {

class Queues {
 public:
  static constexpr std::size_t kMostListeners = 1000;  // further ones are counted
  static constexpr std::size_t kMostPoints = 2000;     // of one; beyond, of two neighbours the longer queue stays

  void on(const abi::Event& event);
  // A list: {"addr", "port", "host", "netns", "owner": number, "queue_max", "limit", "refused", "points": [[us, queue,
  // limit, refused so far], ...]}. refused: what its drop counter grew by while it was watched, for whatever reason.
  [[nodiscard]] std::string json(const core::RunIdentity& run, People& people) const;
  [[nodiscard]] std::uint64_t left_out() const { return left_out_; }

 private:
  struct Point {
    util::BootTime time{};
    std::uint32_t queue = 0;
    std::uint32_t limit = 0;
    std::uint32_t drops = 0;
  };
  struct Listener {
    abi::Tuple tuple;
    std::uint32_t host = 0;
    abi::Owner owner;
    std::uint32_t first_drops = 0;
    std::uint32_t queue_max = 0;
    std::vector<Point> points;
  };
  void note(const abi::Event& event, const abi::Socket& socket, const abi::Owner& owner);
  static void thin(std::vector<Point>& points);

  std::map<std::uint64_t, Listener> listeners_;  // by cookie, which is each host's own
  std::uint64_t left_out_ = 0;
};

}  // namespace tcpwhy::html
