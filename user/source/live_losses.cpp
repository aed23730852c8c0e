// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/live_losses.h"

#include <algorithm>
#include <tuple>

namespace tcpwhy::source {
namespace {

constexpr std::chrono::milliseconds kSkippedEach{900};  // one call into the kernel for each hook

}  // namespace

void LossCounts::stands_at(std::uint32_t kind, std::uint32_t way, std::uint64_t total) {
  Count& count = at(kind, way);
  count.total = std::max(count.total, total);
}

void LossCounts::add(std::uint32_t kind, std::uint32_t way, std::uint64_t count) { at(kind, way).total += count; }

void LossCounts::level(std::uint32_t kind, std::uint32_t way, std::uint64_t now) {
  Count& count = at(kind, way);
  if (now > count.level) count.total += now - count.level;
  count.level = now;
}

std::vector<tw_lost> LossCounts::take_growth() {
  std::vector<tw_lost> records;
  for (auto& [key, count] : counts_) {
    if (count.total <= count.taken) continue;
    tw_lost record{};
    record.count = count.total - count.taken;
    std::tie(record.kind, record.way) = key;
    records.push_back(record);
    count.taken = count.total;
  }
  return records;
}

void KernelLosses::read(const Programs& programs, util::BootTime now, bool at_end, LossCounts& losses) {
  const tw_counters counters = programs.counters();
  for (std::uint32_t kind = 0; kind < TW_KERNEL_KINDS; ++kind) {
    losses.stands_at(kind, TW_LOST_RING, counters.lost[kind]);
    limited_.stands_at(kind, TW_LOST_RING, counters.limited[kind]);
  }
  // Apart from those that a walk finds, whose number rises and falls.
  losses.stands_at(TW_KIND_STATE, TW_LOST_UNSWEPT, counters.unswept);
  if (now < next_skipped_ && !at_end) return;
  next_skipped_ = now + kSkippedEach;
  for (const SkippedRuns& skipped : programs.skipped_runs())
    // The hook of freed segments runs for every one of them, and nearly none is of interest: they are drops left out.
    (skipped.kind == TW_KIND_DROP ? limited_ : losses).stands_at(skipped.kind, TW_LOST_RECURSION, skipped.count);
}

}  // namespace tcpwhy::source
