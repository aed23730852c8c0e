// SPDX-License-Identifier: GPL-2.0-only
// tcpwhy report: recordings into the pipeline into a sink. The same detectors as live, fed from the file.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <iostream>
#include <set>

#include "user/abi/header.h"
#include "user/cli/connections.h"
#include "user/cli/moment.h"
#include "user/cli/options.h"
#include "user/cli/output.h"
#include "user/config/config.h"
#include "user/detect/detectors.h"
#include "user/recording/reader.h"

namespace tcpwhy::cli {
namespace {

using recording::Reader;
using Readers = std::vector<std::unique_ptr<Reader>>;

// Before --since, so much is read for what it explains.
constexpr auto kBefore = std::chrono::minutes{2};

// Its error's code: EBADMSG where a recording is too damaged to begin with, EINVAL where the files do not belong together.
util::Result<Readers> open_all(const std::vector<std::string>& files) {
  Readers readers;
  for (const std::string& file : files) {
    auto reader = Reader::open(file);
    if (!reader) return std::move(reader.error());
    readers.push_back(std::move(*reader));
  }
  std::stable_sort(readers.begin(), readers.end(),
                   [](const auto& a, const auto& b) { return a->meta().piece < b->meta().piece; });
  for (std::size_t i = 1; i < readers.size(); ++i) {
    const recording::Meta& first = readers.front()->meta();
    const recording::Meta& meta = readers[i]->meta();
    if (meta.settings.identity.boot_id != first.settings.identity.boot_id || meta.started_ns != first.started_ns ||
        meta.piece == readers[i - 1]->meta().piece)
      return util::Error{
          fmt::format("{} and {} are not pieces of one recording", readers[i - 1]->name(), readers[i]->name()), EINVAL,
          "give each recording to a report of its own"};
  }
  return readers;
}

// How far it has come, on a terminal and for long files only.
class Progress {
 public:
  explicit Progress(const Readers& readers) {
    for (const auto& reader : readers) all_ += reader->size();
    shown_ = all_ >= kLong && ::isatty(STDERR_FILENO) == 1;
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    if (said_) std::cerr << "\r\033[K";
  }
  void at(std::uint64_t bytes) {
    const auto now = Clock::now();
    if (!shown_ || now - last_ < std::chrono::milliseconds{500} || bytes == 0) return;
    last_ = now;
    said_ = true;
    const double part = static_cast<double>(bytes) / static_cast<double>(all_);
    const std::chrono::duration<double> gone = now - started_;
    std::cerr << fmt::format("\r\033[K{} MiB of {} MiB, {} left", bytes >> 20, all_ >> 20,
                             util::human(std::chrono::seconds{static_cast<long>(gone.count() * (1 / part - 1)) + 1}));
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::uint64_t kLong = 32U << 20;
  std::uint64_t all_ = 0;
  bool shown_ = false;
  bool said_ = false;
  Clock::time_point started_ = Clock::now();
  Clock::time_point last_ = started_;
};

core::Settings settings_of(const ReportOptions& options, const recording::Meta& meta) {
  core::Settings settings = meta.settings;
  settings.narrowing = options.filter;
  settings.thresholds = settings.thresholds.overlaid_with(options.thresholds.effective());
  return settings;
}

// Feeds one file; false where --until was reached.
class Replay {
 public:
  Replay(core::Pipeline& pipeline, util::BootTime until) : pipeline_(pipeline), until_(until) {}

  bool run(Reader& reader, bool with_seed, std::uint64_t bytes_before, Progress& progress) {
    while (std::optional<recording::Block> block = reader.next()) {
      progress.at(bytes_before + reader.at());
      if (!std::cout.good()) return false;
      if (block->type == recording::ChunkType::seed && !with_seed) continue;
      if (block->lost_before > 0) lose(block->lost_before, block->time_ns);
      std::uint32_t fed = 0;
      const bool whole = block->visit(
          [&](recording::View record) {
            feed(record);
            fed += 1;
          },
          [&](std::uint64_t time_ns) {
            feed_ordinary(time_ns);
            fed += 1;
          });
      if (!whole) {
        torn_ += 1;
        lose(std::max(block->count, fed + 1) - fed, block->time_ns);
      }
      if (over_) return false;
    }
    return true;
  }
  // Pieces are missing between two that are there.
  void gap(std::uint64_t time_ns) { lose(1, time_ns); }
  [[nodiscard]] std::uint64_t lost() const { return lost_; }
  [[nodiscard]] std::uint64_t torn() const { return torn_; }
  // --until came before the end: nothing ended then, the run only is not looked at any further.
  [[nodiscard]] bool stopped() const { return over_; }

