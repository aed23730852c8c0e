// SPDX-License-Identifier: GPL-2.0-only
#include "user/explain/markup.h"

#include <algorithm>

namespace tcpwhy::explain {
namespace {

constexpr std::string_view kFence = "```";
constexpr std::string_view kBullet = "- ";

std::string_view take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(text.size(), line.size() + 1));
  return line;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(' ');
  return begin == std::string_view::npos ? std::string_view{}
                                         : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

bool is_rule(std::string_view line) { return line.find_first_not_of("|-: ") == std::string_view::npos; }

void add_row(std::vector<Block>& all, std::string_view line, bool goes_on) {
  if (!goes_on || all.empty() || all.back().kind != Block::Kind::table) all.push_back({Block::Kind::table, {}, {}});
  if (is_rule(line)) return;
  std::vector<std::string>& row = all.back().rows.emplace_back();
  for (const std::string_view cell : cells(line)) row.emplace_back(cell);
}

void add_words(std::vector<Block>& all, std::string_view line, bool goes_on) {
  const bool bullet = line.starts_with(kBullet);
  if (bullet) {
    all.push_back({Block::Kind::bullet, std::string{trimmed(line.substr(kBullet.size()))}, {}});
  } else if (goes_on && !all.empty() && all.back().rows.empty() && all.back().kind != Block::Kind::code) {
    all.back().text += ' ' + std::string{trimmed(line)};
  } else {
    all.push_back({Block::Kind::paragraph, std::string{trimmed(line)}, {}});
  }
}

// A span that begins here with its mark, and how many characters it takes; 0 where none does.
std::size_t marked(std::string_view text, Span& span) {
  const char mark = text.front();
  if (mark == '`' || mark == '*') {
    const std::size_t end = text.find(mark, 1);
    if (end == std::string_view::npos || end == 1 || (mark == '*' && text[1] == ' ')) return 0;
    span = {mark == '`' ? Span::Kind::code : Span::Kind::emphasis, std::string{text.substr(1, end - 1)}, {}};
    return end + 1;
  }
  if (mark != '[') return 0;
  const std::size_t middle = text.find("](");
  const std::size_t end = middle == std::string_view::npos ? middle : text.find(')', middle);
  if (end == std::string_view::npos) return 0;
  span = {Span::Kind::link, std::string{text.substr(1, middle - 1)},
          std::string{text.substr(middle + 2, end - middle - 2)}};
  return end + 1;
}

}  // namespace

std::vector<std::string_view> cells(std::string_view line) {
  std::vector<std::string_view> row;
  line = trimmed(line);
  if (line.starts_with('|')) line.remove_prefix(1);
  while (!line.empty()) {
    const std::string_view cell = line.substr(0, line.find('|'));
    line.remove_prefix(std::min(line.size(), cell.size() + 1));
    row.push_back(trimmed(cell));
  }
  return row;
}

std::vector<Block> blocks(std::string_view markdown) {
  std::vector<Block> all;
  bool in_code = false;
  bool goes_on = false;  // no empty line since the last one
  while (!markdown.empty()) {
    const std::string_view line = take_line(markdown);
    if (line.starts_with(kFence)) {
      in_code = !in_code;
      if (in_code) all.push_back({Block::Kind::code, {}, {}});
      goes_on = false;
    } else if (in_code) {
      all.back().text += std::string{line} + '\n';
    } else if (line.empty()) {
      goes_on = false;
    } else {
      line.starts_with('|') ? add_row(all, line, goes_on) : add_words(all, line, goes_on);
      goes_on = true;
    }
  }
  return all;
}

std::vector<Span> spans(std::string_view text) {
  std::vector<Span> all;
  while (!text.empty()) {
    Span span;
    if (const std::size_t taken = marked(text, span); taken > 0) {
      all.push_back(std::move(span));
      text.remove_prefix(taken);
      continue;
    }
    if (all.empty() || all.back().kind != Span::Kind::text) all.emplace_back();
    all.back().text += text.front();
    text.remove_prefix(1);
  }
  return all;
}

std::string plain(std::string_view text) {
  std::string out;
  for (const Span& span : spans(text)) out += span.text;
  return out;
}

}  // namespace tcpwhy::explain
