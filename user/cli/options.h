// SPDX-License-Identifier: GPL-2.0-only
// What the command line said, as values: CLI11 fills these, the commands read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "user/core/filter.h"
#include "user/core/thresholds.h"
#include "user/util/address.h"
#include "user/util/time.h"

namespace tcpwhy::cli {

// Documented in README.md and --help.
enum ExitCode : int { kRan = 0, kFailed = 1, kUsage = 2, kDamaged = 4 };

// `check` alone: sink::Health as a number, this one for whatever kept it from telling.
inline constexpr int kUnknown = 3;

// `doctor` alone: 0, 1 and 3 as doctor::Verdict has them, 2 as above.

enum class Format { text, json, html };  // html: report alone

// Thresholds, and where each of them was said.
struct ThresholdOptions {
  std::string file_name;   // --config; empty where there is none
  core::Thresholds file;   // what it says
  core::Thresholds flags;  // --threshold
  bool show = false;       // --show-config
  [[nodiscard]] core::Thresholds effective() const { return file.overlaid_with(flags); }
};

struct OutputOptions {
  Format format = Format::text;
  bool events = false;                     // --events
  std::optional<core::Severity> severity;  // --severity; text: warning, json: info where not given
};

// Where a recording goes; no path: nowhere.
struct RecordingOptions {
  std::string path;             // -o, --record
  bool force = false;           // --force
  std::uint64_t max_size = 0;   // --max-size of a piece; 0: one piece
  std::uint32_t max_files = 0;  // --max-files; 0: no limit
  // --flight-recorder: path is a folder, and only this much is held, in memory.
  std::optional<util::Duration> flight;
  bool save_on_critical = false;                            // --save-on critical
  util::Duration save_interval = std::chrono::minutes{10};  // --save-interval
};

struct TraceOptions : OutputOptions {
  std::optional<util::Duration> run_for;  // --for
  RecordingOptions recording;
  std::optional<util::Endpoint> metrics;  // --metrics: where they are served
  bool quiet = false;                     // record: no findings are shown
  bool every_transition = false;          // record: all that the kernel side can tell
  core::Filter filter;
  ThresholdOptions thresholds;
  std::size_t max_connections = 262144;     // --max-connections
  std::size_t buffer_bytes = 8U << 20;      // --buffer, a power of two
  std::optional<std::uint64_t> max_memory;  // --max-memory, see memory_share.h
  std::string btf_file;                     // --btf
  std::vector<std::string> without;         // --without
};

// The part of a recording that is asked about, in the words of moment.h; empty: no bound.
struct SpanOptions {
  std::string since;  // --since
  std::string until;  // --until
};

struct ReportOptions : OutputOptions, SpanOptions {
  std::vector<std::string> files;  // "-" is standard input
  core::Filter filter;             // narrows what the recording's own lets through
  ThresholdOptions thresholds;     // over those of the recording
  bool connections = false;        // --connections: a table of every connection
  std::string connection;          // --connection: one, step by step
  std::string sort = "worst";
  std::string output;  // -o; empty or "-": standard output
  bool force = false;  // --force
};

// Of a live check, or of one of recordings where there are files.
struct CheckOptions : TraceOptions, SpanOptions {
  std::vector<std::string> files;
  core::Severity fail_on = core::Severity::warning;  // --fail-on
  bool first = false;                                // --first
};

struct ExplainOptions {
  std::string finding;  // one of the catalogue's; empty: all
  std::string cause;    // --cause
};

// Live, or a recording that is played.
struct TopOptions : TraceOptions {
  std::vector<std::string> files;
  double speed = 1;          // --speed
  std::string folder = ".";  // -o, of the flight recorder
};

struct DoctorOptions {
  Format format = Format::text;
  bool self_test = false;
  std::string btf_file;  // --btf
};

// Runs until --for is over, SIGINT or SIGTERM; with --show-config it only prints. Returns an ExitCode.
int run_trace(const TraceOptions& options);
// Replays. Returns an ExitCode; kDamaged where a part could not be read.
int run_report(const ReportOptions& options);
// Returns sink::Health as a number.
int run_check(const CheckOptions& options);
// Returns an ExitCode.
int run_explain(const ExplainOptions& options);
// Full screen until q, --for, SIGINT, SIGTERM or SIGHUP. Returns an ExitCode; kUsage where there is no terminal.
int run_top(const TopOptions& options);
// Returns doctor::Verdict as a number.
int run_doctor(const DoctorOptions& options);

}  // namespace tcpwhy::cli
