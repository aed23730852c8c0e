// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/recorder.h"

#include <unistd.h>

#include <atomic>
#include <utility>

#include "user/recording/conveyor.h"
#include "user/recording/file.h"
#include "user/recording/keyframe.h"

namespace tcpwhy::recording {
namespace {

std::string piece_path(const std::string& path, std::uint32_t piece) {
  return piece == 1 ? path : path + "." + std::to_string(piece);
}

class FileRecorder final : public Recorder {
 public:
  FileRecorder(RecorderOptions options, Meta meta, File file)
      : options_(std::move(options)),
        meta_(std::move(meta)),
        file_(std::move(file)),
        conveyor_(options_.may_wait, [this](Batch& batch) { return write(batch); }) {}
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
    return file_.finish({connections, conveyor_.lost(), conveyor_.newest_ns(), false});
  }

  std::optional<util::Error> trouble() const override { return conveyor_.trouble(); }
  std::uint64_t lost() const override { return conveyor_.lost(); }
  std::uint64_t bytes() const override { return bytes_; }

 private:
  util::Status write(const Batch& batch) {
    const util::Result<Packed> packed = pack(batch, options_.level);
    if (!packed) return packed.error();
    const std::uint64_t before = file_.bytes();
    if (util::Status status = file_.write_chunk(packed->header, packed->payload); !status) return status;
    bytes_ += file_.bytes() - before;
    if (options_.piece_bytes == 0) return util::Done{};
    if (batch.type == ChunkType::seed)
      keyframe_.add_seed(*packed);
    else
      keyframe_.note(batch.records);
    return file_.bytes() - head_bytes_ >= options_.piece_bytes ? next_piece(batch) : util::Status{util::Done{}};
  }

  util::Status next_piece(const Batch& batch) {
    if (util::Status status = file_.finish({0, conveyor_.lost(), batch.time_ns, true}); !status) return status;
    meta_.piece += 1;
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
  Keyframe keyframe_;
  bool finished_ = false;
  std::atomic<std::uint64_t> bytes_{0};
  Conveyor conveyor_;  // the last: its thread uses all others
};

}  // namespace

util::Result<std::unique_ptr<Recorder>> Recorder::open(const RecorderOptions& options, const Meta& meta) {
  util::Result<File> file = File::create(options.path, options.overwrite, meta);
  if (!file) return std::move(file.error());
  return std::unique_ptr<Recorder>{std::make_unique<FileRecorder>(options, meta, std::move(*file))};
}

}  // namespace tcpwhy::recording
