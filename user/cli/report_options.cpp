// SPDX-License-Identifier: GPL-2.0-only
// The options of `tcpwhy report` and their help.
#include <fmt/format.h>

#include "user/cli/command_line.h"
#include "user/cli/common_options.h"

namespace tcpwhy::cli {
namespace {

std::string footer() {
  return R"(
--format html makes one file that opens in any browser, without a network: the verdict, when what happened, every
connection, and what each finding means. It may be sent to others; it names hosts, processes and addresses. Mode 0600.

Files of one rotated recording are joined in their order. "-" is standard input.

)" + std::string{kMomentHelp} +
         R"(
Thresholds begin as they were in the recorded run; --threshold says otherwise, as on tcpwhy trace: what would a stricter
run have found? Filters narrow what the recorded run's own let through. Of events, those by port, address and namespace
choose.
)" + threshold_help() +
         R"(
Examples:
  tcpwhy report incident.tcpwhy
  tcpwhy report incident.tcpwhy --severity info --format json
  tcpwhy report busy.tcpwhy busy.tcpwhy.2 --port 443 --since 03:10:00 --until 03:12:00
  tcpwhy report incident.tcpwhy --threshold stall-unread=10s
  tcpwhy report incident.tcpwhy --connections --sort retransmits
  tcpwhy report incident.tcpwhy --connection 127.0.0.1:49186
  tcpwhy report incident.tcpwhy --events
  tcpwhy report incident.tcpwhy --format html -o incident.html

Needs no root, and not the kernel that was recorded.
Exit codes: 0 ran, 1 failed, 2 wrong usage, 4 a part of a recording could not be read (what could be was reported).
)";
}

}  // namespace

CLI::App* add_report(CLI::App& app, ReportOptions& options) {
  CLI::App* report = add_command(app, "report", "Tell the findings of a recording, days later, on any machine");
  report->add_option("FILE", options.files, "Recordings, or - for standard input")->required()->type_name("");
  add_span(*report, options);
  report->add_flag("--connections", options.connections, "A table of every connection instead of findings")
      ->group("Connections");
  report
      ->add_option("--sort", options.sort,
                   "Order of --connections: worst (default), time, duration, bytes or retransmits")
      ->check(CLI::IsMember({"worst", "time", "duration", "bytes", "retransmits"}))
      ->type_name("KEY")
      ->group("Connections");
  report
      ->add_option("--connection", options.connection,
                   "One connection step by step, with its findings: its ID in a\nfinding, or ADDRESS:PORT of one end")
      ->type_name("ID")
      ->group("Connections");
  report->add_option("-o,--output", options.output, "Write the page of --format html here, - for standard output")
      ->type_name("FILE")
      ->group("Output");
  report->add_flag("--force", options.force, "Overwrite a page that is there already")->group("Output");
  add_filters(*report, options.filter);
  add_output(*report, options, true);
  add_thresholds(*report, options.thresholds);
  report->footer(footer());
  return report;
}

}  // namespace tcpwhy::cli
