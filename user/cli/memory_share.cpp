// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/memory_share.h"

#include <fmt/format.h>

#include <algorithm>

namespace tcpwhy::cli {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
// The program itself, its threads and what they need for a moment.
constexpr std::uint64_t kProgram = 24 * kMiB;
constexpr std::uint64_t kLeastTables = 8 * kMiB;
constexpr std::uint64_t kUsualTables = 96 * kMiB;
constexpr std::uint64_t kUsualFlight = 160 * kMiB;
// Of what a flight recorder leaves: findings need less than minutes of events.
constexpr std::uint64_t kTablesBesideFlight = 4;  // 1 in

}  // namespace

util::Result<MemoryShare> share_memory(const TraceOptions& options) {
  // The kernel maps a ring buffer's data twice in a row, and a process pays for both.
  const std::uint64_t fixed = kProgram + 2 * std::uint64_t{options.buffer_bytes};
  const bool flies = options.recording.flight.has_value();
  if (!options.max_memory) return MemoryShare{kUsualTables, flies ? kUsualFlight : 0};
  const std::uint64_t most = *options.max_memory;
  const std::uint64_t least = fixed + kLeastTables + (flies ? kLeastTables : 0);
  if (most < least)
    return util::Error{
        fmt::format("--max-memory {}M is too little with a buffer of {}M", most / kMiB, options.buffer_bytes / kMiB), 0,
        fmt::format("give it {}M or more, or a smaller --buffer", (least + kMiB - 1) / kMiB)};
  const std::uint64_t left = most - fixed;
  if (!flies) return MemoryShare{static_cast<std::size_t>(left), 0};
  const std::uint64_t tables = std::max(kLeastTables, left / kTablesBesideFlight);
  return MemoryShare{static_cast<std::size_t>(tables), left - tables};
}

}  // namespace tcpwhy::cli
