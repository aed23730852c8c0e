// SPDX-License-Identifier: GPL-2.0-only
// A model and a view as lines of a screen: pure. Colour only repeats what the words say.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "user/top/model.h"
#include "user/top/view.h"

namespace tcpwhy::top {

enum class Style : std::uint8_t { plain, dim, strong, title, info, warning, critical };

struct Span {
  std::string text;  // printable UTF-8
  Style style = Style::plain;
};

struct Line {
  std::vector<Span> spans;
  bool selected = false;
  [[nodiscard]] std::string text() const;
};

struct Size {
  std::size_t rows = 24;
  std::size_t columns = 80;
};
inline constexpr Size kSmallest{10, 60};

// Exactly size.rows lines, none wider than size.columns. Below kSmallest: a line that says so.
using Frame = std::vector<Line>;
Frame lay_out(const Model& model, const View& view, Size size);

// Rows of a table, or lines of a sheet, that such a screen has: how far a page key goes.
std::size_t rows_on_screen(Size size);

}  // namespace tcpwhy::top
