// SPDX-License-Identifier: GPL-2.0-only
// tcpwhy doctor: its options, and what it prints.
#include <unistd.h>

#include <iostream>

#include "user/cli/command_line.h"
#include "user/cli/common_options.h"
#include "user/doctor/report.h"
#include "user/sink/text.h"

namespace tcpwhy::cli {
namespace {

constexpr const char* kFooter = R"(
Says of each thing that tcpwhy needs whether it is here (BTF, tracepoints and their arguments, iterators, helpers, rights),
then of each finding whether it can be told: yes, inferred (its cause follows from something else), partly (some cases are
not seen) or no, and why; then what to do. Without root it says as much as it may see.

Examples:
  tcpwhy doctor
  tcpwhy doctor --self-test                      load, attach, make a reset on loopback and wait for it (needs root)
  tcpwhy doctor --format json | jq .findings

Exit codes: 0 every finding works, 1 some only in part, 2 wrong usage, 3 tcpwhy cannot run as it was called.
)";

}  // namespace

CLI::App* add_doctor(CLI::App& app, DoctorOptions& options) {
  CLI::App* doctor = add_command(app, "doctor", "Say what this kernel and these rights allow, and what is missing");
  add_format(*doctor, options.format, "text (default) or json, one object");
  doctor->add_flag("--self-test", options.self_test, "Try it: load, attach, and wait for a reset made on loopback");
  add_btf(*doctor, options.btf_file);
  doctor->get_option("--btf")->group("Options");
  doctor->footer(kFooter);
  return doctor;
}

int run_doctor(const DoctorOptions& options) {
  const doctor::Diagnosis diagnosis = doctor::diagnose(doctor::read_types(options.btf_file), host::read_surroundings());
  doctor::SelfTestResult self_test;
  if (options.self_test) self_test = doctor::run_self_test(options.btf_file);
  if (options.format == Format::json) {
    std::cout << doctor::as_json(diagnosis, self_test);
  } else {
    std::cout << doctor::as_text(diagnosis, self_test, sink::style_for(STDOUT_FILENO, {}).columns);
  }
  const bool failed = self_test && !*self_test;
  return failed ? static_cast<int>(doctor::Verdict::cannot_run) : static_cast<int>(diagnosis.verdict);
}

}  // namespace tcpwhy::cli
