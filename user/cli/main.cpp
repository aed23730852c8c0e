// SPDX-License-Identifier: GPL-2.0-only
#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>

#include "user/cli/command_line.h"
#include "user/cli/logging.h"

namespace tcpwhy::cli {
namespace {

int run(const CommandLine& line) {
  if (line.trace()) {
    return run_trace(*line.trace());
  }
  if (line.report()) {
    return run_report(*line.report());
  }
  if (line.check()) {
    return run_check(*line.check());
  }
  if (line.explain()) {
    return run_explain(*line.explain());
  }
  if (line.top()) {
    return run_top(*line.top());
  }
  if (line.doctor()) {
    return run_doctor(*line.doctor());
  }
  return kUsage;
}

int say(const Answer& answer) {
  std::cout << answer.to_stdout;
  std::cerr << answer.to_stderr;
  return answer.exit_code;
}

// A full disk must not pass for a quiet host.
int after_output(int exit_code, int failure_code) {
  if (!std::cout.flush()) {
    std::cerr << "tcpwhy: could not write all findings to standard output\n";
    return failure_code;
  }
  return exit_code;
}

}  // namespace
}  // namespace tcpwhy::cli

int main(int argc, char** argv) {
  using namespace tcpwhy::cli;
  CommandLine line;
  try {
    set_up_logging();
    line.parse(argc, argv);
    return after_output(run(line), line.failure_code());
  } catch (const CLI::ParseError& error) {
    return after_output(say(line.answer(error)), line.failure_code());
  } catch (const std::exception& error) {
    std::cerr << "tcpwhy: " << error.what() << '\n';
    return line.failure_code();
  }
}
