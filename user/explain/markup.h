// SPDX-License-Identifier: GPL-2.0-only
// The little of Markdown that the pages use, as values: whoever prints them decides how it looks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tcpwhy::explain {

struct Block {
  enum class Kind : std::uint8_t { paragraph, bullet, table, code };
  Kind kind = Kind::paragraph;
  std::string text;                            // lines joined by spaces; of code as it stands, each line with its end
  std::vector<std::vector<std::string>> rows;  // of a table; the first is its head
};
// Of the text of a section, in its order.
std::vector<Block> blocks(std::string_view markdown);

struct Span {
  enum class Kind : std::uint8_t { text, code, emphasis, link };
  Kind kind = Kind::text;
  std::string text;    // without its marks
  std::string target;  // of a link: "reset.md"
};
// Of a paragraph, a bullet or a cell, in its order.
std::vector<Span> spans(std::string_view text);
// The same as one string without marks.
std::string plain(std::string_view text);

// The cells of a table's line, "| a | b |", without the spaces around them.
std::vector<std::string_view> cells(std::string_view line);

}  // namespace tcpwhy::explain
