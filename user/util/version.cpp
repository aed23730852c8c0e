// SPDX-License-Identifier: GPL-2.0-only
#include "user/util/version.h"

namespace tcpwhy::util {

std::string_view version() { return TCPWHY_VERSION; }

}  // namespace tcpwhy::util
