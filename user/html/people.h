// SPDX-License-Identifier: GPL-2.0-only
// The processes of a run, each with a number: the page's rows name it instead of repeating who it is.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "user/abi/event.h"
#include "user/core/ledger.h"

namespace tcpwhy::html {

class People {
 public:
  static constexpr int kNobody = -1;

  explicit People(core::RunIdentity run) : run_(std::move(run)) {}

  // How processes stand, as the run observed it. The newest of each counts.
  void on(const abi::Event& event);
  // Its number, given now where it has none.
  int number_of(const std::optional<core::Process>& process);
  // Counts a connection's ends for their processes.
  void count(const core::LedgerRow& row);

  // A list: {"pid", "comm", "host", "connections", "bytes_sent", "retransmits", and what was observed of it}.
  [[nodiscard]] std::string json() const;

 private:
  struct Row {
    core::Process process;
    std::uint64_t connections = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t retransmits = 0;
  };
  void count(const core::LedgerEnd& end);

  core::RunIdentity run_;
  std::vector<Row> rows_;
  std::map<std::pair<std::uint32_t, std::string>, int> numbers_;  // by tagged pid and name
  std::map<std::uint32_t, abi::ProcessState> stands_;             // by tagged pid
};

}  // namespace tcpwhy::html
