// SPDX-License-Identifier: GPL-2.0-only
// The command line: what may be said, its help, and what was said.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "user/cli/options.h"

namespace tcpwhy::cli {

// What parsing alone already answers: help, the version, or what is wrong with the command line.
struct Answer {
  std::string to_stdout;
  std::string to_stderr;
  int exit_code = kRan;
};

class CommandLine {
 public:
  CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  // Throws CLI::ParseError for anything that is not a command to run: answer() turns it into words.
  void parse(int argc, const char* const* argv);
  [[nodiscard]] Answer answer(const CLI::ParseError& error) const;

  // The exit code of this command where it fails: that of check says that it could not tell.
  [[nodiscard]] int failure_code() const { return app_.got_subcommand("check") ? kUnknown : kFailed; }

  // The command that was given, with its options.
  [[nodiscard]] const std::optional<TraceOptions>& trace() const { return chosen_trace_; }  // record, too
  [[nodiscard]] const std::optional<ReportOptions>& report() const { return chosen_report_; }
  [[nodiscard]] const std::optional<CheckOptions>& check() const { return chosen_check_; }
  [[nodiscard]] const std::optional<ExplainOptions>& explain() const { return chosen_explain_; }
  [[nodiscard]] const std::optional<DoctorOptions>& doctor() const { return chosen_doctor_; }

 private:
  [[nodiscard]] Answer wrong_usage(const std::string& what) const;

  CLI::App app_;
  TraceOptions trace_options_;
  TraceOptions record_options_;
  ReportOptions report_options_;
  CheckOptions check_options_;
  ExplainOptions explain_options_;
  DoctorOptions doctor_options_;
  std::optional<TraceOptions> chosen_trace_;
  std::optional<ReportOptions> chosen_report_;
  std::optional<CheckOptions> chosen_check_;
  std::optional<ExplainOptions> chosen_explain_;
  std::optional<DoctorOptions> chosen_doctor_;
};

// One function a command: adds it with its options to `app`; parsing fills `options`.
CLI::App* add_trace(CLI::App& app, TraceOptions& options);
CLI::App* add_record(CLI::App& app, TraceOptions& options);
CLI::App* add_report(CLI::App& app, ReportOptions& options);
CLI::App* add_check(CLI::App& app, CheckOptions& options);
CLI::App* add_explain(CLI::App& app, ExplainOptions& options);
CLI::App* add_doctor(CLI::App& app, DoctorOptions& options);

}  // namespace tcpwhy::cli
