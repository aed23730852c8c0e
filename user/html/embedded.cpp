// SPDX-License-Identifier: GPL-2.0-only
#include "user/html/embedded.h"

#include "html_page.h"

namespace tcpwhy::html {

std::string_view page_head() { return kPageHead; }
std::string_view page_tail() { return kPageTail; }

}  // namespace tcpwhy::html
