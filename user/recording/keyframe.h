// SPDX-License-Identifier: GPL-2.0-only
// What a file must begin with to be understood alone: what was there at the start of the run, and which listeners have
// come and gone since.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <vector>

#include "user/recording/conveyor.h"

namespace tcpwhy::recording {

class Keyframe {
 public:
  // A packed SEED, kept as it is.
  void add_seed(const Packed& seed) { seeds_.push_back(seed); }
  // Records that are no longer told by themselves.
  void note(View records);
  // In this order at the head of a file.
  [[nodiscard]] std::vector<Packed> chunks(int level) const;

 private:
  static constexpr std::size_t kMostListeners = 65536;
  std::vector<Packed> seeds_;
  std::map<std::uint64_t, Bytes> listeners_;  // the record of its last change, by id
  std::set<std::uint64_t> began_here_;        // of these, those that no seed knows
};

}  // namespace tcpwhy::recording
