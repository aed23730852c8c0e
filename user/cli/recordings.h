// SPDX-License-Identifier: GPL-2.0-only
// The files of a report: pieces of one run, or the runs of several hosts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "user/core/translate.h"
#include "user/recording/reader.h"

namespace tcpwhy::cli {

// One run, its pieces in their order.
struct Run {
  std::vector<std::unique_ptr<recording::Reader>> pieces;
  [[nodiscard]] const recording::Meta& meta() const { return pieces.front()->meta(); }
  // That this piece does not follow the one before it.
  [[nodiscard]] bool gap_before(std::size_t piece) const;
  // A clock of its own, with all the steps that META and END tell of. Without an END those that a record alone tells of
  // are not in it.
  [[nodiscard]] util::WallClock whole_clock() const;
};

// In the order in which they were named; the first is host 0.
struct Recordings {
  std::vector<Run> runs;
  [[nodiscard]] bool several() const { return runs.size() > 1; }
  [[nodiscard]] const Run& first() const { return runs.front(); }
  [[nodiscard]] std::uint64_t bytes() const;
};

// Its error's code: EBADMSG where a recording is too damaged to begin with, EINVAL where the files do not belong together.
util::Result<Recordings> open_recordings(const std::vector<std::string>& files);

// What the runs are judged by together, and what makes one stream of their events; of one run its own, and none.
struct Joined {
  core::Settings settings;
  std::vector<core::Translator> translators;
  [[nodiscard]] std::uint32_t hosts() const { return static_cast<std::uint32_t>(translators.size()); }
};
// Reads all of several hosts' files once, for their clocks: to be opened anew for the replay.
Joined join(Recordings& recordings);

}  // namespace tcpwhy::cli
