// SPDX-License-Identifier: GPL-2.0-only
// The pages and the catalogue say the same.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "user/detect/catalogue.h"
#include "user/explain/markup.h"
#include "user/explain/page.h"

namespace tcpwhy::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(Explain, EveryFindingHasItsPageAndNoOtherIsThere) {
  EXPECT_EQ(explain::pages().size(), detect::catalogue().size());
  for (const detect::FindingSpec& row : detect::catalogue()) EXPECT_NE(explain::find(row.slug), nullptr) << row.slug;
}

TEST(Explain, EveryCauseHasItsRowAndNoOtherIsThere) {
  for (const detect::FindingSpec& row : detect::catalogue()) {
    const explain::Page& page = *explain::find(row.slug);
    for (const std::string_view cause : row.causes) EXPECT_TRUE(page.has_cause(cause)) << row.slug << ' ' << cause;
    for (const explain::CauseRow& told : page.causes)
      for (const std::string_view cause : told.causes)
        EXPECT_NE(std::find(row.causes.begin(), row.causes.end(), cause), row.causes.end()) << row.slug << ' ' << cause;
  }
}

// "`--threshold stall-unacked=1s` is the default: nothing acknowledged for this long, and two retransmission time-outs."
TEST(Explain, EveryThresholdIsTheCatalogues) {
  for (const detect::FindingSpec& row : detect::catalogue()) {
    const std::string text = explain::blocks(explain::find(row.slug)->section("Threshold")).front().text;
    if (row.threshold)
      EXPECT_THAT(text, StartsWith(fmt::format("`--threshold {}={}` is the default: {}.", row.slug,
                                               util::duration_word(*row.threshold), row.threshold_means)));
    else
      EXPECT_THAT(text, StartsWith(fmt::format("`--threshold {}=off` switches it off", row.slug)));
  }
}

TEST(Explain, EveryCommandAndSettingHasItsReason) {
  for (const explain::Page& page : explain::pages()) {
    EXPECT_THAT(std::string{page.section("What to check")}, HasSubstr("`")) << page.slug;
    EXPECT_THAT(std::string{page.section("What to change")}, HasSubstr("isk")) << page.slug << " names no risk";
  }
}

}  // namespace
}  // namespace tcpwhy::cli
