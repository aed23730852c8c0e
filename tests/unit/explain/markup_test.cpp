// SPDX-License-Identifier: GPL-2.0-only
#include "user/explain/markup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tcpwhy::explain {
namespace {

using testing::ElementsAre;
using Kind = Block::Kind;

TEST(Markup, Blocks) {
  const std::vector<Block> all = blocks(
      "One line\ngoes on.\nFollowed at once:\n- first\n  and its second line\n- `second`\n\n| a | b |\n|---|---|\n"
      "| 1 | two words |\n\n```text\n- no list\n\n  as it stands\n```\nafter");
  ASSERT_EQ(all.size(), 6U);
  EXPECT_EQ(all[0].kind, Kind::paragraph);
  EXPECT_EQ(all[0].text, "One line goes on. Followed at once:");
  EXPECT_EQ(all[1].kind, Kind::bullet);
  EXPECT_EQ(all[1].text, "first and its second line");
  EXPECT_EQ(all[2].text, "`second`");
  EXPECT_EQ(all[3].kind, Kind::table);
  EXPECT_THAT(all[3].rows, ElementsAre(ElementsAre("a", "b"), ElementsAre("1", "two words")));
  EXPECT_EQ(all[4].kind, Kind::code);
  EXPECT_EQ(all[4].text, "- no list\n\n  as it stands\n");
  EXPECT_EQ(all[5].text, "after");
}

TEST(Markup, Spans) {
  const std::vector<Span> all = spans("Holds *more* than `128`; see [reset](reset.md).");
  ASSERT_EQ(all.size(), 7U);
  EXPECT_EQ(all[1].kind, Span::Kind::emphasis);
  EXPECT_EQ(all[1].text, "more");
  EXPECT_EQ(all[3].kind, Span::Kind::code);
  EXPECT_EQ(all[3].text, "128");
  EXPECT_EQ(all[5].kind, Span::Kind::link);
  EXPECT_EQ(all[5].target, "reset.md");
  EXPECT_EQ(plain("Holds *more* than `128`; see [reset](reset.md)."), "Holds more than 128; see reset.");
}

TEST(Markup, MarksThatDoNotEndAreText) {
  EXPECT_EQ(plain("2 * 3 * 4, a ` and a [bracket"), "2 * 3 * 4, a ` and a [bracket");
  EXPECT_TRUE(spans("").empty());
  EXPECT_TRUE(blocks("\n\n").empty());
}

}  // namespace
}  // namespace tcpwhy::explain
