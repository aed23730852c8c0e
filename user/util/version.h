// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include <string_view>

namespace tcpwhy::util {

// "0.1.0": the project's version, from CMakeLists.txt.
std::string_view version();
// "4b39ddf80457", "4b39ddf80457-dirty" where the sources were changed since, "unknown" where they are in no repository.
std::string_view commit();

}  // namespace tcpwhy::util
