// SPDX-License-Identifier: GPL-2.0-only
// The recording's format, as doc/recording.md lays it down.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tcpwhy::recording {

using Bytes = std::vector<std::byte>;
using View = std::span<const std::byte>;

inline constexpr std::array<unsigned char, 8> kFileMagic{'T', 'C', 'P', 'W', 'H', 'Y', '\r', '\n'};
inline constexpr std::array<unsigned char, 4> kChunkMagic{'T', 'W', 'C', 'K'};
inline constexpr std::array<unsigned char, 4> kTrailerMagic{'T', 'W', 'E', 'N'};
inline constexpr std::uint32_t kFormat = 2;
inline constexpr std::size_t kFileHeaderBytes = 16;
inline constexpr std::size_t kChunkHeaderBytes = 48;
inline constexpr std::size_t kIndexEntryBytes = 32;
inline constexpr std::size_t kTrailerBytes = 16;
// A length above this is damage, whatever it says.
inline constexpr std::uint32_t kMostPayload = 32U << 20;

enum class ChunkType : std::uint16_t { meta = 1, seed = 2, events = 3, index = 4, end = 5 };

inline constexpr std::uint16_t kCompressed = 1;
inline constexpr std::uint16_t kTransposedByKind = 2;   // format 1
inline constexpr std::uint16_t kTransposedByState = 4;  // format 2
inline constexpr std::uint16_t kRequired = 0x8000;

// How the records of a chunk were arranged: one after another, or in columns, of groups of one kind and size; or of those
// and, for transitions, of the states that they go from and to.
enum class Arrangement { plain, by_kind, by_state };

struct ChunkHeader {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t stored = 0;    // bytes in the file
  std::uint32_t unpacked = 0;  // after zstd
  std::uint32_t raw = 0;       // after zstd and transposition
  std::uint32_t records = 0;
  std::uint64_t time_ns = 0;
  std::uint32_t lost_before = 0;
  std::uint32_t payload_crc = 0;

  [[nodiscard]] Arrangement arrangement() const {
    return (flags & kTransposedByState) != 0  ? Arrangement::by_state
           : (flags & kTransposedByKind) != 0 ? Arrangement::by_kind
                                              : Arrangement::plain;
  }
};

std::uint32_t crc32_of(View bytes);
// Whether that is the checksum of the bytes. A build for fuzzing takes any for it, or it would never get behind one.
bool fits(View bytes, std::uint32_t crc);

void put_file_header(Bytes& out);
// Adds the header's own checksum.
void put_chunk_header(Bytes& out, const ChunkHeader& header);
// bytes: exactly kChunkHeaderBytes. False where magic, checksum or a length does not fit.
bool get_chunk_header(View bytes, ChunkHeader& out);

// Little-endian, at the end of `out`; at the start of `bytes`, which must be long enough.
template <typename Number>
void put(Bytes& out, Number value) {
  for (std::size_t i = 0; i < sizeof(Number); ++i)
    out.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i)));
}
template <typename Number>
Number get(View bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) value |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  return static_cast<Number>(value);
}

}  // namespace tcpwhy::recording
