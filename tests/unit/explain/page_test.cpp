// SPDX-License-Identifier: GPL-2.0-only
#include "user/explain/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace tcpwhy::explain {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string sample() {
  std::string text = "# stall-example\n\nNothing moves.\n";
  for (const std::string_view title : kSections) {
    text += "\n## " + std::string{title} + "\n\n";
    if (title == "Causes")
      text +=
          "| cause | rests on |\n|---|---|\n| `one`, `two` | this |\n| `three` | that |\n"
          "\nAnd:\n\n| culprit kind | rests on | more |\n|---|---|---|\n| network | no | cause |\n";
    else if (title == "Example")
      text += "```text\n## not a heading\n```\n";
    else
      text += "- words\n";
  }
  return text;
}

std::string changed(const std::string& from, const std::string& to) {
  std::string text = sample();
  return text.replace(text.find(from), from.size(), to);
}

std::string complaint(const std::string& text) {
  const auto page = parse(text);
  return page ? "" : page.error().what;
}

TEST(Page, IsTakenApart) {
  const std::string text = sample();
  const auto page = parse(text);
  ASSERT_TRUE(page) << page.error().what;
  EXPECT_EQ(page->slug, "stall-example");
  EXPECT_EQ(page->meaning, "Nothing moves.");
  EXPECT_EQ(page->sections.size(), kSections.size());
  EXPECT_EQ(page->section("What to check"), "- words");
  EXPECT_EQ(page->section("no such"), "");
  EXPECT_THAT(page->cause_columns, ElementsAre("rests on"));
  ASSERT_EQ(page->causes.size(), 2U);
  EXPECT_THAT(page->causes[0].causes, ElementsAre("one", "two"));
  EXPECT_THAT(page->causes[1].cells, ElementsAre("that"));
  EXPECT_TRUE(page->has_cause("two"));
  EXPECT_FALSE(page->has_cause("four"));
}

TEST(Page, WhatIsNotAsEveryPageIsIsRefused) {
  EXPECT_EQ(complaint(sample()), "");
  EXPECT_THAT(complaint(""), HasSubstr("line 1"));
  EXPECT_THAT(complaint(changed("# stall-example", "stall-example")), HasSubstr("a page begins with"));
  EXPECT_THAT(complaint(changed("Nothing moves.", "")), HasSubstr("what the finding means"));
  EXPECT_THAT(complaint(changed("## Threshold", "## Thresholds")), HasSubstr("here stands \"## Threshold\""));
  EXPECT_THAT(complaint(changed("## What to check\n\n- words\n", "")), HasSubstr("here stands \"## What to check\""));
  EXPECT_THAT(complaint(changed("## Threshold\n\n- words\n", "## Threshold\n\n")), HasSubstr("is empty"));
  EXPECT_THAT(complaint(sample() + "\n## More\n\nwords\n"), HasSubstr("no page has this section"));
  EXPECT_THAT(complaint(changed("| `three` | that |", "| three | that |")), HasSubstr("a row of causes"));
  EXPECT_THAT(complaint(changed("| `three` | that |", "| `three` | that | more |")), HasSubstr("a row of causes"));
  EXPECT_THAT(complaint(changed("```text\n## not a heading\n```", "words")), HasSubstr("here stands an output"));
}

TEST(Page, AComplaintNamesItsLine) {
  const std::string text = changed("| `three` | that |", "| three | that |");
  const auto line =
      std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(text.find("| three")), '\n') + 1;
  EXPECT_THAT(complaint(text), HasSubstr("line " + std::to_string(line) + ":"));
}

TEST(Page, EveryEmbeddedPageIsReadAndFound) {
  const auto all = pages();
  EXPECT_GE(all.size(), 17U);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end(), [](const Page& a, const Page& b) { return a.slug < b.slug; }));
  ASSERT_NE(find("reset"), nullptr);
  EXPECT_TRUE(find("reset")->has_cause("never-accepted"));
  EXPECT_EQ(find("resets"), nullptr);
}

}  // namespace
}  // namespace tcpwhy::explain
