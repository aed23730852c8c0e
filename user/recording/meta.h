// SPDX-License-Identifier: GPL-2.0-only
// META and END: what a recording knows of its run besides the records.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "user/core/settings.h"
#include "user/util/result.h"
#include "user/util/time.h"

namespace tcpwhy::recording {

struct Meta {
  core::Settings settings;  // as the run was judged by
  std::string tool;         // the version that wrote it
  std::string kernel;       // uname -r
  std::uint32_t piece = 1;
  std::uint64_t started_ns = 0;  // CLOCK_BOOTTIME, of the run: the same in all pieces
  std::uint64_t begins_ns = 0;   // of this file
  bool every_transition = false;
};

struct End {
  std::uint64_t connections = 0;    // that the hooks saw begin
  std::uint64_t recorder_lost = 0;  // records that found no room in the queue
  std::uint64_t ended_ns = 0;       // CLOCK_BOOTTIME
  bool next_piece = false;
  std::vector<util::WallStep> clock_steps = {};  // of the wall clock since the run began
};

std::string to_json(const Meta& meta);
std::string to_json(const End& end);
// An error where it is no JSON, or where what a replay cannot do without is missing or of another type.
util::Result<Meta> parse_meta(std::string_view json);
util::Result<End> parse_end(std::string_view json);

}  // namespace tcpwhy::recording
