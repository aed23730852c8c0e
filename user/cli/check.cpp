// SPDX-License-Identifier: GPL-2.0-only
// tcpwhy check: a bounded live run, or recordings, into a verdict. Whatever keeps it from telling is exit code 3.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <csignal>
#include <iostream>

#include "user/cli/in_span.h"
#include "user/cli/live.h"
#include "user/cli/options.h"
#include "user/cli/output.h"
#include "user/cli/reading.h"
#include "user/config/config.h"
#include "user/detect/detectors.h"
#include "user/sink/check.h"
#include "user/sink/text.h"

namespace tcpwhy::cli {
namespace {

int cannot_tell(const CheckOptions& options, const util::Error& error) {
  (void)fail(error);
  const std::string why = error.hint.empty() ? error.what : fmt::format("{}: {}", error.what, error.hint);
  std::cout << sink::could_not_check(options.format == Format::json, why);
  return kUnknown;
}

sink::CheckSink make_sink(const CheckOptions& options, const core::Settings& settings,
                          std::vector<std::string> missing = {}) {
  sink::CheckStyle style;
  style.json = options.format == Format::json;
  style.colour = sink::style_for(STDOUT_FILENO, {}).colour;
  style.fail_on = options.fail_on;
  style.window = settings.window;
  style.missing = std::move(missing);
  return {std::cout, settings.identity, std::move(style)};
}

core::Outlets outlets_of(sink::CheckSink& sink) {
  core::Outlets outlets;
  outlets.findings = [&sink](const std::vector<core::Finding>& findings) { sink.findings(findings); };
  outlets.tick = [&sink](util::BootTime now) { sink.tick(now); };
  return outlets;
}

void doubt_what_is_missing(sink::CheckSink& sink, const core::Losses& losses, const core::Summary& summary) {
  for (std::string& why : sink::doubts_of(losses)) sink.doubt(std::move(why));
  if (summary.connections_evicted > 0)
    sink.doubt(
        fmt::format("{} connections were forgotten to stay within --max-connections", summary.connections_evicted));
}

// Of recordings that have every transition; the cgroup of a healthy connection is in none.
std::vector<std::string> surely_unmatched(const core::Pipeline& pipeline, const Recordings& recordings) {
  for (const Run& run : recordings.runs)
    if (!run.meta().every_transition) return {};
  std::vector<std::string> values = pipeline.unmatched();
  std::erase(values, "--cgroup");
  return values;
}

int check_live(CheckOptions options) {
  std::signal(SIGUSR1, SIG_IGN);  // the flight recorder's; sent to all by name, it must not kill the others
  // Whether its values let anything through is told by healthy connections, too.
  options.every_transition = options.every_transition || !options.filter.empty();
  util::Result<Live> live = Live::open(options);
  if (!live) return cannot_tell(options, live.error());
  sink::CheckSink sink = make_sink(options, live->settings(), live->source().missing());
  LiveHooks hooks;
  hooks.outlets = outlets_of(sink);
  hooks.goes_on = [&] { return !(options.first && sink.decided()); };
  const util::Result<LiveEnd> end = live->watch(hooks);
  if (!end) return cannot_tell(options, end.error());
  if (!end->status) {
    (void)fail(end->status.error());
    sink.doubt(end->status.error().what);
  }
  if (end->interrupted) sink.doubt(fmt::format("it was stopped before {} were over", util::human(*options.run_for)));
  if (!end->unmatched.empty()) sink.doubt(core::unmatched_words(end->unmatched));
  doubt_what_is_missing(sink, end->losses, end->summary);
  sink.summary(end->summary);
  return static_cast<int>(sink.health());
}

int check_files(const CheckOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  util::Result<Recordings> recordings = open_recordings(options.files);
  if (!recordings) return cannot_tell(options, recordings.error());
  if (const util::Status can = can_narrow(options.filter, *recordings); !can) return cannot_tell(options, can.error());
  const util::Result<Span> span = span_of(options, *recordings);
  if (!span) return cannot_tell(options, span.error());
  const auto joined = join_hosts(options.files, *recordings);
  if (!joined) return cannot_tell(options, joined.error());
  const core::Settings settings = settings_of(options.filter, options.thresholds.effective(), *joined);
  know_clock(settings, options, *recordings);
  sink::CheckSink sink = make_sink(options, settings);
  InSpan in_span{span->since};
  // What was open as the span began counts, though nothing new may be told of it.
  const auto tell_open = [&] {
    if (const auto open = in_span.take_open(); !open.empty()) sink.findings(open);
  };
  core::Outlets outlets = outlets_of(sink);
  outlets.findings = [&](const std::vector<core::Finding>& findings) {
    if (!in_span.note(findings)) return;
    tell_open();
    sink.findings(findings);
  };
  core::Pipeline pipeline{settings, detect::make_all(settings.thresholds), std::move(outlets)};
  Replay replay{*recordings, joined->translators, pipeline, *span};
  if (options.first) replay.end_when([&sink] { return sink.decided(); });
  replay.run();
  tell_open();
  const core::Summary summary = in_span.narrowed(summary_of(pipeline, replay, *recordings));
  const Remarks remarks = remarks_on(pipeline, replay, *recordings, *span);
  (void)conclude(remarks);
  if (const auto values = surely_unmatched(pipeline, *recordings); !values.empty())
    sink.doubt(core::unmatched_words(values));
  if (remarks.damaged) sink.doubt("a part of the recording could not be read");
  if (remarks.outside) sink.doubt("nothing of the recording is in the time that was asked for");
  doubt_what_is_missing(sink, pipeline.losses(), summary);
  if (pipeline.losses().events() == 0 && summary.recorder_lost > 0)
    sink.doubt(fmt::format("the recorder lost {} records", summary.recorder_lost));
  sink.summary(summary);
  return static_cast<int>(sink.health());
}

}  // namespace

int run_check(const CheckOptions& options) {
  if (const ThresholdOptions& said = options.thresholds; said.show) {
    std::cout << config::show(said.file, said.flags, said.file_name);
    return kRan;
  }
  return options.files.empty() ? check_live(options) : check_files(options);
}

}  // namespace tcpwhy::cli
