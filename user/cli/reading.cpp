// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/reading.h"

#include <fmt/format.h>

#include <algorithm>

#include "user/cli/logging.h"
#include "user/cli/moment.h"
#include "user/cli/options.h"
#include "user/config/config.h"
#include "user/host/identity.h"

namespace tcpwhy::cli {
namespace {

// Pieces that are missing are worth a word: what is told may lack what was in them.
void note_gaps(Remarks& remarks, const Run& run, bool stopped) {
  for (std::size_t i = 1; i < run.pieces.size(); ++i)
    if (run.gap_before(i))
      remarks.warns.push_back(
          fmt::format("between {} and {} pieces are missing", run.pieces[i - 1]->name(), run.pieces[i]->name()));
  if (const auto& end = run.pieces.back()->end(); !stopped && end && end->next_piece)
    remarks.informs.push_back(
        fmt::format("{} is not the last piece: the recording goes on in another", run.pieces.back()->name()));
}

// "No finding" must not be said of a time that nobody recorded.
void note_span(Remarks& remarks, const recording::Meta& meta, const Span& span, util::BootTime end) {
  const util::WallClock& wall = meta.settings.identity.wall;
  const util::BootTime begin = util::boot_time(meta.begins_ns);
  const bool before = span.until != util::BootTime{} && span.until < begin;
  if (span.since <= end && !before) return;
  remarks.outside = true;
  remarks.warns.push_back(
      fmt::format("the recording goes from {} to {}: nothing of it is in the time that was asked for",
                  util::rfc3339(begin, wall), util::rfc3339(std::max(begin, end), wall)));
}

}  // namespace

util::Result<Joined> join_hosts(const std::vector<std::string>& files, Recordings& recordings) {
  Joined joined = join(recordings);
  if (!recordings.several()) return joined;
  const core::RunIdentity& hosts = joined.settings.identity;
  const std::vector<std::string> sentences = core::clock_sentences(hosts);
  for (std::size_t i = 0; i < sentences.size(); ++i) (hosts.others[i].ahead ? log::info : log::warn)(sentences[i]);
  for (const Run& run : recordings.runs)
    if (config::show(run.meta().settings.thresholds, {}, "") !=
        config::show(recordings.first().meta().settings.thresholds, {}, ""))
      log::warn(fmt::format("the thresholds of {} differ from those of {}, which are used for all hosts",
                            run.pieces.front()->name(), recordings.first().pieces.front()->name()));
  auto again = open_recordings(files);
  if (!again) return std::move(again.error());
  recordings = std::move(*again);
  return joined;
}

util::Status can_narrow(const core::Filter& narrowing, const Recordings& recordings) {
  if (narrowing.cgroups.empty()) return util::Done{};
  const std::string here = host::read_identity().boot_id;
  for (const Run& run : recordings.runs)
    if (run.meta().settings.identity.boot_id != here)
      return util::Error{fmt::format("--cgroup cannot be looked for in {}", run.pieces.front()->name()), 0,
                         "it was recorded on another host, or before this one booted, whose cgroups are not these: use "
                         "--comm, --pid or --port"};
  return util::Done{};
}

core::Settings settings_of(const core::Filter& narrowing, const core::Thresholds& thresholds, const Joined& joined) {
  core::Settings settings = joined.settings;
  settings.narrowing = core::of_any_host(narrowing, std::max<std::uint32_t>(1, joined.hosts()));
  settings.thresholds = settings.thresholds.overlaid_with(thresholds);
  return settings;
}

namespace {

// A time of day that comes only after the recording's end was shortly before its begin, if it was that. Of a time before the
// host booted the moment that it did.
util::BootTime nearest(const std::string& text, util::BootTime moment, const Run& run) {
  using namespace std::chrono_literals;
  constexpr util::BootTime kBoot{1ns};  // zero is no bound
  if (text.empty()) return moment;
  const util::BootTime start = util::boot_time(run.meta().begins_ns);
  const bool of_day = text.find(':') != std::string::npos && text.find('T') == std::string::npos;
  const auto end = run.pieces.back()->end_ahead();
  if (!of_day || !end || moment <= util::boot_time(end->ended_ns) || moment - start <= 12h)
    return std::max(moment, kBoot);
  return std::max(moment - 24h, kBoot);
}

}  // namespace

util::Result<Span> span_of(const SpanOptions& options, const Recordings& recordings) {
  const Run& run = recordings.first();
  const util::BootTime start = util::boot_time(run.meta().begins_ns);
  const util::WallClock wall = run.whole_clock();
  const auto since = parse_moment(options.since, start, wall, util::WallClock::Which::first);
  const auto until = parse_moment(options.until, start, wall, util::WallClock::Which::last);
  if (!since || !until) return since ? until.error() : since.error();
  const Span span{nearest(options.since, *since, run), nearest(options.until, *until, run)};
  if (span.until != util::BootTime{} && span.until < span.since)
    return util::Error{"--until is before --since", 0, "write the earlier time to --since"};
  return span;
}

void know_clock(const core::Settings& settings, const SpanOptions& options, const Recordings& recordings) {
  if (options.since.empty() && recordings.first().pieces.size() == 1) return;
  const util::WallClock wall = recordings.first().whole_clock();
  for (const util::WallStep& step : wall.steps()) util::WallClock{settings.identity.wall}.step(step);
}

core::Summary summary_of(const core::Pipeline& pipeline, const Replay& replay, const Recordings& recordings) {
  core::Summary summary = pipeline.summary();
  summary.recorder_lost = replay.lost();
  summary.events_lost -= std::min(summary.events_lost, replay.lost());
  // The reader reports what is missing in the file as events lost.
  if (const auto ring = summary.losses.find(abi::LossWay::ring); ring != summary.losses.end()) {
    ring->second -= std::min(ring->second, replay.lost());
    if (ring->second == 0) summary.losses.erase(ring);
  }
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

Remarks remarks_on(const core::Pipeline& pipeline, const Replay& replay, const Recordings& recordings,
                   const Span& span) {
  Remarks remarks;
  remarks.damaged = pipeline.unreadable() > 0 || replay.torn() > 0;
  if (const auto values = pipeline.unmatched(); !values.empty()) remarks.warns.push_back(core::unmatched_words(values));
  for (const Run& run : recordings.runs) note_gaps(remarks, run, replay.stopped());
  note_span(remarks, recordings.first().meta(), span, pipeline.facts().now());
  for (const Run& run : recordings.runs)
    for (const auto& reader : run.pieces) {
      for (const std::string& problem : reader->problems()) remarks.warns.push_back(problem);
      remarks.damaged = remarks.damaged || !reader->problems().empty();
    }
  if (pipeline.unreadable() > 0)
    remarks.warns.push_back(
        fmt::format("{} records are of kinds that this version does not know, or damaged: they were skipped",
                    pipeline.unreadable()));
  if (replay.torn() > 0)
    remarks.warns.push_back(fmt::format("{} chunks hold bytes that are no records: they were skipped", replay.torn()));
  return remarks;
}

int conclude(const Remarks& remarks) {
  for (const std::string& sentence : remarks.informs) log::info(sentence);
  for (const std::string& sentence : remarks.warns) log::warn(sentence);
  return remarks.damaged ? kDamaged : kRan;
}

int conclude(const core::Pipeline& pipeline, const Replay& replay, const Recordings& recordings, const Span& span) {
  return conclude(remarks_on(pipeline, replay, recordings, span));
}

}  // namespace tcpwhy::cli
