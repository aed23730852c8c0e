// SPDX-License-Identifier: GPL-2.0-only
// The options that several commands share.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>

#include "user/cli/options.h"
#include "user/util/result.h"

namespace tcpwhy::cli {

inline constexpr const char* kLimits = "Thresholds and limits";

// An Error becomes CLI11's: "--port: '99999' is not a port: write a number ...".
[[noreturn]] void refuse(const std::string& option, const util::Error& error);

template <typename T>
T accept(const std::string& option, util::Result<T> value) {
  if (!value) {
    refuse(option, value.error());
  }
  return std::move(*value);
}

// A command with its help as all have it.
CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& what);
// --port, --local, --remote, --pid, --comm, --cgroup, --netns
void add_filters(CLI::App& app, core::Filter& filter);
// --format; html only where it is of the kinds.
void add_format(CLI::App& app, Format& format, const std::string& help, bool html = false);
// --btf
void add_btf(CLI::App& app, std::string& file);
// --format, --severity, --events
void add_output(CLI::App& app, OutputOptions& options, bool html = false);
// --threshold, --config, --show-config
void add_thresholds(CLI::App& app, ThresholdOptions& thresholds);
// --max-connections
void add_max_connections(CLI::App& app, std::size_t& most);
// --max-connections, --buffer, --btf, --without, of a live run
void add_limits(CLI::App& app, TraceOptions& options);
// --for
void add_run_for(CLI::App& app, TraceOptions& options, const std::string& help);
// --force, --max-size, --max-files (trace_options.cpp)
void add_recording(CLI::App& app, RecordingOptions& options);
// --since and --until of a recording.
void add_span(CLI::App& app, SpanOptions& options);
// What they take, for a footer.
inline constexpr const char* kMomentHelp =
    R"(Times for --since and --until: 2026-03-01T12:09:54Z, 12:09:54 (the recording's first such moment, local time), +90s (after
its start). What happened before --since is read where it is needed to understand what follows, and not shown.
)";
// --flight-recorder, --max-memory, --save-on, --save-interval (trace_options.cpp)
void add_flight_recorder(CLI::App& app, RecordingOptions& options);
// The findings, with what --threshold may say of each.
std::string threshold_help();

}  // namespace tcpwhy::cli
