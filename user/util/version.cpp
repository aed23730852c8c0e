// SPDX-License-Identifier: GPL-2.0-only
#include "user/util/version.h"

#include "tcpwhy_commit.h"

namespace tcpwhy::util {

std::string_view version() { return TCPWHY_VERSION; }
std::string_view commit() { return TCPWHY_COMMIT; }

}  // namespace tcpwhy::util
