// SPDX-License-Identifier: GPL-2.0-only
// The INDEX at the end of a recording: where its chunks are. It may be missing, cut or wrong; nothing is believed of it that
// the chunk itself does not say again.
#pragma once

#include <optional>

#include "user/recording/format.h"

namespace tcpwhy::recording {

// Where the trailer, the last kTrailerBytes of a file, says that INDEX is; nothing where it is no trailer.
std::optional<std::uint64_t> index_offset(View trailer);

class Index {
 public:
  struct Entry {
    std::uint64_t offset = 0;
    std::uint64_t time_ns = 0;
    ChunkType type = ChunkType::events;
  };

  // payload: of the INDEX chunk that begins at `at`. Nothing where its entries cannot be those of a file.
  static std::optional<Index> parse(View payload, std::uint64_t at);

  // Of the EVENTS chunk at `offset` and those that follow it: the first that does not end before `time_ns`, or what is
  // no EVENTS before it, or the last that is known of. Nothing where no chunk at `offset` is known of.
  [[nodiscard]] std::optional<Entry> first_from(std::uint64_t offset, std::uint64_t time_ns) const;

 private:
  std::vector<Entry> entries_;
};

}  // namespace tcpwhy::recording
