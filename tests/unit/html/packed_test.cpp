// SPDX-License-Identifier: GPL-2.0-only
#include "user/html/packed.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>

namespace tcpwhy::html {
namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string from_base64(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  int have = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<std::uint32_t>(kDigits.find(c));
    have += 6;
    if (have >= 8) out += static_cast<char>(bits >> (have -= 8) & 255);
  }
  return out;
}

std::string unpacked(const std::string& text, std::size_t size) {
  const std::string bytes = from_base64(text);
  std::string out(size + 1, '\0');
  uLongf length = out.size();
  EXPECT_EQ(::uncompress(reinterpret_cast<Bytef*>(out.data()), &length, reinterpret_cast<const Bytef*>(bytes.data()),
                         bytes.size()),
            Z_OK);
  out.resize(length);
  return out;
}

TEST(Packed, GivesBackWhatWentIn) {
  for (const std::size_t size : {0U, 1U, 2U, 3U, 1000U, 70'000U, 3'000'000U}) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i) text += static_cast<char>((i * i >> 7) % 251);
    EXPECT_EQ(unpacked(packed(text), size), text) << size;
  }
}

TEST(Packed, HoldsNothingThatEndsAnElement) {
  const std::string text = packed("</script><script>alert(1)</script>");
  EXPECT_EQ(text.find_first_not_of(std::string{kDigits} + '='), std::string::npos);
  EXPECT_EQ(text.size() % 4, 0U);
}

TEST(Packed, TakesItsTextInPieces) {
  Packed pieces;
  for (int i = 0; i < 1000; ++i) pieces.add("piece ");
  const std::string whole = unpacked(pieces.finish(), 6000);
  EXPECT_EQ(whole.size(), 6000U);
  EXPECT_EQ(whole.substr(5994), "piece ");
}

}  // namespace
}  // namespace tcpwhy::html
