// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/file.h"

#include <cerrno>
#include <string_view>
#include <utility>

namespace tcpwhy::recording {
namespace {

View view_of(std::string_view text) { return std::as_bytes(std::span{text.data(), text.size()}); }

// What only a recording can do about it.
util::Error recording_error(util::Error error) {
  if (error.code == EISDIR) error.hint = "name a file; a folder is for --flight-recorder";
  if (error.code == ENOSPC)
    error.hint = "make room on the disk, or bound the recording with --max-size and --max-files";
  return error;
}

util::Status or_recording_error(util::Status status) {
  if (!status) return recording_error(std::move(status.error()));
  return status;
}

}  // namespace

util::Result<File> File::create(const std::string& path, bool overwrite, const Meta& meta) {
  util::Result<util::FileWriter> out = util::FileWriter::create(path, overwrite);
  if (!out) return recording_error(std::move(out.error()));
  File file;
  file.out_ = std::move(*out);
  Bytes head;
  put_file_header(head);
  if (util::Status written = file.out_.write(head); !written) return recording_error(std::move(written.error()));
  ChunkHeader header;
  header.type = static_cast<std::uint16_t>(ChunkType::meta);
  header.flags = kRequired;
  const std::string json = to_json(meta);
  header.unpacked = header.raw = static_cast<std::uint32_t>(json.size());
  if (util::Status written = file.write_chunk(header, view_of(json)); !written) return std::move(written.error());
  return file;
}

void File::add_to_index(const ChunkHeader& header) {
  put(index_, bytes());
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
  return or_recording_error(out_.write(chunk));
}

util::Status File::finish(const End& end) {
  const std::uint64_t index_at = bytes();
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
  util::Status status = or_recording_error(out_.write(trailer));
  util::Status closed = or_recording_error(out_.close());
  return status ? std::move(closed) : std::move(status);
}

}  // namespace tcpwhy::recording
