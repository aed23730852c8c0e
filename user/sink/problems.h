// SPDX-License-Identifier: GPL-2.0-only
// What a run found, by finding: for whoever tells it at the end and not as it happens.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "user/core/finding.h"

namespace tcpwhy::sink {

class Problems {
 public:
  // most: of findings that are kept with their words; of more, the mildest and oldest are only counted.
  explicit Problems(std::size_t most = 10'000) : most_(most) {}

  // The last that is said of a finding is what counts: its severity only rises.
  void on(const std::vector<core::Finding>& batch);
  // The sentence of the line with the most connections, the last of those: an end may be told of the one that was left.
  [[nodiscard]] const std::string& summary_of(const core::Finding& kept) const { return kept_.at(kept.id).summary; }

  // Worst first: the stories by the worst in them, in each its root, then its symptoms by severity. Valid until the next
  // on().
  [[nodiscard]] std::vector<const core::Finding*> in_order() const;
  // Findings of this severity, each counted once; those that are not kept included.
  [[nodiscard]] std::uint64_t count(core::Severity severity) const;
  // Those that are not kept.
  [[nodiscard]] std::uint64_t only_counted() const { return dropped_.size(); }
  [[nodiscard]] std::optional<core::Severity> worst() const;

 private:
  void drop_mildest();

  std::size_t most_;
  struct Kept {
    core::Finding last;
    std::string summary;
    std::uint64_t count = 0;  // of that line
  };
  std::map<std::uint64_t, Kept> kept_;                  // by id
  std::map<std::uint64_t, core::Severity> dropped_;     // by id
  std::array<std::set<std::uint64_t>, 3> by_severity_;  // ids of those kept
};

// A condition that ended before the run did.
[[nodiscard]] bool is_over(const core::Finding& finding);

}  // namespace tcpwhy::sink
