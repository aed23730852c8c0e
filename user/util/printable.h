// SPDX-License-Identifier: GPL-2.0-only
// A process may call itself anything, escape sequences included: what it says must not drive the reader's terminal.
#pragma once

#include <string>
#include <string_view>

namespace tcpwhy::util {

// The text with every control character, every byte that is not UTF-8 and every character that turns the writing
// direction as \xNN: no byte of the result is below 0x20.
std::string printable(std::string_view text);

}  // namespace tcpwhy::util
