// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/index.h"

#include <algorithm>
#include <utility>

namespace tcpwhy::recording {

std::optional<std::uint64_t> index_offset(View trailer) {
  const bool sound = trailer.size() == kTrailerBytes &&
                     std::equal(kTrailerMagic.begin(), kTrailerMagic.end(), trailer.begin() + 8,
                                [](unsigned char a, std::byte b) { return std::byte{a} == b; }) &&
                     fits(trailer.first(12), get<std::uint32_t>(trailer.subspan(12)));
  if (!sound) return std::nullopt;
  return get<std::uint64_t>(trailer);
}

std::optional<Index> Index::parse(View payload, std::uint64_t at) {
  Index index;
  index.entries_.reserve(payload.size() / kIndexEntryBytes);
  std::uint64_t end = kFileHeaderBytes;  // of what was before, at the least
  for (; payload.size() >= kIndexEntryBytes; payload = payload.subspan(kIndexEntryBytes)) {
    const Entry entry{get<std::uint64_t>(payload), get<std::uint64_t>(payload.subspan(16)),
                      static_cast<ChunkType>(get<std::uint16_t>(payload.subspan(8)))};
    if (entry.offset < end || entry.offset > at || at - entry.offset < kChunkHeaderBytes) return std::nullopt;
    end = entry.offset + kChunkHeaderBytes;
    index.entries_.push_back(entry);
  }
  if (!payload.empty() || index.entries_.empty()) return std::nullopt;
  return index;
}

std::optional<Index::Entry> Index::first_from(std::uint64_t offset, std::uint64_t time_ns) const {
  auto here = std::lower_bound(entries_.begin(), entries_.end(), offset,
                               [](const Entry& entry, std::uint64_t at) { return entry.offset < at; });
  if (here == entries_.end() || here->offset != offset) return std::nullopt;
  // A chunk ends where the next begins.
  for (auto next = std::next(here); next != entries_.end(); here = next++)
    if (here->type != ChunkType::events || next->time_ns == 0 || next->time_ns >= time_ns) break;
  return *here;
}

}  // namespace tcpwhy::recording
