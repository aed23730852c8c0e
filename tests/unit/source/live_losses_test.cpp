// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/live_losses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>

namespace tcpwhy::source {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::tuple<std::uint32_t, std::uint32_t, std::uint64_t>> taken(LossCounts& losses) {
  std::vector<std::tuple<std::uint32_t, std::uint32_t, std::uint64_t>> rows;
  for (const tw_lost& record : losses.take_growth()) rows.emplace_back(record.kind, record.way, record.count);
  return rows;
}

TEST(LossCounts, ACounterIsTakenByWhatItGrew) {
  LossCounts losses;
  losses.stands_at(TW_KIND_STATE, TW_LOST_RING, 5);
  losses.stands_at(TW_KIND_STATE, TW_LOST_RECURSION, 2);
  EXPECT_THAT(taken(losses), ElementsAre(std::tuple(TW_KIND_STATE, TW_LOST_RING, 5U),
                                         std::tuple(TW_KIND_STATE, TW_LOST_RECURSION, 2U)));
  EXPECT_THAT(taken(losses), IsEmpty());
  losses.stands_at(TW_KIND_STATE, TW_LOST_RING, 8);
  EXPECT_THAT(taken(losses), ElementsAre(std::tuple(TW_KIND_STATE, TW_LOST_RING, 3U)));
}

TEST(LossCounts, OneByOne) {
  LossCounts losses;
  losses.add(TW_KIND_SEED, TW_LOST_WALK, 1);
  losses.add(TW_KIND_SEED, TW_LOST_WALK, 1);
  EXPECT_THAT(taken(losses), ElementsAre(std::tuple(TW_KIND_SEED, TW_LOST_WALK, 2U)));
}

TEST(LossCounts, ALevelCountsByWhatItRises) {
  LossCounts losses;
  losses.level(TW_KIND_SAMPLE, TW_LOST_UNSWEPT, 10);
  losses.level(TW_KIND_SAMPLE, TW_LOST_UNSWEPT, 10);
  losses.level(TW_KIND_SAMPLE, TW_LOST_UNSWEPT, 4);
  losses.level(TW_KIND_SAMPLE, TW_LOST_UNSWEPT, 6);
  EXPECT_THAT(taken(losses), ElementsAre(std::tuple(TW_KIND_SAMPLE, TW_LOST_UNSWEPT, 12U)));
}

}  // namespace
}  // namespace tcpwhy::source
