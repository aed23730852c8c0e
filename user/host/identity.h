// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include <string>

#include "user/core/finding.h"
#include "user/util/time.h"

namespace tcpwhy::host {

// CLOCK_BOOTTIME, the clock of every record.
util::BootTime boot_now();

// CLOCK_REALTIME less CLOCK_BOOTTIME, to well below a microsecond.
util::WallOffset read_wall_offset();

// This host, this boot, and how boot time turns into wall time now.
core::RunIdentity read_identity();

// uname -r
std::string read_kernel_release();

}  // namespace tcpwhy::host
