// SPDX-License-Identifier: GPL-2.0-only
// One file of a recording, open for writing: whole chunks go to it, and its index is remembered.
#pragma once

#include <string>
#include <vector>

#include "user/recording/format.h"
#include "user/recording/meta.h"
#include "user/util/file_writer.h"
#include "user/util/result.h"

namespace tcpwhy::recording {

class File {
 public:
  // With mode 0600, its file header and META.
  static util::Result<File> create(const std::string& path, bool overwrite, const Meta& meta);

  util::Status write_chunk(ChunkHeader header, View payload);
  // INDEX, END and the trailer; closes.
  util::Status finish(const End& end);
  [[nodiscard]] std::uint64_t bytes() const { return out_.bytes(); }
  [[nodiscard]] bool is_open() const { return out_.is_open(); }

 private:
  void add_to_index(const ChunkHeader& header);

  util::FileWriter out_;
  Bytes index_;
};

}  // namespace tcpwhy::recording
