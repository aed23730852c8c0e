// SPDX-License-Identifier: GPL-2.0-only
// From the pipeline to standard output, the same for every command that tells findings.
#pragma once

#include <memory>

#include "user/cli/options.h"
#include "user/core/pipeline.h"
#include "user/sink/sink.h"

namespace tcpwhy::cli {

std::unique_ptr<sink::Sink> make_sink(const OutputOptions& options, const core::Settings& settings);

// Nothing of before `since` goes to the sink, and no event that `filter` keeps back. All that is given must outlive the
// outlets. several: where events are of several hosts, so that each line begins with its host.
core::Outlets outlets_of(const OutputOptions& options, sink::Sink& sink, const core::KernelNames& names,
                         const core::Filter& filter, util::BootTime since = {},
                         const core::RunIdentity* several = nullptr);

// Says the error and its hint; kFailed.
int fail(const util::Error& error);

}  // namespace tcpwhy::cli
