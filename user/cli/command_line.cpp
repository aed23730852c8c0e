// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/command_line.h"

#include <fmt/format.h>

#include <sstream>
#include <vector>

#include "user/kernel/btf.h"
#include "user/recording/format.h"
#include "user/sink/check.h"
#include "user/sink/json.h"
#include "user/util/version.h"

namespace tcpwhy::cli {
namespace {

constexpr const char* kFooter = R"(
Examples:
  tcpwhy trace                           watch the whole host until Ctrl-C
  tcpwhy trace --for 30s --port 443      half a minute of what uses port 443
  tcpwhy trace --format json | jq .      one JSON object a line
  tcpwhy record -o incident.tcpwhy       keep everything, to look at it later
  tcpwhy report incident.tcpwhy          the same findings, on any machine, without root
  tcpwhy check --for 10s                 an exit code: 0 healthy, 1 warning, 2 critical, 3 could not tell
  tcpwhy explain stall-unacked           what a finding means, and what to do
  tcpwhy doctor                          can it run here, and what is missing?

`tcpwhy COMMAND --help` has the rest.

Exit codes: 0 ran, 1 failed while running, 2 wrong usage, 4 a recording was in part unreadable;
`tcpwhy check` and `tcpwhy doctor` have their own.
)";

// The command that the words went to, for "see ... --help".
std::string help_command(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? "tcpwhy --help" : fmt::format("tcpwhy {} --help", chosen.front()->get_name());
}

std::string all_commands(const CLI::App& app) {
  std::string list;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    list += fmt::format("{}{}", list.empty() ? "" : ", ", command->get_name());
  }
  return list;
}

// CLI11 leaves two empty lines between groups and one at the end.
std::string tidy(std::string help) {
  for (std::size_t at = 0; (at = help.find("\n\n\n", at)) != std::string::npos;) {
    help.erase(at, 1);
  }
  help.erase(help.find_last_not_of('\n') + 1);
  return help + '\n';
}

std::string version_text() {
  return fmt::format("tcpwhy {}\ncommit {}\nlibbpf {}\nrecording format {}\nfindings {}", util::version(),
                     util::commit(), kernel::libbpf_version(), recording::kFormat, sink::kFindingSchema);
}

}  // namespace

CommandLine::CommandLine()
    : app_("tcpwhy says why a TCP connection is stuck: what is wrong, who is at fault, how it knows.", "tcpwhy") {
  app_.set_version_flag("--version", version_text(), "Print the versions of tcpwhy and its formats and exit");
  app_.set_help_flag("-h,--help", "Print this help and exit");
  app_.get_formatter()->column_width(28);
  app_.get_formatter()->label("SUBCOMMAND", "COMMAND");
  app_.require_subcommand(1);
  app_.footer(kFooter);
  CLI::App* trace = add_trace(app_, trace_options_);
  trace->final_callback([this] { chosen_trace_ = trace_options_; });
  add_record(app_, record_options_)->final_callback([this] { chosen_trace_ = record_options_; });
  add_report(app_, report_options_)->final_callback([this] { chosen_report_ = report_options_; });
  add_check(app_, check_options_)->final_callback([this] { chosen_check_ = check_options_; });
  add_explain(app_, explain_options_)->final_callback([this] { chosen_explain_ = explain_options_; });
  add_doctor(app_, doctor_options_)->final_callback([this] { chosen_doctor_ = doctor_options_; });
}

void CommandLine::parse(int argc, const char* const* argv) { app_.parse(argc, argv); }

// CLI11 has a code of its own for each mistake; a script wants to know only that the command line was wrong.
Answer CommandLine::answer(const CLI::ParseError& error) const {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
    std::ostringstream out;
    app_.exit(error, out, out);
    return {tidy(out.str()), "", kRan};
  }
  std::string what = error.what();
  if (app_.get_subcommands().empty()) {
    const std::vector<std::string> words = app_.remaining();
    if (words.empty()) {
      return {"", tidy(app_.help()), kUsage};
    }
    what = words.front().starts_with('-')
               ? fmt::format("there is no option '{}' before the command", words.front())
               : fmt::format("there is no command '{}': the commands are {}", words.front(), all_commands(app_));
  }
  return wrong_usage(what);
}

// A monitor that calls check looks at standard output, and reads 2 as critical.
Answer CommandLine::wrong_usage(const std::string& what) const {
  const std::string message = fmt::format("tcpwhy: {}\n(see {})\n", what, help_command(app_));
  if (!app_.got_subcommand("check")) return {"", message, kUsage};
  const std::vector<std::string> format = app_.get_subcommand("check")->get_option("--format")->results();
  const bool json = !format.empty() && format.back() == "json";
  return {sink::could_not_check(json, "wrong usage: " + what), message, kUnknown};
}

}  // namespace tcpwhy::cli
