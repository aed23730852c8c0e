// SPDX-License-Identifier: GPL-2.0-only
// Between records as they are and a chunk's payload: difference, transposition, zstd (doc/recording.md).
#pragma once

#include "user/recording/format.h"
#include "user/util/result.h"

namespace tcpwhy::recording {

// records: whole ones, one after another. The result is arranged by_state. Empty where they cannot be transposed (more than
// 256 groups, or a length that does not fit): they are then stored as they are.
Bytes transpose(View records);
// The inverse; `raw` is how long the records were. An error where the bytes contradict themselves.
util::Result<Bytes> restore(View bytes, std::uint32_t raw, Arrangement how);

// A transition of which only the time was restored.
struct Ordinary {
  std::uint64_t time_ns = 0;
  std::size_t before = 0;  // the byte of `records` that it stands before
};
struct Restored {
  Bytes records;
  std::vector<Ordinary> ordinary;
};
// The same, but for transitions: their other columns are not even looked at.
util::Result<Restored> restore_without_ordinary(View bytes, std::uint32_t raw, Arrangement how);

// With zstd; an error where zstd gives one, or where the result is not `unpacked` bytes long.
util::Result<Bytes> compress(View bytes, int level);
util::Result<Bytes> decompress(View bytes, std::uint32_t unpacked);

}  // namespace tcpwhy::recording
