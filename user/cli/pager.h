// SPDX-License-Identifier: GPL-2.0-only
// Long text for a person: through a pager where standard output is a terminal, as git and man do it.
#pragma once

#include <string>

namespace tcpwhy::cli {

// $PAGER, else less -R, and LESS=FRX where nothing was said: a page that fits on the screen is simply printed. Where
// the pager cannot be run, and where standard output is no terminal, the text goes there as it is.
void page(const std::string& text);

}  // namespace tcpwhy::cli
