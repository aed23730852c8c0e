// SPDX-License-Identifier: GPL-2.0-only
// A finding's page for a terminal.
#pragma once

#include <string>
#include <string_view>

#include "user/explain/page.h"
#include "user/sink/text.h"

namespace tcpwhy::sink {

// All of it. Without colour `code` keeps its marks, so that commands can be told from words.
std::string page_text(const explain::Page& page, const TextStyle& style);

// What the page says of one cause, which it has: its row, what to check, and what to change that is not for another cause.
std::string cause_text(const explain::Page& page, std::string_view cause, const TextStyle& style);

}  // namespace tcpwhy::sink
