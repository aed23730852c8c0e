// SPDX-License-Identifier: GPL-2.0-only
// The options of `tcpwhy trace` and their help.
#include <fmt/format.h>

#include "user/cli/command_line.h"
#include "user/cli/common_options.h"
#include "user/cli/filter_values.h"

namespace tcpwhy::cli {
namespace {

constexpr const char* kUntilStopped = "Stop after this time (default: run until Ctrl-C)";

void add_metrics(CLI::App& app, TraceOptions& options) {
  app.add_option_function<std::string>(
         "--metrics",
         [&options](const std::string& word) { options.metrics = accept("--metrics", parse_service_address(word)); },
         "Serve metrics for Prometheus over HTTP there: 9435 or\n127.0.0.1:9435 for this host alone; another address "
         "only "
         "behind a\nfirewall, for there is no password")
      ->type_name("ADDRESS:PORT");
}

constexpr const char* kRecordFooter = R"(
The recording holds every event, what was there at the start, and what was observed of processes: tcpwhy report FILE gives
the findings that tcpwhy trace would have given, on any machine and without root. Filters by port and address keep other
events out of it where the kernel can tell; those by process and namespace only say which findings are told. About 8 bytes
an event; mode 0600.

Examples:
  tcpwhy record -o incident.tcpwhy --for 1min
  tcpwhy record -o busy.tcpwhy --max-size 64M --max-files 10     a ring of files on the disk
  tcpwhy record --flight-recorder 10min --save-on critical -o /var/lib/tcpwhy
  pkill -USR1 -f flight-recorder                                 save what it holds now
  tcpwhy report incident.tcpwhy

A line with the word "attached" on standard error says that recording has begun. On a full disk it ends; what was written
stays readable.
Needs root, or CAP_BPF and CAP_PERFMON (and CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH for what other users' processes do);
gives up what it no longer needs.
Exit codes: 0 ran, 1 failed while running, 2 wrong usage.
)";

std::string footer() {
  std::string text = R"(
Durations: 200ms, 1.5s, 10s, 3min, 2h.
)";
  text += threshold_help();
  return text + R"(
A file for --config; --show-config prints a whole one:
  [thresholds]                     # as --threshold stall-unacked=5s does
  stall-unacked = "5s"
  [port.5432.thresholds]           # for the service on this port, as --threshold 5432:reset=off does
  reset = "off"
A port's own word is the last, whoever spoke for all ports.

Filters of different kinds must all match; of one kind, any.

Examples:
  tcpwhy trace                                       the whole host, until Ctrl-C
  tcpwhy trace --for 30s --port 443                  half a minute of what uses port 443
  tcpwhy trace --remote 10.0.0.0/8 --comm nginx      one program's connections into one network
  tcpwhy trace --cgroup system.slice/nginx.service   one service
  tcpwhy trace --threshold stall-unacked=5s --threshold 5432:reset=off
  tcpwhy trace --config my.toml --show-config        what holds, and who said so
  tcpwhy trace --format json --for 1min > findings.jsonl
  tcpwhy trace --metrics 9435                        and http://127.0.0.1:9435/metrics for Prometheus

Findings go to standard output, everything else to standard error; a line with the word "attached" there says that
watching has begun. Stops at --for, Ctrl-C or SIGTERM, and then sums up.
Needs root, or CAP_BPF and CAP_PERFMON (and CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH for what other users' processes do);
gives up what it no longer needs.
Exit codes: 0 ran, 1 failed while running, 2 wrong usage.
)";
}

}  // namespace

void add_recording(CLI::App& app, RecordingOptions& options) {
  constexpr const char* kRecording = "Recording";
  app.add_flag("--force", options.force, "Overwrite a recording that is there already")->group(kRecording);
  app.add_option_function<std::string>(
         "--max-size",
         [&options](const std::string& word) { options.max_size = accept("--max-size", parse_size(word)); },
         "Begin another file (FILE.2, FILE.3 ...) when one has grown to\nthis")
      ->type_name("SIZE")
      ->group(kRecording);
  app.add_option("--max-files", options.max_files, "Keep so many files, and remove the oldest ones before them")
      ->type_name("NUMBER")
      ->check(CLI::Range(2, 100000))
      ->needs("--max-size")
      ->group(kRecording);
}

void add_flight_recorder(CLI::App& app, RecordingOptions& options) {
  constexpr const char* kFlight = "Flight recorder";
  app.add_option_function<std::string>(
         "--flight-recorder",
         [&options](const std::string& word) {
           options.flight = accept("--flight-recorder", parse_positive_duration(word));
         },
         "Hold only so much, in memory, and save it into the folder -o\non SIGUSR1, with the 30 s that follow")
      ->type_name("DURATION")
      ->group(kFlight);
  app.add_option_function<std::string>(
         "--save-on", [&options](const std::string& word) { options.save_on_critical = word == "critical"; },
         "critical: save on a critical finding, too")
      ->check(CLI::IsMember({"critical", "never"}))
      ->type_name("WHEN")
      ->needs("--flight-recorder")
      ->group(kFlight);
  app.add_option_function<std::string>(
         "--save-interval",
         [&options](const std::string& word) {
           options.save_interval = accept("--save-interval", parse_positive_duration(word));
         },
         "From one such save to the next at least (default 10min)")
      ->type_name("DURATION")
      ->needs("--flight-recorder")
      ->group(kFlight);
}

CLI::App* add_trace(CLI::App& app, TraceOptions& options) {
  CLI::App* trace = add_command(app, "trace", "Watch this host and tell each finding as it happens (needs root)");
  add_run_for(*trace, options, kUntilStopped);
  add_metrics(*trace, options);
  add_filters(*trace, options.filter);
  add_output(*trace, options);
  add_thresholds(*trace, options.thresholds);
  add_limits(*trace, options);
  trace
      ->add_option(
          "--record", options.recording.path,
          "Keep a recording of this run, too: without --events only of\nwhat went wrong (tcpwhy record keeps all)")
      ->type_name("FILE")
      ->group("Recording");
  add_recording(*trace, options.recording);
  trace->footer(footer());
  return trace;
}

CLI::App* add_record(CLI::App& app, TraceOptions& options) {
  CLI::App* record =
      add_command(app, "record", "Record this host's TCP events to a file for tcpwhy report (needs root)");
  options.quiet = options.every_transition = true;
  record->add_option("-o,--output", options.recording.path, "The recording; the folder of the flight recorder")
      ->type_name("FILE")
      ->required();
  add_run_for(*record, options, kUntilStopped);
  add_metrics(*record, options);
  add_filters(*record, options.filter);
  add_thresholds(*record, options.thresholds);
  add_limits(*record, options);
  add_recording(*record, options.recording);
  add_flight_recorder(*record, options.recording);
  record->footer(kRecordFooter);
  return record;
}

}  // namespace tcpwhy::cli
