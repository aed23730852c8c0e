// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/live_losses.h"

#include <algorithm>
#include <tuple>

namespace tcpwhy::source {

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

}  // namespace tcpwhy::source
