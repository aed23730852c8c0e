// SPDX-License-Identifier: GPL-2.0-only
// Data inside a page: deflated (RFC 1950, what a browser's DecompressionStream("deflate") reads) and in base64, which
// holds nothing that could end the element it stands in.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace tcpwhy::html {

class Packed {
 public:
  Packed();
  ~Packed();
  Packed(const Packed&) = delete;
  Packed& operator=(const Packed&) = delete;

  void add(std::string_view text);
  // All that was added; nothing can be added after it.
  [[nodiscard]] std::string finish();

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
};

std::string packed(std::string_view text);

}  // namespace tcpwhy::html
