// SPDX-License-Identifier: GPL-2.0-only
// The description of the terminal that TERM names: the host's, or else one that is built in.
#pragma once

#include "user/util/result.h"

namespace tcpwhy::screen {

// An error where TERM names none that is known, or one that cannot be drawn on. May set TERMINFO, for ncurses to read.
util::Status describe_terminal();

}  // namespace tcpwhy::screen