 private:
  bool is_over(std::uint64_t time_ns) {
    if (until_ != util::BootTime{} && util::boot_time(time_ns) > until_) over_ = true;
    return over_;
  }
  void feed(recording::View record) {
    const auto header = abi::peek_header(record);
    if (!is_over(header ? header->time_ns : 0)) pipeline_.feed(record);
  }
  void feed_ordinary(std::uint64_t time_ns) {
    if (!is_over(time_ns)) pipeline_.feed_ordinary(util::boot_time(time_ns));
  }
  void lose(std::uint32_t count, std::uint64_t time_ns) {
    lost_ += count;
    feed(abi::recorder_loss(count, time_ns));
  }

  core::Pipeline& pipeline_;
  util::BootTime until_;
  std::uint64_t lost_ = 0;
  std::uint64_t torn_ = 0;  // blocks that do not consist of records
  bool over_ = false;
};

struct Span {
  util::BootTime since{};
  util::BootTime until{};
};

Replay replay_all(const Readers& readers, core::Pipeline& pipeline, const Span& span) {
  Replay replay{pipeline, span.until};
  Progress progress{readers};
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < readers.size(); ++i) {
    Reader& reader = *readers[i];
    if (span.since > util::BootTime{kBefore})
      reader.skip_until(static_cast<std::uint64_t>((span.since - kBefore).time_since_epoch().count()));
    if (!pipeline.shows_events()) reader.leave_out_ordinary();
    const bool joined = i > 0 && reader.meta().piece == readers[i - 1]->meta().piece + 1;
    if (i > 0 && !joined) replay.gap(reader.meta().begins_ns);
    if (!replay.run(reader, !joined, bytes, progress)) break;
    bytes += reader.size();
  }
  if (!replay.stopped()) pipeline.finish();
  return replay;
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

core::Summary summary_of(const core::Pipeline& pipeline, const Replay& replay, const Readers& readers) {
  core::Summary summary = pipeline.summary();
  summary.recorder_lost = replay.lost();
  summary.events_lost -= std::min(summary.events_lost, replay.lost());
  if (const auto& end = readers.back()->end()) {
    summary.connections = std::max(summary.connections, end->connections);
    summary.recorder_lost = std::max(summary.recorder_lost, end->recorder_lost);
  }
  return summary;
}

// Pieces that are missing are worth a word: what is told may lack what was in them.
void warn_of_gaps(const Readers& readers, bool stopped) {
  for (std::size_t i = 1; i < readers.size(); ++i)
    if (readers[i]->meta().piece != readers[i - 1]->meta().piece + 1)
      spdlog::warn("between {} and {} pieces are missing", readers[i - 1]->name(), readers[i]->name());
  if (const auto& end = readers.back()->end(); !stopped && end && end->next_piece)
    spdlog::info("{} is not the last piece: the recording goes on in another", readers.back()->name());
}

// "No finding" must not be said of a time that nobody recorded.
void warn_of_span(const Readers& readers, const Span& span, util::BootTime end) {
  const recording::Meta& meta = readers.front()->meta();
  const util::WallOffset wall = meta.settings.identity.wall;
  const util::BootTime begin = util::boot_time(meta.begins_ns);
  const bool before = span.until != util::BootTime{} && span.until < begin;
  if (span.since <= end && !before) return;
  spdlog::warn("the recording goes from {} to {}: nothing of it is in the time that was asked for",
               util::rfc3339(begin, wall), util::rfc3339(std::max(begin, end), wall));
}

// Says what the reader of the report must know of the files, and gives the exit code.
int conclude(const core::Pipeline& pipeline, const Replay& replay, const Readers& readers, const Span& span) {
  warn_of_gaps(readers, replay.stopped());
  warn_of_span(readers, span, pipeline.facts().now());
  bool damaged = pipeline.unreadable() > 0 || replay.torn() > 0;
  for (const auto& reader : readers) {
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
int report_connections(const ReportOptions& options, const Readers& readers, const core::Settings& settings,
                       const Span& span) {
  core::Ledger ledger;
  const auto note = [&ledger](const auto& what) { ledger.on(what); };
  const auto note_findings = [&](const std::vector<core::Finding>& findings) {
    if (findings.empty() || findings.front().time >= span.since) ledger.on(findings);
  };
  core::Pipeline pipeline{settings, detect::make_all(settings.thresholds), {note_findings, note}};
  const Replay replay = replay_all(readers, pipeline, span);
  const int code = conclude(pipeline, replay, readers, span);
  if (options.connection.empty()) {
    print_table(std::cout, ledger, options, settings.identity, span.since);
    return code;
  }
  const auto row = named_connection(ledger, options.connection);
  if (!row) return fail(row.error());
  const auto again = open_all(options.files);
  if (!again) return fail(again.error());
  Ladder ladder{std::cout, **row, settings.names, settings.identity};
  const auto show = [&](const abi::Event& event) {
    if (event.time >= span.since) ladder.on(event);
  };
  const auto show_findings = [&](const std::vector<core::Finding>& findings) {
    if (!findings.empty() && findings.front().time >= span.since) ladder.on(findings);
  };
  core::Pipeline second{settings, detect::make_all(settings.thresholds), {show_findings, show}};
  (void)replay_all(*again, second, span);
  return code;
}

int usage(const util::Error& error) {
  (void)fail(error);
  return kUsage;
}

}  // namespace

int run_report(const ReportOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe ends the run through the stream's state
  util::Result<Readers> readers = open_all(options.files);
  if (!readers) {
    (void)fail(readers.error());
    const int code = readers.error().code;
    return code == EINVAL ? kUsage : code == EBADMSG ? kDamaged : kFailed;
  }
  const recording::Meta& meta = readers->front()->meta();
  if (const ThresholdOptions& said = options.thresholds; said.show) {
    // The recorded run's own stand below those of --config, as a file does below flags.
    std::cout << config::show(meta.settings.thresholds.overlaid_with(said.file), said.flags, readers->front()->name());
    return kRan;
  }
  core::Settings settings = settings_of(options, meta);
  const util::BootTime start = util::boot_time(meta.begins_ns);
  const auto since = parse_moment(options.since, start, settings.identity.wall);
  const auto until = parse_moment(options.until, start, settings.identity.wall);
  if (!since || !until) return usage(since ? until.error() : since.error());
  const bool pipe = std::count(options.files.begin(), options.files.end(), "-") > 0;
  if (!options.connection.empty() && pipe)
    return usage({"--connection reads the recording twice, which standard input does not allow", 0, "name a file"});

  const Span span{*since, *until};
  if (span.until != util::BootTime{} && span.until < span.since)
    return usage({"--until is before --since", 0, "write the earlier time to --since"});
  if (options.connections || !options.connection.empty()) return report_connections(options, *readers, settings, span);

  const std::unique_ptr<sink::Sink> sink = make_sink(options, settings);
  InSpan in_span;
  core::Outlets outlets = outlets_of(options, *sink, meta.settings.names, options.filter, span.since);
  outlets.findings = [&, show = std::move(outlets.findings)](const std::vector<core::Finding>& findings) {
    if (!findings.empty() && findings.front().time >= span.since) in_span.note(findings);
    show(findings);
  };
  core::Pipeline pipeline{settings, detect::make_all(settings.thresholds), std::move(outlets)};
  const Replay replay = replay_all(*readers, pipeline, span);
  core::Summary summary = summary_of(pipeline, replay, *readers);
  if (span.since != util::BootTime{}) in_span.summarize(summary, span.since);
  sink->summary(summary);
  return conclude(pipeline, replay, *readers, span);
}

}  // namespace tcpwhy::cli
