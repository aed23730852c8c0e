// SPDX-License-Identifier: GPL-2.0-only
// What `tcpwhy report` prints of connections: the table of all, and one step by step.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "user/cli/options.h"
#include "user/core/ledger.h"
#include "user/util/result.h"

namespace tcpwhy::cli {

// The rows that are not over before `since` and pass the options' filter by ports, addresses, pids and names, in the order
// of --sort.
std::vector<const core::LedgerRow*> rows_of(const core::Ledger& ledger, const ReportOptions& options,
                                            util::BootTime since);

void print_table(std::ostream& out, const core::Ledger& ledger, const ReportOptions& options,
                 const core::RunIdentity& run, util::BootTime since);

// The row that --connection names; an error says what was looked for.
util::Result<const core::LedgerRow*> named_connection(const core::Ledger& ledger, const std::string& word);

// Prints the steps as they come.
class Ladder {
 public:
  Ladder(std::ostream& out, const core::LedgerRow& row, const core::KernelNames& names, const core::RunIdentity& run);
  void on(const abi::Event& event);
  void on(const std::vector<core::Finding>& findings);

 private:
  void line(util::BootTime time, const std::string& at_client, const std::string& at_server);
  [[nodiscard]] bool is_of(const core::Finding& finding) const;

  std::ostream& out_;
  core::LedgerRow row_;
  const core::KernelNames& names_;
  util::WallClock wall_;
};

}  // namespace tcpwhy::cli
