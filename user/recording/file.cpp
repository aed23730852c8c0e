// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace tcpwhy::recording {
namespace {

View view_of(std::string_view text) { return std::as_bytes(std::span{text.data(), text.size()}); }

util::Error cannot(const std::string& what, const std::string& path, int err) {
  std::string hint;
  if (err == EISDIR) hint = "name a file; a folder is for --flight-recorder";
  if (err == EEXIST) hint = "choose another name, or say --force to overwrite it";
  if (err == ENOSPC) hint = "make room on the disk, or bound the recording with --max-size and --max-files";
  if (err == ENOENT) hint = "the folder must be there";
  if (err == EACCES || err == EPERM || err == EROFS) hint = "choose a folder that this user may write to";
  return {fmt::format("cannot {} {}: {}", what, path, std::strerror(err)), err, hint};
}

}  // namespace

File& File::operator=(File&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(bytes_, other.bytes_);
  std::swap(index_, other.index_);
  return *this;
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

util::Result<File> File::create(const std::string& path, bool overwrite, const Meta& meta) {
  File file;
  file.path_ = path;
  file.fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (overwrite ? O_TRUNC : O_EXCL), 0600);
  if (file.fd_ < 0) return cannot("make", path, errno);
  // What was there before may be open to others; a device or a pipe keeps its own mode.
  struct stat status {};
  if (overwrite && ::fstat(file.fd_, &status) == 0 && S_ISREG(status.st_mode) && ::fchmod(file.fd_, 0600) != 0)
    return cannot("protect", path, errno);
  Bytes head;
  put_file_header(head);
  if (util::Status written = file.write(head); !written) return std::move(written.error());
  ChunkHeader header;
  header.type = static_cast<std::uint16_t>(ChunkType::meta);
  header.flags = kRequired;
  const std::string json = to_json(meta);
  header.unpacked = header.raw = static_cast<std::uint32_t>(json.size());
  if (util::Status written = file.write_chunk(header, view_of(json)); !written) return std::move(written.error());
  return file;
}

util::Status File::write(View bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return cannot("write to", path_, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    bytes_ += static_cast<std::uint64_t>(written);
  }
  return util::Done{};
}

void File::add_to_index(const ChunkHeader& header) {
  put(index_, bytes_);
  put(index_, header.type);
  index_.resize(index_.size() + 6);
  put(index_, header.time_ns);
  put(index_, header.records);
  put(index_, std::uint32_t{0});
}

util::Status File::write_chunk(ChunkHeader header, View payload) {
  header.stored = static_cast<std::uint32_t>(payload.size());
  header.payload_crc = crc32_of(payload);
  if (index_.size() + kIndexEntryBytes <= kMostPayload) add_to_index(header);
  // In one piece, so that a kill leaves a whole chunk or an end that is cut.
  Bytes chunk;
  chunk.reserve(kChunkHeaderBytes + payload.size());
  put_chunk_header(chunk, header);
  chunk.insert(chunk.end(), payload.begin(), payload.end());
  return write(chunk);
}

util::Status File::finish(const End& end) {
  const std::uint64_t index_at = bytes_;
  const Bytes index = std::exchange(index_, {});
  ChunkHeader header;
  header.type = static_cast<std::uint16_t>(ChunkType::index);
  header.unpacked = header.raw = static_cast<std::uint32_t>(index.size());
  if (util::Status status = write_chunk(header, index); !status) return status;
  const std::string json = to_json(end);
  header.type = static_cast<std::uint16_t>(ChunkType::end);
  header.unpacked = header.raw = static_cast<std::uint32_t>(json.size());
  header.time_ns = end.ended_ns;
  if (util::Status status = write_chunk(header, view_of(json)); !status) return status;
  Bytes trailer;
  put(trailer, index_at);
  for (const unsigned char c : kTrailerMagic) trailer.push_back(std::byte{c});
  put(trailer, crc32_of(trailer));
  util::Status status = write(trailer);
  if (::close(std::exchange(fd_, -1)) != 0 && status) return cannot("close", path_, errno);
  return status;
}

}  // namespace tcpwhy::recording
