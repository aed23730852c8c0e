// SPDX-License-Identifier: GPL-2.0-only
// The page without its data, as it was built from user/html/web.
#pragma once

#include <string_view>

namespace tcpwhy::html {

// What stands before the data, and what behind. Empty where tcpwhy was built without (TCPWHY_HTML=OFF).
std::string_view page_head();
std::string_view page_tail();

}  // namespace tcpwhy::html
