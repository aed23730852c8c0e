// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include <cstdint>

namespace tcpwhy::kernel {

// CONFIG_HZ of the running kernel: jiffies a second. (sysconf(_SC_CLK_TCK) is USER_HZ, another number.)
std::uint32_t jiffies_per_second();
// From the length of one jiffy, which the kernel rounds to whole nanoseconds: 3,333,333 is 300.
std::uint32_t jiffies_per_second(std::uint64_t jiffy_ns);

}  // namespace tcpwhy::kernel
