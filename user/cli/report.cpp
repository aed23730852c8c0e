// SPDX-License-Identifier: GPL-2.0-only
// tcpwhy report: recordings into the pipeline into a sink. The same detectors as live, fed from the file.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <iostream>

#include "user/cli/connections.h"
#include "user/cli/in_span.h"
#include "user/cli/logging.h"
#include "user/cli/options.h"
#include "user/cli/output.h"
#include "user/cli/reading.h"
#include "user/cli/report_html.h"
#include "user/config/config.h"
#include "user/detect/detectors.h"

namespace tcpwhy::cli {
namespace {

// A table of all; or, in a second pass over the files, the steps of one.
int report_connections(const ReportOptions& options, Recordings& recordings, const Joined& joined,
                       const core::Settings& settings, const Span& span) {
  core::Ledger ledger;
  const auto note = [&ledger](const auto& what) { ledger.on(what); };
  const auto note_findings = [&](const std::vector<core::Finding>& findings) {
    if (findings.empty() || findings.front().time >= span.since) ledger.on(findings);
  };
  core::Pipeline pipeline{settings, detect::make_all(settings.thresholds), {note_findings, note}};
  Replay replay{recordings, joined.translators, pipeline, span};
  replay.run();
  const int code = conclude(pipeline, replay, recordings, span);
  if (options.connection.empty()) {
    print_table(std::cout, ledger, options, settings.identity, span.since);
    return code;
  }
  const auto row = named_connection(ledger, options.connection);
  if (!row) return fail(row.error());
  auto again = open_recordings(options.files);
  if (!again) return fail(again.error());
  Ladder ladder{std::cout, **row, settings.names, settings.identity};
  const auto show = [&](const abi::Event& event) {
    if (event.time >= span.since) ladder.on(event);
  };
  const auto show_findings = [&](const std::vector<core::Finding>& findings) {
    if (!findings.empty() && findings.front().time >= span.since) ladder.on(findings);
  };
  core::Pipeline second{settings, detect::make_all(settings.thresholds), {show_findings, show}};
  Replay{*again, joined.translators, second, span}.run();
  return code;
}

int usage(const util::Error& error) {
  (void)fail(error);
  return kUsage;
}

}  // namespace

int run_report(const ReportOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe ends the run through the stream's state
  if (const util::Status possible = check_html(options); !possible)
    return possible.error().code == 0 ? usage(possible.error()) : fail(possible.error());
  util::Result<Recordings> recordings = open_recordings(options.files);
  if (!recordings) {
    (void)fail(recordings.error());
    const int code = recordings.error().code;
    return code == EINVAL ? kUsage : code == EBADMSG ? kDamaged : kFailed;
  }
  if (const ThresholdOptions& said = options.thresholds; said.show) {
    // The recorded run's own stand below those of --config, as a file does below flags.
    const recording::Meta& meta = recordings->first().meta();
    std::cout << config::show(meta.settings.thresholds.overlaid_with(said.file), said.flags,
                              recordings->first().pieces.front()->name());
    return kRan;
  }
  if (const util::Status can = can_narrow(options.filter, *recordings); !can) return usage(can.error());
  const util::Result<Span> asked = span_of(options, *recordings);
  if (!asked) return usage(asked.error());
  const Span span = *asked;
  const bool pipe = std::count(options.files.begin(), options.files.end(), "-") > 0;
  if (!options.connection.empty() && pipe)
    return usage({"--connection reads the recording twice, which standard input does not allow", 0, "name a file"});

  const auto joined = join_hosts(options.files, *recordings);
  if (!joined) return fail(joined.error());
  const core::Settings settings = settings_of(options.filter, options.thresholds.effective(), *joined);
  know_clock(settings, options, *recordings);
  if (options.format == Format::html) return report_html(options, *recordings, *joined, settings, span);
  if (options.connections || !options.connection.empty())
    return report_connections(options, *recordings, *joined, settings, span);

  const std::unique_ptr<sink::Sink> sink = make_sink(options, settings);
  InSpan in_span{span.since};
  core::Outlets outlets = outlets_of(options, *sink, settings.names, settings.narrowing, span.since,
                                     settings.identity.several() ? &settings.identity : nullptr);
  outlets.findings = [&, show = std::move(outlets.findings)](const std::vector<core::Finding>& findings) {
    (void)in_span.note(findings);
    show(findings);
  };
  core::Pipeline pipeline{settings, detect::make_all(settings.thresholds), std::move(outlets)};
  Replay replay{*recordings, joined->translators, pipeline, span};
  replay.run();
  sink->summary(in_span.narrowed(summary_of(pipeline, replay, *recordings)));
  if (const std::size_t open = in_span.take_open().size(); open > 0)
    log::warn(
        fmt::format("{} that {} open as this part of the recording began {} not shown: an earlier --since shows {}",
                    open == 1 ? "a finding" : fmt::format("{} findings", open), open == 1 ? "was" : "were",
                    open == 1 ? "is" : "are", open == 1 ? "it" : "them"));
  return conclude(pipeline, replay, *recordings, span);
}

}  // namespace tcpwhy::cli
