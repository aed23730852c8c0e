// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/recorder.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "user/recording/conveyor.h"
#include "user/recording/file.h"
#include "user/recording/keyframe.h"

namespace tcpwhy::recording {
namespace {

std::string piece_path(const std::string& path, std::uint32_t piece) {
  return piece == 1 ? path : path + "." + std::to_string(piece);
}

// Pieces of an earlier recording of this name: they would be taken for ours.
util::Status clear_pieces(const RecorderOptions& options) {
  namespace fs = std::filesystem;
  const fs::path path = options.path;
  const std::string head = path.filename().string() + ".";
  std::error_code ignored;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path{"."};
  for (const auto& entry : fs::directory_iterator{folder, ignored}) {
    const std::string name = entry.path().filename().string();
    const std::string digits = name.starts_with(head) ? name.substr(head.size()) : std::string{};
    if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) continue;
    if (!options.overwrite)
      return util::Error{entry.path().string() + " is there already, a piece of another recording", EEXIST,
                         "choose another name, or say --force to remove its pieces"};
    fs::remove(entry.path(), ignored);
  }
  return util::Done{};
}

class FileRecorder final : public Recorder {
 public:
  FileRecorder(RecorderOptions options, Meta meta, File file)
      : options_(std::move(options)),
        meta_(std::move(meta)),
        file_(std::move(file)),
        conveyor_(
            options_.may_wait, [this](Batch& batch) { return write(batch); }, options_.at_writer_start) {}
  FileRecorder(const FileRecorder&) = delete;
  FileRecorder& operator=(const FileRecorder&) = delete;
  ~FileRecorder() override {
    if (!finished_) (void)finish(0);
  }

  void record(View record) override { conveyor_.record(record); }

  util::Status finish(std::uint64_t connections) override {
    finished_ = true;
    conveyor_.finish();
    if (auto trouble = conveyor_.trouble()) return *trouble;
    return file_.finish({connections, conveyor_.lost() - lost_before_file_, conveyor_.newest_ns(), false,
                         meta_.settings.identity.wall.steps()});
  }

  std::optional<util::Error> trouble() const override { return conveyor_.trouble(); }
  std::uint64_t lost() const override { return conveyor_.lost(); }
  std::uint64_t bytes() const override { return bytes_; }

 private:
  util::Status write(const Batch& batch) {
    const bool full = options_.piece_bytes > 0 && file_.bytes() - head_bytes_ >= options_.piece_bytes;
    // Not in the middle of what was there at the start.
    if (full && batch.type == ChunkType::events)
      if (util::Status status = next_piece(batch); !status) return status;
    const util::Result<Packed> packed = pack(batch, options_.level);
    if (!packed) return packed.error();
    const std::uint64_t before = file_.bytes();
    if (util::Status status = file_.write_chunk(packed->header, packed->payload); !status) return status;
    bytes_ += file_.bytes() - before;
    if (options_.piece_bytes > 0 && batch.type == ChunkType::seed) keyframe_.add_seed(*packed);
    if (options_.piece_bytes > 0 && batch.type == ChunkType::events) keyframe_.note(batch.records);
    return util::Done{};
  }

  util::Status next_piece(const Batch& batch) {
    if (util::Status status = file_.finish(
            {0, conveyor_.lost() - lost_before_file_, batch.time_ns, true, meta_.settings.identity.wall.steps()});
        !status)
      return status;
    lost_before_file_ = conveyor_.lost();
    meta_.piece += 1;
    meta_.begins_ns = batch.time_ns;
    util::Result<File> next = File::create(piece_path(options_.path, meta_.piece), options_.overwrite, meta_);
    if (!next) return std::move(next.error());
    file_ = std::move(*next);
    for (const Packed& chunk : keyframe_.chunks(options_.level))
      if (util::Status status = file_.write_chunk(chunk.header, chunk.payload); !status) return status;
    head_bytes_ = file_.bytes();
    if (options_.most_pieces > 0 && meta_.piece > options_.most_pieces)
      ::unlink(piece_path(options_.path, meta_.piece - options_.most_pieces).c_str());
    return util::Done{};
  }

  RecorderOptions options_;
  Meta meta_;
  File file_;
  std::uint64_t head_bytes_ = 0;  // of the file: what every piece begins with
  std::uint64_t lost_before_file_ = 0;
  Keyframe keyframe_;
  bool finished_ = false;
  std::atomic<std::uint64_t> bytes_{0};
  Conveyor conveyor_;  // the last: its thread uses all others
};

}  // namespace

util::Result<std::unique_ptr<Recorder>> Recorder::open(const RecorderOptions& options, const Meta& meta) {
  if (options.piece_bytes > 0)
    if (util::Status cleared = clear_pieces(options); !cleared) return std::move(cleared.error());
  util::Result<File> file = File::create(options.path, options.overwrite, meta);
  if (!file) return std::move(file.error());
  return std::unique_ptr<Recorder>{std::make_unique<FileRecorder>(options, meta, std::move(*file))};
}

}  // namespace tcpwhy::recording
