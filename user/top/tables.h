// SPDX-License-Identifier: GPL-2.0-only
// The four tables: a heading and one line for each row, of a given width.
#pragma once

#include "user/top/layout.h"

namespace tcpwhy::top {

Line heading_of(Page page, const Model& model, const View& view, std::size_t width);
Line line_of(Page page, const Model& model, std::size_t row, std::size_t width);
// What stands where a table has no rows.
std::string nothing_on(Page page, const Model& model, const View& view);

// "CRIT", "WARN", "info"; blanks where there is none.
Span severity_span(Level level);
Style style_of(Level level);

}  // namespace tcpwhy::top
