// SPDX-License-Identifier: GPL-2.0-only
// One event in one line of words (--events).
#pragma once

#include <string>

#include "user/abi/event.h"
#include "user/core/kernel_names.h"

namespace tcpwhy::core {

// Empty for what is no event of the kernel (ticks, ends of walks).
std::string event_text(const abi::Event& event, const KernelNames& names);

}  // namespace tcpwhy::core
