// SPDX-License-Identifier: GPL-2.0-only
// What the command line said, as values: CLI11 fills these, the commands read them.
#pragma once

#include <optional>
#include <string>

#include "user/core/filter.h"
#include "user/core/thresholds.h"
#include "user/util/time.h"

namespace tcpwhy::cli {

// Documented in README.md and --help.
enum ExitCode : int { kRan = 0, kFailed = 1, kUsage = 2 };

enum class Format { text, json };

// Thresholds, and where each of them was said.
struct ThresholdOptions {
  std::string file_name;   // --config; empty where there is none
  core::Thresholds file;   // what it says
  core::Thresholds flags;  // --threshold
  bool show = false;       // --show-config
  [[nodiscard]] core::Thresholds effective() const { return file.overlaid_with(flags); }
};

struct TraceOptions {
  std::optional<util::Duration> run_for;  // --for
  Format format = Format::text;
  bool events = false;                     // --events
  std::optional<core::Severity> severity;  // --severity; text: warning, json: info where not given
  core::Filter filter;
  ThresholdOptions thresholds;
  std::size_t max_connections = 262144;  // --max-connections
  std::size_t buffer_bytes = 8U << 20;   // --buffer, a power of two
  std::string btf_file;                  // --btf
};

// Runs until --for is over, SIGINT or SIGTERM; with --show-config it only prints. Returns an ExitCode.
int run_trace(const TraceOptions& options);

}  // namespace tcpwhy::cli
