// SPDX-License-Identifier: GPL-2.0-only
// How far apart the wall clocks of several hosts are, from connections that both ends of were recorded: what one end sent
// the other received, and never before.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "user/abi/event.h"
#include "user/core/pair_key.h"
#include "user/core/sightings.h"

namespace tcpwhy::core {

struct ClockOffset {
  util::Duration ahead{};         // of the second host's clock over the first's: the median of the pairs
  util::Duration give_or_take{};  // nine pairs of ten are within this
  std::size_t pairs = 0;
};

class ClockOffsets {
 public:
  // Of each host so many ends are looked at.
  explicit ClockOffsets(std::size_t most_ends = 200'000) : most_(most_ends) {}

  // An event of this host, as it was recorded; wall: its anchor.
  void on(std::uint32_t host, const abi::Event& event, const util::WallClock& wall);
  // Of each host's clock over host 0's; absent where no connection leads there, over others neither.
  [[nodiscard]] std::vector<std::optional<ClockOffset>> over_first(std::uint32_t hosts) const;
  [[nodiscard]] std::optional<ClockOffset> between(std::uint32_t first, std::uint32_t second) const;

 private:
  using Wall = std::chrono::nanoseconds;  // since 1970, by its host's clock
  struct End {
    std::uint32_t host = 0;
    abi::Tuple tuple;
    FirstBytes first;
    Wall last{};
    std::optional<Wall> syn_sent, client_established, server_established;
    std::optional<Wall> fin_sent, fin_received, rst_sent, rst_received;
    std::optional<util::Duration> half_round_trip;
  };
  struct Seen {
    abi::SocketId id{};
    abi::Tuple tuple;
    FirstBytes first;
    abi::TcpState from{}, to{};
    std::optional<util::Duration> srtt;
    bool retransmitted = false;
  };
  struct SeenBy;

  End* end_of(std::uint32_t host, const Seen& seen);
  static void stamp(End& end, const Seen& seen, Wall at);
  [[nodiscard]] static bool pair(const End& a, const End& b);
  [[nodiscard]] static std::optional<util::Duration> ahead_of(const End& a, const End& b);

  std::size_t most_;
  std::deque<End> ends_;
  std::map<std::uint32_t, std::size_t> count_;  // by host
  std::unordered_map<std::uint64_t, End*> by_id_;
  std::unordered_multimap<PairKey, End*, PairHash> by_pair_;
};

}  // namespace tcpwhy::core
