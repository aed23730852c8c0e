// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/bounded_table.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tcpwhy::core {
namespace {

using namespace std::chrono_literals;
using Table = BoundedTable<std::uint64_t, std::string>;

util::BootTime at(int second) { return util::BootTime{std::chrono::seconds{second}}; }

std::vector<std::uint64_t> keys_of(const Table& table) {
  std::vector<std::uint64_t> keys;
  table.for_each([&](std::uint64_t key, const std::string&) { keys.push_back(key); });
  return keys;
}
using Keys = std::vector<std::uint64_t>;

TEST(BoundedTable, TheLeastRecentlyUsedMakesRoom) {
  Table table{3};
  for (std::uint64_t key = 1; key <= 3; ++key) table.use(key, at(1));
  table.use(1, at(2));
  table.use(4, at(3));
  EXPECT_EQ(keys_of(table), (Keys{1, 3, 4}));
  EXPECT_EQ(table.evicted(), 1U);
}

TEST(BoundedTable, ItKeepsWhatItHoldsAndFindsIt) {
  Table table{2};
  const auto [made, is_new] = table.use(7, at(1));
  made = "seven";
  EXPECT_TRUE(is_new);
  EXPECT_FALSE(table.use(7, at(2)).is_new);
  ASSERT_TRUE(table.find(7));
  EXPECT_EQ(*table.find(7), "seven");
  EXPECT_FALSE(table.find(8));
  EXPECT_TRUE(table.erase(7));
  EXPECT_FALSE(table.erase(7));
  EXPECT_TRUE(table.empty());
}

TEST(BoundedTable, TheSourceWithTheMostGivesOneUp) {
  Table table{6};
  table.use(1, at(1), 100);  // the oldest of all, and the only one of its source
  for (std::uint64_t key = 2; key <= 6; ++key) table.use(key, at(2), 200);
  for (std::uint64_t key = 7; key <= 20; ++key) table.use(key, at(3), 200);
  EXPECT_TRUE(table.contains(1));
  EXPECT_EQ(table.size(), 6U);
  EXPECT_EQ(table.evicted(), 14U);
}

TEST(BoundedTable, APinnedEntryGoesLast) {
  Table table{3};
  table.use(1, at(1));
  table.pin(1);
  table.pin(1);
  for (std::uint64_t key = 2; key <= 9; ++key) table.use(key, at(2));
  EXPECT_TRUE(table.contains(1));
  table.unpin(1);
  table.use(10, at(3));
  EXPECT_TRUE(table.contains(1)) << "one pin is left";
  table.unpin(1);
  table.use(11, at(3));
  table.use(12, at(3));
  table.use(13, at(3));
  EXPECT_FALSE(table.contains(1));
  for (std::uint64_t key : keys_of(table)) table.pin(key);
  table.use(14, at(4));
  EXPECT_EQ(table.size(), 3U) << "even pinned ones make room at the bound";
}

TEST(BoundedTable, ARetiredEntryGoesFirstUntilItIsUsedAgain) {
  Table table{3};
  for (std::uint64_t key = 1; key <= 3; ++key) table.use(key, at(1));
  table.retire(3);
  table.use(4, at(2));
  EXPECT_EQ(keys_of(table), (Keys{1, 2, 4}));
  table.retire(4);
  table.use(4, at(3));
  table.use(5, at(4));
  EXPECT_EQ(keys_of(table), (Keys{2, 4, 5}));
}

TEST(BoundedTable, RetiredEntriesHaveABoundOfTheirOwn) {
  Table table{100, 2};
  for (std::uint64_t key = 1; key <= 9; ++key) {
    table.use(key, at(1));
    table.retire(key);
  }
  EXPECT_EQ(keys_of(table), (Keys{8, 9}));
  EXPECT_EQ(table.evicted(), 7U);
}

TEST(BoundedTable, AbsenceProvesNothingOfTheTimeOfWhatHadToGo) {
  Table table{1};
  EXPECT_FALSE(table.forgot(at(0)));
  table.use(1, at(5));
  table.use(2, at(9));
  EXPECT_TRUE(table.forgot(at(5)));
  EXPECT_FALSE(table.forgot(at(6)));
}

TEST(BoundedTable, WhoeverIsEvictedIsReportedBeforeItGoes) {
  Table table{1};
  std::vector<std::string> gone;
  table.on_evict([&](std::uint64_t, std::string& value) { gone.push_back(value); });
  table.use(1, at(1)).value = "one";
  table.use(2, at(2)).value = "two";
  table.erase(2);
  EXPECT_EQ(gone, std::vector<std::string>{"one"});
}

TEST(BoundedTable, ErasingSomeLeavesTheOthersInTheirOrder) {
  Table table{100};
  for (std::uint64_t key = 1; key <= 10; ++key) table.use(key, at(1), key % 3);
  table.erase_if([](std::uint64_t key, const std::string&) { return key % 2 == 0; });
  EXPECT_EQ(keys_of(table), (Keys{1, 3, 5, 7, 9}));
  for (std::uint64_t key = 11; key <= 200; ++key) table.use(key, at(2), key % 3);
  EXPECT_EQ(table.size(), 100U);
}

TEST(BoundedTable, NeverMoreThanItsBoundWhateverHappens) {
  Table table{16, 4};
  std::uint64_t random = 1;
  for (int i = 0; i < 20000; ++i) {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    const std::uint64_t key = random >> 40 & 63;
    switch (random >> 60 & 7) {
      case 0:
        table.erase(key);
        break;
      case 1:
        table.retire(key);
        break;
      case 2:
        table.pin(key);
        break;
      case 3:
        table.unpin(key);
        break;
      default:
        table.use(key, at(i), random >> 50 & 3);
    }
    ASSERT_LE(table.size(), 16U);
    ASSERT_EQ(keys_of(table).size(), table.size());
  }
}

}  // namespace
}  // namespace tcpwhy::core
