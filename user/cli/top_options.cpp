// SPDX-License-Identifier: GPL-2.0-only
// The options of `tcpwhy top` and their help.
#include "user/cli/command_line.h"
#include "user/cli/common_options.h"

namespace tcpwhy::cli {
namespace {

constexpr const char* kFooter = R"(
Without FILE it watches this host, as tcpwhy trace does, and draws what it sees each second: what is open, the worst
connections, listeners with their accept queues, processes with what they hold. With FILE it plays a recording.

Keys: 1 to 5 or Tab choose the page, Up and Down a row, Enter opens it (a finding in its own words, a connection step by
step), / filters, o orders, i shows findings of severity info too, space pauses, s saves the flight recorder, ? has the
rest, q quits. In a recording + and - change the speed and n goes on to the next finding.

What processes hold is counted for the screen alone and is in no recording; in FILE it is known of connections that were in
trouble.

Examples:
  tcpwhy top
  tcpwhy top --port 443
  tcpwhy top --flight-recorder 10min -o /var/tmp     s saves the last ten minutes there
  tcpwhy top --record run.tcpwhy                     tcpwhy report run.tcpwhy tells the same findings
  tcpwhy top incident.tcpwhy --speed 10

Needs a terminal. Without FILE it needs root, or the capabilities that tcpwhy trace needs.
Exit codes: 0 ran, 1 failed while running, 2 wrong usage, or no terminal that can be drawn on, 4 a part of a recording could
not be read.
)";

}  // namespace

CLI::App* add_top(CLI::App& app, TopOptions& options) {
  CLI::App* top = add_command(app, "top", "Full screen: what is wrong now, or was in a recording (live: needs root)");
  top->add_option("FILE", options.files, "A recording to play, its pieces, or several hosts'")->type_name("");
  top->add_option("--speed", options.speed, "Play a recording so many times as fast (default 1)")
      ->check(CLI::Range(0.01, 10000.0))
      ->type_name("NUMBER");
  add_run_for(*top, options, "Stop after this time (default: run until q)");
  add_filters(*top, options.filter);
  add_thresholds(*top, options.thresholds);
  add_limits(*top, options);
  constexpr const char* kRecording = "Recording";
  top->add_option("--record", options.recording.path, "Keep a recording of this run, too, of what went wrong")
      ->type_name("FILE")
      ->group(kRecording);
  add_recording(*top, options.recording);
  add_flight_recorder(*top, options.recording);
  top->add_option("-o,--output", options.folder, "The folder of the flight recorder (default: this one)")
      ->type_name("FOLDER")
      ->group("Flight recorder")
      ->needs("--flight-recorder");
  top->get_option("--flight-recorder")->excludes("--record");
  top->footer(kFooter);
  return top;
}

}  // namespace tcpwhy::cli
