// SPDX-License-Identifier: GPL-2.0-only
// What a live run gives up as soon as it no longer needs it.
#pragma once

#include <functional>

#include "user/cli/options.h"
#include "user/source/live.h"

namespace tcpwhy::cli {

// To be called while there is one thread: it and those it makes never gain privileges.
void forbid_new_privileges();

// For a thread that needs none, at its beginning.
void keep_no_rights();

// For the recorder's thread, at its beginning: it keeps at most the right to make further files where the first one was.
std::function<void()> rights_of_writer(const RecordingOptions& options);

// Once every hook is live: keeps what reading about other users' processes takes, and CAP_BPF where this kernel asks
// for it at each look into a map.
void give_up_privileges(const source::LiveSource& source);

}  // namespace tcpwhy::cli
