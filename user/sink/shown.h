// SPDX-License-Identifier: GPL-2.0-only
// --severity: which findings are shown, and which of them the reader has met already.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "user/core/finding.h"

namespace tcpwhy::sink {

class Shown {
 public:
  enum class Verdict : std::uint8_t {
    hidden,  // below the minimum, and never was above it
    first,   // the reader meets it now, in whatever phase
    again,   // an update or the end of one already shown: always told
  };
  // What the reader knows of a finding.
  struct Met {
    std::string slug;
    std::string subject;                             // as the first line named it: another may be the oldest by now
    util::BootTime time{};                           // of the first line
    core::Severity severity = core::Severity::info;  // of the last line
  };

  explicit Shown(core::Severity minimum) : minimum_(minimum) {}

  [[nodiscard]] Verdict judge(const core::Finding& finding) const;
  // After the finding was printed. A closed finding is forgotten.
  void remember(const core::Finding& finding, const std::string& subject = {});
  // nullptr where the reader has not met it, or it is over. Valid until the next remember().
  [[nodiscard]] const Met* find(std::uint64_t id) const;
  // Findings shown so far, each counted once.
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] core::Severity minimum() const { return minimum_; }

 private:
  // Findings that happened in an instant never close: the oldest are forgotten instead.
  static constexpr std::size_t kMost = 4096;

  core::Severity minimum_;
  std::map<std::uint64_t, Met> met_;  // by finding id, so the oldest first
  std::uint64_t count_ = 0;
};

}  // namespace tcpwhy::sink
