// SPDX-License-Identifier: GPL-2.0-only
// What the BPF programs of a live run are configured with.
#pragma once

#include "bpf/tcpwhy_abi.h"
#include "user/core/kernel_names.h"
#include "user/kernel/features.h"
#include "user/source/live.h"

namespace tcpwhy::source {

tw_config make_config(const LiveOptions& options, const kernel::Survey& survey, const core::KernelNames& names);

}  // namespace tcpwhy::source
