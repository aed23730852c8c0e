// SPDX-License-Identifier: GPL-2.0-only
// A file that tcpwhy makes: for its owner alone, never over what is there unless asked, and no error is passed over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "user/util/fd.h"
#include "user/util/result.h"

namespace tcpwhy::util {

class FileWriter {
 public:
  FileWriter() = default;  // none

  // With mode 0600, also where it replaces one that others may read. An error says what to do, as do those below.
  static Result<FileWriter> create(const std::string& path, bool overwrite);

  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text) { return write(std::as_bytes(std::span{text})); }
  // A disk that is full may say so only here.
  Status close();
  // Closes it, and takes it away if it is an ordinary file: a part of it would only mislead.
  void discard();

  [[nodiscard]] bool is_open() const { return fd_.is_open(); }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  std::string path_;
  Fd fd_;
  bool is_regular_ = false;
  std::uint64_t bytes_ = 0;
};

// "cannot make x.html: File exists", and what to do about it.
Error cannot_write(std::string_view what, const std::string& path, int err);

}  // namespace tcpwhy::util
