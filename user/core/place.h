// SPDX-License-Identifier: GPL-2.0-only
// Where the commands of an advice must run.
#pragma once

#include "user/core/finding.h"

namespace tcpwhy::core {

// nft, ip, ss and the like show the network namespace that they run in. Where the finding's sockets are in another one
// than the tool, each advice that names such a command begins with how to get there.
// Where several hosts were recorded, with the host's name.
void place_commands(Finding& finding, const RunIdentity& run);

}  // namespace tcpwhy::core
