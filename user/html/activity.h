// SPDX-License-Identifier: GPL-2.0-only
// How many events of each kind a run had over time, in buckets of one width: as many as fit a chart, however long it was.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "user/abi/event.h"

namespace tcpwhy::html {

class Activity {
 public:
  // What is counted, in this order.
  static constexpr std::array<std::string_view, 8> kSeries{
      "retransmit", "synack_retransmit", "reset_sent", "reset_received", "drop", "lost", "connected", "accepted"};
  static constexpr std::size_t kMostBuckets = 1200;

  void on(const abi::Event& event);
  // {"begins": us since 1970, "bucket_ms": N, "series": {"retransmit": [...], ...}}; series without an event are left out.
  [[nodiscard]] std::string json(const util::WallClock& wall) const;

 private:
  using Counts = std::array<std::uint32_t, kSeries.size()>;
  void widen();

  util::BootTime begins_{};
  util::Duration width_ = std::chrono::milliseconds{100};
  std::vector<Counts> buckets_;
};

}  // namespace tcpwhy::html
