// SPDX-License-Identifier: GPL-2.0-only
// What is read, not compared: a finding in its own words, a connection step by step, the keys.
#pragma once

#include "user/top/layout.h"

namespace tcpwhy::top {

// Its lines, as many as there are.
std::vector<Line> sheet_of(const Model& model, const View& view, std::size_t width);
std::string title_of(const Model& model, const View& view);

}  // namespace tcpwhy::top
