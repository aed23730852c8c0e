// SPDX-License-Identifier: GPL-2.0-only
// One file of a recording, open for writing: whole chunks go to it, and its index is remembered.
#pragma once

#include <string>
#include <vector>

#include "user/recording/format.h"
#include "user/recording/meta.h"
#include "user/util/result.h"

namespace tcpwhy::recording {

class File {
 public:
  File() = default;
  File(File&& other) noexcept { *this = std::move(other); }
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File();

  // With mode 0600, its file header and META.
  static util::Result<File> create(const std::string& path, bool overwrite, const Meta& meta);

  util::Status write_chunk(ChunkHeader header, View payload);
  // INDEX, END and the trailer; closes.
  util::Status finish(const End& end);
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }

 private:
  util::Status write(View bytes);
  void add_to_index(const ChunkHeader& header);

  std::string path_;
  int fd_ = -1;
  std::uint64_t bytes_ = 0;
  Bytes index_;
};

}  // namespace tcpwhy::recording
