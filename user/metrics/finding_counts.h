// SPDX-License-Identifier: GPL-2.0-only
// Findings as counters, from the lines that are told and from how the open ones stand.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "user/core/book.h"
#include "user/metrics/snapshot.h"

namespace tcpwhy::metrics {

class FindingCounts {
 public:
  // Every finding and cause of the catalogue is there from the start, as 0: what has no earlier value cannot be seen to rise.
  FindingCounts();

  // The lines of one moment.
  void on(const std::vector<core::Finding>& findings);
  // How the open ones stand now.
  void on(const std::vector<core::OpenFinding>& open);
  void add_to(Snapshot& snapshot) const;

 private:
  struct Key {
    std::string finding;
    std::string cause;
    core::Severity severity{};
    auto operator<=>(const Key&) const = default;
  };
  struct Known {
    core::Severity severity{};
    std::uint64_t cases = 0;
    bool instant = false;
    util::BootTime last{};
  };
  struct Open {
    std::uint64_t findings = 0;
    std::uint64_t cases = 0;
  };
  void on(const core::Finding& finding);
  void grown(Known& known, std::string_view finding, std::string_view cause, std::uint64_t cases);
  void forget(util::BootTime now);

  std::map<Key, std::uint64_t> opened_;
  std::map<std::pair<std::string, core::Severity>, std::uint64_t> escalated_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> cases_;
  std::map<std::string, std::uint64_t> forgotten_;
  std::map<Key, Open> open_;              // a row that was there once stays, as 0
  std::map<std::uint64_t, Known> known_;  // by id: the open ones, and events of the last minute
};

}  // namespace tcpwhy::metrics
