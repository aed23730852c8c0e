// SPDX-License-Identifier: GPL-2.0-only
#include "user/util/printable.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace tcpwhy::util {
namespace {

struct Character {
  char32_t code = 0;
  std::size_t length = 0;  // 0 where no character begins here
};

// RFC 3629: the shortest form only, no surrogates, up to U+10FFFF.
Character first_character(std::string_view text) {
  struct Form {
    unsigned char mask, lead;
    std::size_t length;
    char32_t least;
  };
  static constexpr Form kForms[] = {
      {0x80, 0x00, 1, 0}, {0xe0, 0xc0, 2, 0x80}, {0xf0, 0xe0, 3, 0x800}, {0xf8, 0xf0, 4, 0x10000}};
  const auto lead = static_cast<unsigned char>(text.front());
  for (const Form& form : kForms) {
    if ((lead & form.mask) != form.lead || text.size() < form.length) {
      continue;
    }
    char32_t code = lead & static_cast<unsigned char>(~form.mask);
    for (std::size_t i = 1; i < form.length; ++i) {
      const auto next = static_cast<unsigned char>(text[i]);
      if ((next & 0xc0U) != 0x80U) {
        return {};
      }
      code = (code << 6U) | (next & 0x3fU);
    }
    const bool valid = code >= form.least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    return valid ? Character{code, form.length} : Character{};
  }
  return {};
}

bool is_safe(char32_t code) {
  const bool control = code < 0x20 || (code >= 0x7f && code <= 0x9f);
  const bool line_break = code == 0x2028 || code == 0x2029;
  const bool direction =
      code == 0x200e || code == 0x200f || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
  return !control && !line_break && !direction;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character character = first_character(text);
    const std::size_t length = character.length == 0 ? 1 : character.length;
    if (character.length != 0 && is_safe(character.code)) {
      out.append(text.substr(0, length));
    } else {
      for (const char byte : text.substr(0, length)) {
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(byte));
      }
    }
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace tcpwhy::util
