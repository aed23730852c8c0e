// SPDX-License-Identifier: GPL-2.0-only
#include "user/html/packed.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cassert>

namespace tcpwhy::html {
namespace {

// zlib.h makes a Bytef of const only where it is told to, and counts in 32 bits.
constexpr std::size_t kPiece = 1U << 20;

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t bits = 0;
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    for (std::size_t i = 0; i < 3; ++i) bits = bits << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i) out += i <= count ? kDigits[bits >> (18 - 6 * i) & 63] : '=';
  }
  return out;
}

}  // namespace

struct Packed::Stream {
  z_stream z{};
  std::string out;

  void put(std::string_view text, int flush) {
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // read only
    z.avail_in = static_cast<uInt>(text.size());
    std::array<char, 1U << 16> buffer{};
    int code = Z_OK;
    do {
      z.next_out = reinterpret_cast<Bytef*>(buffer.data());
      z.avail_out = buffer.size();
      code = ::deflate(&z, flush);
      out.append(buffer.data(), buffer.size() - z.avail_out);
    } while (z.avail_out == 0);
    assert(code == Z_STREAM_END || flush == Z_NO_FLUSH);
    (void)code;
  }
};

Packed::Packed() : stream_(std::make_unique<Stream>()) {
  [[maybe_unused]] const int code = ::deflateInit(&stream_->z, Z_DEFAULT_COMPRESSION);
  assert(code == Z_OK);
}

Packed::~Packed() { ::deflateEnd(&stream_->z); }

void Packed::add(std::string_view text) {
  for (; !text.empty(); text.remove_prefix(std::min(text.size(), kPiece)))
    stream_->put(text.substr(0, kPiece), Z_NO_FLUSH);
}

std::string Packed::finish() {
  stream_->put({}, Z_FINISH);
  return base64(stream_->out);
}

std::string packed(std::string_view text) {
  Packed all;
  all.add(text);
  return all.finish();
}

}  // namespace tcpwhy::html
