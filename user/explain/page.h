// SPDX-License-Identifier: GPL-2.0-only
// One finding explained: doc/findings/SLUG.md, taken apart. The files themselves are embedded when tcpwhy is built, so that
// the page in the repository, `tcpwhy explain` and a report all say the same.
#pragma once

#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "user/util/result.h"

namespace tcpwhy::explain {

// The sections of every page, in this order.
inline constexpr std::array<std::string_view, 10> kSections = {
    "How the kernel gets there", "How tcpwhy knows", "Threshold",      "Causes",  "When it stays quiet",
    "How it can be wrong",       "What to check",    "What to change", "Example", "Evidence keys"};

struct Section {
  std::string_view title;
  std::string_view text;  // Markdown below the heading (markup.h), without empty lines around it
};

// A row of the section Causes. Several causes may share one, and one cause may have several.
struct CauseRow {
  std::vector<std::string_view> causes;  // slugs
  std::vector<std::string_view> cells;   // Markdown, one for each of Page::cause_columns
};

// All text belongs to the document that was parsed.
struct Page {
  std::string_view slug;
  std::string_view meaning;                     // one sentence or two: what the finding says
  std::vector<Section> sections;                // as many as kSections, in their order
  std::vector<std::string_view> cause_columns;  // all but the first: "culprit kind", "severity", "rests on"
  std::vector<CauseRow> causes;                 // in the page's order

  // Of this title, which is one of kSections.
  [[nodiscard]] std::string_view section(std::string_view title) const;
  [[nodiscard]] bool has_cause(std::string_view cause) const;
};

// Strict: what is not as every page is, is an Error that names the line. The text must outlive the page.
util::Result<Page> parse(std::string_view markdown);

// Every finding's page, by slug in alphabetical order. They live as long as the program.
std::span<const Page> pages();
// nullptr where there is no such finding.
const Page* find(std::string_view slug);

}  // namespace tcpwhy::explain
