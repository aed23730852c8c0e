// SPDX-License-Identifier: GPL-2.0-only
// What the kernel's events count besides their kind.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "user/abi/event.h"
#include "user/metrics/snapshot.h"

namespace tcpwhy::metrics {

class EventCounts {
 public:
  // every_retransmit: the kernel side tells those that are repaired without a time-out, too.
  explicit EventCounts(bool every_retransmit) : every_retransmit_(every_retransmit) {}

  // Each event that detectors see, in the order of the stream.
  void on(const abi::Event& event);
  void add_to(Snapshot& snapshot) const;

 private:
  void on(const abi::Retransmit& e);
  void on(const abi::SynAckRetransmit& e) { synacks_[e.by_timer ? 0 : 1] += 1; }
  void on(const abi::ResetSent& e);
  void on(const abi::ResetReceived& e);
  void on(const abi::Tick&);
  template <typename Other>
  void on(const Other&) {}

  bool every_retransmit_;
  std::array<std::uint64_t, 6> retransmits_{};  // by abi::RetransmitType
  std::array<std::uint64_t, 2> synacks_{};
  std::uint64_t resets_sent_ = 0;
  std::uint64_t resets_received_ = 0;
  // The hook for received resets also fires where this end is about to send one: the two records then follow each other.
  // So one is taken as received when a whole tick has passed without the other.
  std::multiset<abi::SocketId> perhaps_received_;
  std::multiset<abi::SocketId> perhaps_before_;  // those of the tick before
};

}  // namespace tcpwhy::metrics
