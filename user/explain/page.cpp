// SPDX-License-Identifier: GPL-2.0-only
#include "user/explain/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "user/explain/markup.h"

namespace tcpwhy::explain {
namespace {

constexpr std::string_view kTitle = "# ";
constexpr std::string_view kHeading = "## ";

std::string_view without_empty_lines(std::string_view text) {
  const std::size_t begin = text.find_first_not_of('\n');
  return begin == std::string_view::npos ? std::string_view{}
                                         : text.substr(begin, text.find_last_not_of('\n') - begin + 1);
}

util::Error wrong(std::string_view markdown, std::string_view place, const std::string& what) {
  const auto line = 1 + std::count(markdown.begin(), markdown.begin() + (place.data() - markdown.data()), '\n');
  return {fmt::format("line {}: {}", line, what), 0, {}};
}

// Where the next heading is, from `begin` on; the end of the text where there is none. Code is skipped.
std::size_t next_heading(std::string_view text, std::size_t begin) {
  bool in_code = false;
  for (std::size_t at = begin; at < text.size();) {
    const std::string_view line = text.substr(at, text.find('\n', at) - at);
    if (line.starts_with("```")) in_code = !in_code;
    if (!in_code && line.starts_with(kHeading)) return at;
    at += line.size() + 1;
  }
  return text.size();
}

// The slugs of a row's first cell: "`time-wait`, `stray-segment`".
std::vector<std::string_view> slugs_in(std::string_view cell) {
  std::vector<std::string_view> slugs;
  for (std::size_t at = 0; (at = cell.find('`', at)) != std::string_view::npos;) {
    const std::size_t end = cell.find('`', at + 1);
    if (end == std::string_view::npos) break;
    slugs.push_back(cell.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return slugs;
}

// The first table: its first column is "cause".
std::optional<util::Error> read_causes(std::string_view markdown, Page& page) {
  std::string_view text = page.section("Causes");
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.starts_with('|') && !page.causes.empty()) break;
    if (!line.starts_with('|') || line.find_first_not_of("|-: ") == std::string_view::npos) continue;
    std::vector<std::string_view> row = cells(line);
    const std::string_view first = row.front();
    row.erase(row.begin());
    if (first == "cause") {
      page.cause_columns = row;
    } else if (row.size() != page.cause_columns.size() || slugs_in(first).empty()) {
      return wrong(markdown, line, "a row of causes names its causes and has as many cells as the head");
    } else {
      page.causes.push_back({slugs_in(first), row});
    }
  }
  if (page.causes.empty()) return wrong(markdown, page.section("Causes"), "there is no table of causes");
  return std::nullopt;
}

std::optional<util::Error> check_sections(std::string_view markdown, const Page& page) {
  const auto has = [&page](std::string_view title, Block::Kind kind) {
    const std::vector<Block> all = blocks(page.section(title));
    return std::any_of(all.begin(), all.end(), [kind](const Block& block) { return block.kind == kind; });
  };
  for (const std::string_view title : {"What to check", "What to change"})
    if (!has(title, Block::Kind::bullet)) return wrong(markdown, page.section(title), "here stands a list");
  if (!has("Example", Block::Kind::code)) return wrong(markdown, page.section("Example"), "here stands an output");
  return std::nullopt;
}

}  // namespace

std::string_view Page::section(std::string_view title) const {
  const auto found =
      std::find_if(sections.begin(), sections.end(), [title](const Section& known) { return known.title == title; });
  return found == sections.end() ? std::string_view{} : found->text;
}

bool Page::has_cause(std::string_view cause) const {
  return std::any_of(causes.begin(), causes.end(), [cause](const CauseRow& row) {
    return std::find(row.causes.begin(), row.causes.end(), cause) != row.causes.end();
  });
}

util::Result<Page> parse(std::string_view markdown) {
  Page page;
  if (!markdown.starts_with(kTitle)) return wrong(markdown, markdown, "a page begins with \"# FINDING\"");
  page.slug = markdown.substr(kTitle.size(), markdown.find('\n') - kTitle.size());
  std::size_t at = next_heading(markdown, 0);
  const std::size_t begin = kTitle.size() + page.slug.size();
  page.meaning = without_empty_lines(markdown.substr(begin, at - begin));
  if (page.meaning.empty()) return wrong(markdown, markdown, "what the finding means is missing");
  for (const std::string_view title : kSections) {
    const std::string_view rest = markdown.substr(at);
    const std::string_view heading = rest.substr(0, rest.find('\n'));
    if (heading != std::string{kHeading} + std::string{title})
      return wrong(markdown, rest, fmt::format("here stands \"{}{}\"", kHeading, title));
    const std::size_t end = next_heading(markdown, at + heading.size());
    const std::string_view text = without_empty_lines(markdown.substr(at + heading.size(), end - at - heading.size()));
    if (text.empty()) return wrong(markdown, rest, fmt::format("\"{}\" is empty", title));
    page.sections.push_back({title, text});
    at = end;
  }
  if (at < markdown.size()) return wrong(markdown, markdown.substr(at), "no page has this section");
  if (auto error = read_causes(markdown, page)) return std::move(*error);
  if (auto error = check_sections(markdown, page)) return std::move(*error);
  return page;
}

const Page* find(std::string_view slug) {
  const std::span<const Page> all = pages();
  const auto found = std::find_if(all.begin(), all.end(), [slug](const Page& page) { return page.slug == slug; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace tcpwhy::explain
