// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/recordings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "user/abi/decode.h"
#include "user/core/clock_offset.h"
#include "user/core/host.h"

namespace tcpwhy::cli {
namespace {

using recording::Meta;
using recording::Reader;

bool same_boot(const Meta& a, const Meta& b) { return a.settings.identity.boot_id == b.settings.identity.boot_id; }

util::Error not_together(const Reader& a, const Reader& b) {
  return {fmt::format("{} and {} are not pieces of one recording", a.name(), b.name()), EINVAL,
          "give two recordings of one host to reports of their own; those of several hosts are read together"};
}

// Where this reader belongs: its run, a new one, or nowhere.
util::Status add(std::vector<Run>& runs, std::unique_ptr<Reader> reader) {
  for (Run& run : runs) {
    const Meta& meta = reader->meta();
    if (!same_boot(run.meta(), meta)) continue;
    const bool known = std::any_of(run.pieces.begin(), run.pieces.end(),
                                   [&meta](const auto& piece) { return piece->meta().piece == meta.piece; });
    if (run.meta().started_ns != meta.started_ns || known) return not_together(*run.pieces.front(), *reader);
    run.pieces.push_back(std::move(reader));
    return util::Done{};
  }
  runs.emplace_back().pieces.push_back(std::move(reader));
  return util::Done{};
}

// What tells of when the two ends of a connection did something.
bool tells_time(std::string_view kind) {
  return kind == "transition" || kind == "state" || kind == "reset_sent" || kind == "reset_received";
}

void read_clocks(Run& run, std::uint32_t host, core::ClockOffsets& clocks) {
  const util::WallClock& wall = run.meta().settings.identity.wall;
  for (const auto& reader : run.pieces)
    while (const std::optional<recording::Block> block = reader->next())
      (void)recording::for_each_record(block->records, [&](recording::View record) {
        if (!tells_time(abi::peek_kind(record))) return;
        if (const auto event = abi::decode(record)) clocks.on(host, *event, wall);
      });
}

core::RunIdentity::Other other_of(const core::RunIdentity& run, const std::optional<core::ClockOffset>& clock) {
  core::RunIdentity::Other other{run.host, run.boot_id, run.netns, std::nullopt, {}, 0};
  if (!clock) return other;
  other.ahead = clock->ahead;
  other.give_or_take = clock->give_or_take;
  other.pairs = clock->pairs;
  return other;
}

// Two hosts of one name (a golden image) are told apart by their boot.
void make_names_unique(core::RunIdentity& run) {
  std::vector<std::string> known{run.host};
  for (core::RunIdentity::Other& other : run.others) {
    if (std::find(known.begin(), known.end(), other.host) != known.end())
      other.host = fmt::format("{}({})", other.host, other.boot_id.substr(0, 8));
    known.push_back(other.host);
  }
}

}  // namespace

util::WallClock Run::whole_clock() const {
  const util::WallClock& told = meta().settings.identity.wall;
  util::WallClock clock{told.at_start()};
  for (const auto& piece : pieces)
    for (const util::WallStep& step : piece->meta().settings.identity.wall.steps()) clock.step(step);
  if (const auto end = pieces.back()->end_ahead())
    for (const util::WallStep& step : end->clock_steps) clock.step(step);
  return clock;
}

bool Run::gap_before(std::size_t piece) const {
  return piece > 0 && pieces[piece]->meta().piece != pieces[piece - 1]->meta().piece + 1;
}

std::uint64_t Recordings::bytes() const {
  std::uint64_t all = 0;
  for (const Run& run : runs)
    for (const auto& piece : run.pieces) all += piece->size();
  return all;
}

util::Result<Recordings> open_recordings(const std::vector<std::string>& files) {
  Recordings recordings;
  for (const std::string& file : files) {
    auto reader = Reader::open(file);
    if (!reader) return std::move(reader.error());
    if (const util::Status added = add(recordings.runs, std::move(*reader)); !added) return added.error();
  }
  for (Run& run : recordings.runs)
    std::stable_sort(run.pieces.begin(), run.pieces.end(),
                     [](const auto& a, const auto& b) { return a->meta().piece < b->meta().piece; });
  if (recordings.runs.size() > core::kMostHosts)
    return util::Error{fmt::format("recordings of {} hosts", recordings.runs.size()), EINVAL,
                       fmt::format("at most {} are read together", core::kMostHosts)};
  if (recordings.several() && std::count(files.begin(), files.end(), "-") > 0)
    return util::Error{"recordings of several hosts are read twice, which standard input does not allow", EINVAL,
                       "name files"};
  return recordings;
}

Joined join(Recordings& recordings) {
  Joined joined{recordings.first().meta().settings, {}};
  if (!recordings.several()) return joined;
  core::Settings& settings = joined.settings;
  const auto hosts = static_cast<std::uint32_t>(recordings.runs.size());
  core::ClockOffsets clocks;
  for (std::uint32_t host = 0; host < hosts; ++host) read_clocks(recordings.runs[host], host, clocks);
  const auto offsets = clocks.over_first(hosts);
  for (std::uint32_t host = 1; host < hosts; ++host)
    settings.identity.others.push_back(other_of(recordings.runs[host].meta().settings.identity, offsets[host]));
  make_names_unique(settings.identity);
  for (std::uint32_t host = 0; host < hosts; ++host) {
    const core::Settings& own = recordings.runs[host].meta().settings;
    const auto ahead = offsets[host] ? offsets[host]->ahead : util::Duration{};
    // Of what is not damaged it is far less; no sum with a boot time may overflow.
    constexpr util::Duration kFarthest{std::int64_t{1} << 60};
    const util::Duration shift = std::clamp(
        util::Duration{own.identity.wall.at_start().nanoseconds - settings.identity.wall.at_start().nanoseconds} -
            std::clamp(ahead, -kFarthest, kFarthest),
        -kFarthest, kFarthest);
    joined.translators.emplace_back(host, settings.identity.host_name(host), shift, own.names, settings.names);
    settings.max_connections = std::max(settings.max_connections, own.max_connections);
    if (host > 0) settings.table_bytes += own.table_bytes;
    if (host > 0) settings.other_filters.push_back(core::of_host(own.filter, host));
  }
  return joined;
}

}  // namespace tcpwhy::cli
