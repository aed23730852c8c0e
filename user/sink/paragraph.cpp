// SPDX-License-Identifier: GPL-2.0-only
#include "user/sink/paragraph.h"

#include <algorithm>

namespace tcpwhy::sink {
namespace {

// Characters, not bytes: UTF-8 continuation bytes take no room, nor does colour ("\x1b[1m").
std::size_t width(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    const std::size_t end = text.starts_with("\x1b[") ? text.find('m') : std::string_view::npos;
    if (end != std::string_view::npos) {
      text.remove_prefix(end + 1);
      continue;
    }
    columns += (static_cast<unsigned char>(text.front()) & 0xc0U) != 0x80U ? 1 : 0;
    text.remove_prefix(1);
  }
  return columns;
}

std::string_view take_word(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(std::min(text.size(), word.size() + 1));
  return word;
}

}  // namespace

std::string paragraph(std::string_view text, const Margin& margin) {
  std::string out = margin.head;
  std::size_t at = margin.head_columns;
  bool line_is_empty = true;
  while (!text.empty()) {
    const std::string_view word = take_word(text);
    const std::size_t room = width(word) + (line_is_empty ? 0 : 1);
    if (!line_is_empty && at + room > margin.columns) {
      out += '\n' + std::string(margin.hang, ' ');
      at = margin.hang;
      line_is_empty = true;
    }
    if (!line_is_empty) {
      out += ' ';
      ++at;
    }
    out += word;
    at += width(word);
    line_is_empty = false;
  }
  return out + '\n';
}

}  // namespace tcpwhy::sink
