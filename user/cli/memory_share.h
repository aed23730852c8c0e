// SPDX-License-Identifier: GPL-2.0-only
// --max-memory: what the ring buffer, the tables and the flight recorder may take together, and who gets how much of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "user/cli/options.h"
#include "user/util/result.h"

namespace tcpwhy::cli {

struct MemoryShare {
  std::size_t tables = 0;    // bytes, for connections, listeners, findings and what else events fill
  std::uint64_t flight = 0;  // bytes, for the minutes that the flight recorder holds; 0: there is none
};

// An error where the buffer leaves too little for the tables.
util::Result<MemoryShare> share_memory(const TraceOptions& options);

}  // namespace tcpwhy::cli
