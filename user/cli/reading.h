// SPDX-License-Identifier: GPL-2.0-only
// What the commands that read recordings share, before and after the replay.
#pragma once

#include <string>
#include <vector>

#include "user/cli/options.h"
#include "user/cli/recordings.h"
#include "user/cli/replay.h"
#include "user/core/pipeline.h"

namespace tcpwhy::cli {

// Of several hosts: reads all once for their clocks, says what came of it, and opens all anew.
util::Result<Joined> join_hosts(const std::vector<std::string>& files, Recordings& recordings);

// A cgroup's id is its host's, from one boot to the next: of a recording from elsewhere, the folder here is another one.
util::Status can_narrow(const core::Filter& narrowing, const Recordings& recordings);

// The pipeline's settings: the run's own thresholds below those given, and the filter read for any host.
core::Settings settings_of(const core::Filter& narrowing, const core::Thresholds& thresholds, const Joined& joined);

// Where it cannot be understood, the error is one of usage.
util::Result<Span> span_of(const SpanOptions& options, const Recordings& recordings);
// What --since passes over, or a piece that is missing, is not read, the clock's steps neither: they are known beforehand.
void know_clock(const core::Settings& settings, const SpanOptions& options, const Recordings& recordings);

// After the replay, with what the recorder counted.
core::Summary summary_of(const core::Pipeline& pipeline, const Replay& replay, const Recordings& recordings);

// What the reader of a report must know of the files, after the replay.
struct Remarks {
  std::vector<std::string> informs;
  std::vector<std::string> warns;
  bool damaged = false;  // a part was unreadable
  bool outside = false;  // nothing of the recording is in the span
};
Remarks remarks_on(const core::Pipeline& pipeline, const Replay& replay, const Recordings& recordings,
                   const Span& span);
// Says it, and gives the exit code: kRan, or kDamaged where a part was unreadable.
int conclude(const Remarks& remarks);
int conclude(const core::Pipeline& pipeline, const Replay& replay, const Recordings& recordings, const Span& span);

}  // namespace tcpwhy::cli
