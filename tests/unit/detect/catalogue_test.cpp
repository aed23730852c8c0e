// SPDX-License-Identifier: GPL-2.0-only
#include "user/detect/catalogue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;

bool is_slug(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '-'; });
}

TEST(Catalogue, HasEveryFindingOnce) {
  std::set<std::string_view> slugs;
  for (const FindingSpec& row : catalogue()) {
    EXPECT_TRUE(is_slug(row.slug)) << row.slug;
    slugs.insert(row.slug);
  }
  EXPECT_FALSE(slugs.empty());
  EXPECT_EQ(slugs.size(), catalogue().size());
}

TEST(Catalogue, EveryRowIsWhole) {
  for (const FindingSpec& row : catalogue()) {
    ASSERT_FALSE(row.causes.empty()) << row.slug;
    EXPECT_TRUE(std::all_of(row.causes.begin(), row.causes.end(), is_slug)) << row.slug;
    EXPECT_EQ(std::set<std::string_view>(row.causes.begin(), row.causes.end()).size(), row.causes.size()) << row.slug;
    EXPECT_TRUE(row.meaning.ends_with('.')) << row.slug;
    EXPECT_EQ(row.threshold.has_value(), !row.threshold_means.empty()) << row.slug;
  }
}

TEST(Catalogue, FindsByTheWholeSlug) {
  ASSERT_NE(find_in_catalogue("stall-unacked"), nullptr);
  EXPECT_EQ(find_in_catalogue("stall-unacked")->threshold, util::Duration{1s});
  EXPECT_FALSE(find_in_catalogue("reset")->threshold);
  EXPECT_EQ(find_in_catalogue("stall"), nullptr);
  EXPECT_EQ(find_in_catalogue(""), nullptr);
}

}  // namespace
}  // namespace tcpwhy::detect
