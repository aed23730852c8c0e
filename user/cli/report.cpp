// SPDX-License-Identifier: GPL-2.0-only
// tcpwhy report: recordings into the pipeline into a sink. The same detectors as live, fed from the file.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <iostream>
#include <set>

#include "user/cli/connections.h"
#include "user/cli/moment.h"
#include "user/cli/options.h"
#include "user/cli/output.h"
#include "user/cli/replay.h"
#include "user/config/config.h"
#include "user/detect/detectors.h"

namespace tcpwhy::cli {
namespace {

// The pipeline's settings, and how the narrowing reads where there are several hosts.
core::Settings settings_of(const ReportOptions& options, const Joined& joined) {
  core::Settings settings = joined.settings;
  settings.narrowing = core::of_any_host(options.filter, std::max<std::uint32_t>(1, joined.hosts()));
  settings.thresholds = settings.thresholds.overlaid_with(options.thresholds.effective());
  return settings;
}

// The findings of which a line stands in the span: what a summary of it counts.
class InSpan {
 public:
  void note(const std::vector<core::Finding>& findings) {
    for (const core::Finding& f : findings) {
      if (ids_.insert(f.id).second) count_[std::string{f.slug}] += 1;
      if (!worst_ || f.severity > *worst_) worst_ = f.severity;
    }
  }
  void summarize(core::Summary& summary, util::BootTime since) const {
    summary.started = std::max(summary.started, since);
    summary.findings = count_;
    summary.worst = worst_;
  }

 private:
  std::set<std::uint64_t> ids_;
  std::map<std::string, std::uint64_t> count_;
  std::optional<core::Severity> worst_;
};

core::Summary summary_of(const core::Pipeline& pipeline, const Replay& replay, const Recordings& recordings) {
  core::Summary summary = pipeline.summary();
  summary.recorder_lost = replay.lost();
  summary.events_lost -= std::min(summary.events_lost, replay.lost());
  std::uint64_t connections = 0;
  std::uint64_t lost = 0;
  for (const Run& run : recordings.runs) {
    const auto& end = run.pieces.back()->end();
    connections += end ? end->connections : 0;
    lost += end ? end->recorder_lost : 0;
  }
  summary.connections = std::max(summary.connections, connections);
  summary.recorder_lost = std::max(summary.recorder_lost, lost);
  return summary;
}

// Pieces that are missing are worth a word: what is told may lack what was in them.
void warn_of_gaps(const Run& run, bool stopped) {
  for (std::size_t i = 1; i < run.pieces.size(); ++i)
    if (run.gap_before(i))
      spdlog::warn("between {} and {} pieces are missing", run.pieces[i - 1]->name(), run.pieces[i]->name());
  if (const auto& end = run.pieces.back()->end(); !stopped && end && end->next_piece)
    spdlog::info("{} is not the last piece: the recording goes on in another", run.pieces.back()->name());
}

// "No finding" must not be said of a time that nobody recorded.
void warn_of_span(const recording::Meta& meta, const Span& span, util::BootTime end) {
  const util::WallOffset wall = meta.settings.identity.wall;
  const util::BootTime begin = util::boot_time(meta.begins_ns);
  const bool before = span.until != util::BootTime{} && span.until < begin;
  if (span.since <= end && !before) return;
  spdlog::warn("the recording goes from {} to {}: nothing of it is in the time that was asked for",
               util::rfc3339(begin, wall), util::rfc3339(std::max(begin, end), wall));
}

// Says what the reader of the report must know of the files, and gives the exit code.
int conclude(const core::Pipeline& pipeline, const Replay& replay, const Recordings& recordings, const Span& span) {
  bool damaged = pipeline.unreadable() > 0 || replay.torn() > 0;
  for (const Run& run : recordings.runs) warn_of_gaps(run, replay.stopped());
  warn_of_span(recordings.first().meta(), span, pipeline.facts().now());
  for (const Run& run : recordings.runs)
    for (const auto& reader : run.pieces) {
      for (const std::string& problem : reader->problems()) spdlog::warn("{}", problem);
      damaged = damaged || !reader->problems().empty();
    }
  if (pipeline.unreadable() > 0)
    spdlog::warn("{} records are of kinds that this version does not know, or damaged: they were skipped",
                 pipeline.unreadable());
  if (replay.torn() > 0) spdlog::warn("{} chunks hold bytes that are no records: they were skipped", replay.torn());
  return damaged ? kDamaged : kRan;
}

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

// Of several hosts: reads all once for their clocks, says what came of it, and opens all anew.
util::Result<Joined> join_hosts(const ReportOptions& options, Recordings& recordings) {
  Joined joined = join(recordings);
  if (!recordings.several()) return joined;
  const core::RunIdentity& hosts = joined.settings.identity;
  const std::vector<std::string> sentences = core::clock_sentences(hosts);
  for (std::size_t i = 0; i < sentences.size(); ++i)
    spdlog::log(hosts.others[i].ahead ? spdlog::level::info : spdlog::level::warn, "{}", sentences[i]);
  for (const Run& run : recordings.runs)
    if (config::show(run.meta().settings.thresholds, {}, "") !=
        config::show(recordings.first().meta().settings.thresholds, {}, ""))
      spdlog::warn("the thresholds of {} differ from those of {}, which are used for all hosts",
                   run.pieces.front()->name(), recordings.first().pieces.front()->name());
  auto again = open_recordings(options.files);
  if (!again) return std::move(again.error());
  recordings = std::move(*again);
  return joined;
}

}  // namespace

int run_report(const ReportOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe ends the run through the stream's state
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
  const util::BootTime start = util::boot_time(recordings->first().meta().begins_ns);
  const util::WallOffset wall = recordings->first().meta().settings.identity.wall;
  const auto since = parse_moment(options.since, start, wall);
  const auto until = parse_moment(options.until, start, wall);
  if (!since || !until) return usage(since ? until.error() : since.error());
  const bool pipe = std::count(options.files.begin(), options.files.end(), "-") > 0;
  if (!options.connection.empty() && pipe)
    return usage({"--connection reads the recording twice, which standard input does not allow", 0, "name a file"});

  const Span span{*since, *until};
  if (span.until != util::BootTime{} && span.until < span.since)
    return usage({"--until is before --since", 0, "write the earlier time to --since"});
  const auto joined = join_hosts(options, *recordings);
  if (!joined) return fail(joined.error());
  const core::Settings settings = settings_of(options, *joined);
  if (options.connections || !options.connection.empty())
    return report_connections(options, *recordings, *joined, settings, span);

  const std::unique_ptr<sink::Sink> sink = make_sink(options, settings);
  InSpan in_span;
  core::Outlets outlets = outlets_of(options, *sink, settings.names, settings.narrowing, span.since,
                                     settings.identity.several() ? &settings.identity : nullptr);
  outlets.findings = [&, show = std::move(outlets.findings)](const std::vector<core::Finding>& findings) {
    if (!findings.empty() && findings.front().time >= span.since) in_span.note(findings);
    show(findings);
  };
  core::Pipeline pipeline{settings, detect::make_all(settings.thresholds), std::move(outlets)};
  Replay replay{*recordings, joined->translators, pipeline, span};
  replay.run();
  core::Summary summary = summary_of(pipeline, replay, *recordings);
  if (span.since != util::BootTime{}) in_span.summarize(summary, span.since);
  sink->summary(summary);
  return conclude(pipeline, replay, *recordings, span);
}

}  // namespace tcpwhy::cli
