// SPDX-License-Identifier: GPL-2.0-only
// The lives of chosen connections step by step: what a second pass over the recording collects. Bounded: the connections by
// the steps that they have together, each one by its first and last steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "user/core/ledger.h"

namespace tcpwhy::html {

class Ladders {
 public:
  static constexpr std::size_t kMostConnections = 10'000;
  static constexpr std::uint64_t kMostSteps = 100'000;
  // Of one connection.
  static constexpr std::size_t kFirstSteps = 600;
  static constexpr std::size_t kLastSteps = 400;

  // How many of these rows have room, the first of them.
  static std::size_t fitting(const std::vector<const core::LedgerRow*>& rows);

  // Rows and names must outlive it. A ladder is known by its row's place in `rows`.
  Ladders(std::vector<const core::LedgerRow*> rows, const core::KernelNames& names);

  void on(const abi::Event& event);
  // Gives, piece by piece, a list with one entry for each row: {"steps": [[us since its first event, 0 client or 1 server, kind, text, state,
  // numbers, looks], ...], "left_out": N, "left_out_after": steps before the gap}. numbers: [sent, acked, received, unacked,
  // unread, send window, receive window], or null; what is not known in it is null. looks: how many in a row were the same.
  void json(const std::function<void(std::string_view)>& to) const;

 private:
  struct Step {
    util::BootTime time{};
    core::LadderStep what;
    std::uint32_t looks = 1;
  };
  struct Ladder {
    std::vector<Step> first;
    std::deque<Step> last;
    std::uint64_t left_out = 0;
  };
  static void add(Ladder& ladder, Step step);

  std::vector<const core::LedgerRow*> rows_;
  const core::KernelNames& names_;
  std::vector<Ladder> ladders_;
  std::unordered_multimap<core::PairKey, std::size_t, core::PairHash> by_ends_;
};

}  // namespace tcpwhy::html
