// SPDX-License-Identifier: GPL-2.0-only
// "did you mean ...?"
#pragma once

#include <span>
#include <string_view>

namespace tcpwhy::util {

// What was probably meant: the word of `known` that is a few letters away, or the only one that has it in its name; empty
// where there is none.
std::string_view nearest(std::string_view word, std::span<const std::string_view> known);

}  // namespace tcpwhy::util
