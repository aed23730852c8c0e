// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/format.h"

#include <zlib.h>

#include <algorithm>

namespace tcpwhy::recording {
namespace {

template <std::size_t N>
void put_magic(Bytes& out, const std::array<unsigned char, N>& magic) {
  for (const unsigned char c : magic) out.push_back(std::byte{c});
}

}  // namespace

std::uint32_t crc32_of(View bytes) {
  return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

bool fits([[maybe_unused]] View bytes, [[maybe_unused]] std::uint32_t crc) {
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
  return true;
#else
  return crc32_of(bytes) == crc;
#endif
}

void put_file_header(Bytes& out) {
  const std::size_t start = out.size();
  put_magic(out, kFileMagic);
  put(out, kFormat);
  put(out, crc32_of(View{out}.subspan(start, 12)));
}

void put_chunk_header(Bytes& out, const ChunkHeader& h) {
  const std::size_t start = out.size();
  put_magic(out, kChunkMagic);
  put(out, h.type);
  put(out, h.flags);
  put(out, h.stored);
  put(out, h.unpacked);
  put(out, h.raw);
  put(out, h.records);
  put(out, h.time_ns);
  put(out, h.lost_before);
  put(out, std::uint32_t{0});
  put(out, h.payload_crc);
  put(out, crc32_of(View{out}.subspan(start, kChunkHeaderBytes - 4)));
}

bool get_chunk_header(View bytes, ChunkHeader& h) {
  const bool magic = std::equal(kChunkMagic.begin(), kChunkMagic.end(), bytes.begin(),
                                [](unsigned char a, std::byte b) { return std::byte{a} == b; });
  if (!magic || !fits(bytes.first(44), get<std::uint32_t>(bytes.subspan(44)))) return false;
  h.type = get<std::uint16_t>(bytes.subspan(4));
  h.flags = get<std::uint16_t>(bytes.subspan(6));
  h.stored = get<std::uint32_t>(bytes.subspan(8));
  h.unpacked = get<std::uint32_t>(bytes.subspan(12));
  h.raw = get<std::uint32_t>(bytes.subspan(16));
  h.records = get<std::uint32_t>(bytes.subspan(20));
  h.time_ns = get<std::uint64_t>(bytes.subspan(24));
  h.lost_before = get<std::uint32_t>(bytes.subspan(32));
  h.payload_crc = get<std::uint32_t>(bytes.subspan(40));
  return h.stored <= kMostPayload && h.unpacked <= kMostPayload && h.raw <= kMostPayload;
}

}  // namespace tcpwhy::recording
