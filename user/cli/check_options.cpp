// SPDX-License-Identifier: GPL-2.0-only
// The options of `tcpwhy check` and their help.
#include <map>

#include "user/cli/command_line.h"
#include "user/cli/common_options.h"

namespace tcpwhy::cli {
namespace {

std::string footer() {
  return R"(
The first line is the verdict, with performance data behind "|", as Nagios and its heirs read a plugin; then one line a
problem, worst first, symptoms below their cause. A problem that was over before the run counts, and is told as "was". With
files it looks at recordings: needs no root, and not the kernel that was recorded.

)" + std::string{kMomentHelp} +
         threshold_help() +
         R"(
Examples:
  tcpwhy check                                        this host, ten seconds
  tcpwhy check --for 1min --port 443 --fail-on critical
  tcpwhy check --first && echo nothing critical       ends at once where something is
  tcpwhy check --format json | tail -n 1 | jq .verdict
  tcpwhy check incident.tcpwhy                        what a recording says
  tcpwhy check incident.tcpwhy --since 03:10:00 --until 03:12:00

Needs root, or CAP_BPF and CAP_PERFMON (and CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH for what other users' processes do).
Exit codes: 0 healthy, 1 warning, 2 critical, 3 could not tell: wrong usage, no privileges, no BTF, stopped too early; or
nothing critical was found, and what was lost or unreadable could have hidden it.
)";
}

}  // namespace

CLI::App* add_check(CLI::App& app, CheckOptions& options) {
  static const std::map<std::string, core::Severity> kFailOn = {{"warning", core::Severity::warning},
                                                                {"critical", core::Severity::critical}};
  CLI::App* check =
      add_command(app, "check", "Watch for a while and answer with an exit code, for runbooks (needs root)");
  CLI::Option* files = check->add_option("FILE", options.files, "Recordings to look at instead of this host");
  files->type_name("");
  options.run_for = std::chrono::seconds{10};
  add_run_for(*check, options, "How long to watch (default 10s)");
  check->get_option("--for")->excludes(files);
  add_span(*check, options);
  for (const char* bound : {"--since", "--until"}) check->get_option(bound)->needs(files);
  check
      ->add_option_function<std::string>(
          "--fail-on", [&options](const std::string& word) { options.fail_on = kFailOn.at(word); },
          "warning (default) or critical: what is milder is listed,\nand exit code 0")
      ->check(CLI::IsMember({"warning", "critical"}))
      ->type_name("SEVERITY");
  check->add_flag("--first", options.first,
                  "End as soon as the verdict cannot change: two seconds after\nthe first critical finding, when its "
                  "cause is known");
  add_filters(*check, options.filter);
  add_format(*check, options.format, "text (default) or json: findings, summary and verdict,\none object a line");
  add_thresholds(*check, options.thresholds);
  add_limits(*check, options);
  check->footer(footer());
  return check;
}

}  // namespace tcpwhy::cli
