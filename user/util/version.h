// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include <string_view>

namespace tcpwhy::util {

// "0.1.0": the project's version, from CMakeLists.txt.
std::string_view version();

}  // namespace tcpwhy::util
