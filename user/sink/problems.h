// SPDX-License-Identifier: GPL-2.0-only
// What a run found, by finding: for whoever tells it at the end and not as it happens.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "user/core/finding.h"

namespace tcpwhy::sink {

struct Problem {
  core::Finding last;  // the last line that told of it
  // For people: that line, in the words of the one with the most connections (the last of those), with its cause and its
  // place in the story. What is left at the end may be one connection of many, and less is known of it.
  core::Finding told;
};

class Problems {
 public:
  // most: of findings that are kept with their words; of more, the mildest and oldest are only counted.
  explicit Problems(std::size_t most = 10'000) : most_(most) {}

  // The severity of a finding only rises; what is said of it last is how it stands.
  void on(const std::vector<core::Finding>& batch);

  // Worst first: the stories by the worst in them, in each its root, then its symptoms by severity. Valid until the next
  // on().
  [[nodiscard]] std::vector<const Problem*> in_order() const;
  // Findings of this severity, each counted once; those that are not kept included.
  [[nodiscard]] std::uint64_t count(core::Severity severity) const;
  // Those that are not kept.
  [[nodiscard]] std::uint64_t only_counted() const { return dropped_.size(); }
  [[nodiscard]] std::optional<core::Severity> worst() const;

 private:
  void drop_mildest();

  std::size_t most_;
  std::map<std::uint64_t, Problem> kept_;               // by id
  std::map<std::uint64_t, core::Severity> dropped_;     // by id
  std::array<std::set<std::uint64_t>, 3> by_severity_;  // ids of those kept
};

// A condition that was observed to end before the run did.
[[nodiscard]] bool is_over(const core::Finding& finding);

}  // namespace tcpwhy::sink
