// SPDX-License-Identifier: GPL-2.0-only
// What a run lost, by its way, and the words that every output has for it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "user/abi/event.h"

namespace tcpwhy::core {

// By way; ways that did not occur are absent.
using LossCounts = std::map<abi::LossWay, std::uint64_t>;

class Losses {
 public:
  void add(const abi::Lost& lost);
  [[nodiscard]] LossCounts by_way() const;
  // Counts of all ways together: grows whenever something is lost.
  [[nodiscard]] std::uint64_t total() const;
  // Events that are missing in the stream.
  [[nodiscard]] std::uint64_t events() const;
  // Those by kind; "lost" where the kind is unknown, too.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& events_by_kind() const { return events_; }

 private:
  std::array<std::uint64_t, abi::kLossWays> counts_{};
  std::map<std::string, std::uint64_t> events_;
};

// Whether a finding may be missing because of it. A queue longer than a sweep reports hides none: the listener itself is
// reported with its length.
constexpr bool may_hide_a_finding(abi::LossWay way) { return way != abi::LossWay::queue; }
bool may_hide_a_finding(const LossCounts& losses);

// Behind the count: "sockets in trouble were not swept".
std::string_view loss_phrase(abi::LossWay way, std::uint64_t count);
// "the table of tracked sockets is full".
std::string_view loss_reason(abi::LossWay way);
// What the loss may do to the findings: "findings may be missing or incomplete".
std::string_view loss_effect(abi::LossWay way);

}  // namespace tcpwhy::core
