// SPDX-License-Identifier: GPL-2.0-only
// Whether each value of a filter met anything in a run: one that did not may be mistyped, and "no finding" says nothing then.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "user/core/filter.h"
#include "user/core/held_socket.h"

namespace tcpwhy::core {

class FilterMatches {
 public:
  explicit FilterMatches(const Filter& filter);

  // A socket that an event tells of, and who owns it there.
  void note(const abi::Event& event);
  // A socket that a process holds.
  void note(const HeldSocket& socket);

  // Each value has met something.
  [[nodiscard]] bool all() const { return waiting_.empty(); }
  // Those that have not, as they are written: "--port 8081", in the order of the options' help.
  [[nodiscard]] std::vector<std::string> unmatched() const;

 private:
  struct Seen {
    abi::Tuple tuple;
    std::uint64_t cgroup_id = 0;
    std::uint32_t pid = 0;
    std::string_view comm;
  };
  struct Value {
    std::string text;
    std::function<bool(const Seen&)> is_met;
  };
  void note(const Seen& seen);
  void wait_for(std::string text, std::function<bool(const Seen&)> is_met);

  std::vector<Value> waiting_;
};

// "no socket was seen that --port 8081 or --comm ngnix lets through"; empty where all were met.
std::string unmatched_words(const std::vector<std::string>& values);

}  // namespace tcpwhy::core
