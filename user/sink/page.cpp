// SPDX-License-Identifier: GPL-2.0-only
#include "user/sink/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "user/explain/markup.h"
#include "user/sink/paragraph.h"

namespace tcpwhy::sink {
namespace {

using explain::Block;
using explain::Span;

constexpr std::size_t kIndent = 2;
constexpr std::string_view kBold = "1";
constexpr std::string_view kUnderlined = "4";

// Each word by itself, so that no colour goes over the end of a line.
std::string paint(std::string_view code, std::string_view text, bool colour) {
  if (!colour) return std::string{text};
  std::string out;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    if (!word.empty()) out += fmt::format("\x1b[{}m{}\x1b[0m", code, word);
    for (; text.starts_with(' '); text.remove_prefix(1)) out += ' ';
  }
  return out;
}

std::string words(std::string_view markdown, const TextStyle& style) {
  std::string out;
  for (const Span& span : explain::spans(markdown)) {
    switch (span.kind) {
      case Span::Kind::text:
        out += span.text;
        break;
      case Span::Kind::code:
        out += style.colour ? paint(kBold, span.text, true) : '`' + span.text + '`';
        break;
      case Span::Kind::emphasis:
      case Span::Kind::link:
        out += paint(kUnderlined, span.text, style.colour);
        break;
    }
  }
  return out;
}

std::string indented(std::string_view head, std::string_view text, std::size_t hang, const TextStyle& style) {
  return paragraph(text, {std::string{head}, head.size(), hang, style.columns});
}

// The rows one below the other: the first cell alone, then the others with their heads.
std::string table(const std::vector<std::vector<std::string>>& rows, const TextStyle& style) {
  std::string out;
  for (std::size_t n = 1; n < rows.size(); ++n) {
    out += indented("  ", words(rows[n].front(), style), kIndent, style);
    for (std::size_t column = 1; column < std::min(rows[n].size(), rows.front().size()); ++column)
      out += indented("      ", fmt::format("{}: {}", rows.front()[column], words(rows[n][column], style)), 8, style);
  }
  return out;
}

std::string block_text(const Block& block, const TextStyle& style) {
  switch (block.kind) {
    case Block::Kind::paragraph:
      return indented("  ", words(block.text, style), kIndent, style);
    case Block::Kind::bullet:
      return indented("  - ", words(block.text, style), 4, style);
    case Block::Kind::table:
      return table(block.rows, style);
    case Block::Kind::code:
      break;
  }
  return block.text;  // as it stands: an output has its own margin
}

// On a line of its own.
std::string titled(std::string_view title, const TextStyle& style) {
  return style.colour ? fmt::format("\n\x1b[{}m{}\x1b[0m\n", kBold, title) : fmt::format("\n{}\n", title);
}

std::string heading(std::string_view title, const TextStyle& style) {
  std::string upper{title};
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return titled(upper, style);
}

std::string blocks_text(const std::vector<Block>& blocks, const TextStyle& style) {
  std::string out;
  const Block* before = nullptr;
  for (const Block& block : blocks) {
    const bool list = before && before->kind == Block::Kind::bullet && block.kind == Block::Kind::bullet;
    if (before && !list) out += '\n';
    out += block_text(block, style);
    before = &block;
  }
  return out;
}

std::string section(const explain::Page& page, std::string_view title, const TextStyle& style) {
  return heading(title, style) + blocks_text(explain::blocks(page.section(title)), style);
}

bool names(std::string_view text, std::string_view cause) {
  return text.find(fmt::format("`{}`", cause)) != std::string_view::npos;
}

// Whether the words are for this cause or for all: they name it, or none.
bool concerns(std::string_view text, std::string_view cause, const explain::Page& page) {
  if (names(text, cause)) return true;
  for (const explain::CauseRow& row : page.causes)
    for (const std::string_view other : row.causes)
      if (names(text, other)) return false;
  return true;
}

std::string title_of(const explain::Page& page, const TextStyle& style) {
  return paint(kBold, page.slug, style.colour) + "\n\n" + blocks_text(explain::blocks(page.meaning), style);
}

}  // namespace

std::string page_text(const explain::Page& page, const TextStyle& style) {
  std::string out = title_of(page, style);
  for (const explain::Section& part : page.sections) out += section(page, part.title, style);
  return out;
}

std::string cause_text(const explain::Page& page, std::string_view cause, const TextStyle& style) {
  std::string out = title_of(page, style) + titled(fmt::format("CAUSE {}", cause), style);
  for (const explain::CauseRow& row : page.causes) {
    if (std::find(row.causes.begin(), row.causes.end(), cause) == row.causes.end()) continue;
    for (std::size_t column = 0; column < row.cells.size(); ++column)
      out +=
          indented("  ", fmt::format("{}: {}", page.cause_columns[column], words(row.cells[column], style)), 4, style);
  }
  for (const std::string_view title : {"How it can be wrong", "What to check", "What to change"}) {
    std::vector<Block> chosen = explain::blocks(page.section(title));
    std::erase_if(chosen, [&](const Block& block) { return !concerns(block.text, cause, page); });
    if (!chosen.empty()) out += heading(title, style) + blocks_text(chosen, style);
  }
  return out + fmt::format("\n  All of it: tcpwhy explain {}\n", page.slug);
}

}  // namespace tcpwhy::sink
