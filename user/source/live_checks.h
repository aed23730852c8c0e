// SPDX-License-Identifier: GPL-2.0-only
// What must hold before anything is loaded: each error says what is missing and what to do about it.
#pragma once

#include <cstddef>

#include "user/util/result.h"

namespace tcpwhy::source {

util::Status check_capabilities();
util::Status check_lockdown();
util::Status check_buffer(std::size_t bytes);  // of the ring buffer

// Before 5.11 maps count against RLIMIT_MEMLOCK. Failing is no error: then loading says so.
void raise_memlock_limit();

}  // namespace tcpwhy::source
