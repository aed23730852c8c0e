// SPDX-License-Identifier: GPL-2.0-only
// libFuzzer: whatever the bytes, the reader gives what it can and every record decodes or is an error. scripts/fuzz runs it.
#include <cstddef>
#include <cstdint>

#include "user/abi/decode.h"
#include "user/recording/codec.h"
#include "user/recording/reader.h"

using tcpwhy::recording::Bytes;
using tcpwhy::recording::View;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const View bytes = std::as_bytes(std::span{data, size});
  auto reader = tcpwhy::recording::Reader::of(Bytes{bytes.begin(), bytes.end()}, "input");
  std::size_t unpacked = 0;
  // Small chunks may unpack to much: a few of them say as much as all.
  while (reader && unpacked < (64U << 20)) {
    const auto block = (*reader)->next();
    if (!block) break;
    unpacked += block->records.size() + 1;
    tcpwhy::recording::for_each_record(block->records, [](View record) { (void)tcpwhy::abi::decode(record); });
  }
  // The transposition by itself, and one record by itself.
  (void)tcpwhy::recording::restore(bytes, static_cast<std::uint32_t>(size > 8 ? size - 8 : size));
  (void)tcpwhy::abi::decode(bytes);
  return 0;
}
