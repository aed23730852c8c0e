// SPDX-License-Identifier: GPL-2.0-only
// libFuzzer: whatever the bytes, the reader gives what it can and every record decodes or is an error. scripts/fuzz runs it.
#include <cstddef>
#include <cstdint>

#include "user/abi/decode.h"
#include "user/recording/codec.h"
#include "user/recording/reader.h"

using tcpwhy::recording::Arrangement;
using tcpwhy::recording::Bytes;
using tcpwhy::recording::View;

namespace {

void read(View bytes, bool from_the_middle) {
  auto reader = tcpwhy::recording::Reader::of(Bytes{bytes.begin(), bytes.end()}, "input");
  if (!reader) return;
  if (from_the_middle) {
    (void)(*reader)->end_ahead();
    (*reader)->leave_out_ordinary();
    (*reader)->skip_until((*reader)->meta().begins_ns + 1'000'000'000);
  }
  // Small chunks may unpack to much: a few of them say as much as all.
  for (std::size_t unpacked = 0; unpacked < (64U << 20);) {
    const auto block = (*reader)->next();
    if (!block) break;
    unpacked += block->records.size() + block->ordinary.size() + 1;
    (void)block->visit([](View record) { (void)tcpwhy::abi::decode(record); }, [](std::uint64_t) {});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const View bytes = std::as_bytes(std::span{data, size});
  read(bytes, false);
  read(bytes, true);
  // The transposition by itself, and one record by itself.
  const auto raw = static_cast<std::uint32_t>(size > 8 ? size - 8 : size);
  for (const auto how : {Arrangement::by_kind, Arrangement::by_state}) {
    (void)tcpwhy::recording::restore(bytes, raw, how);
    (void)tcpwhy::recording::restore_without_ordinary(bytes, raw, how);
  }
  (void)tcpwhy::abi::decode(bytes);
  return 0;
}
