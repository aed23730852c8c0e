// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/recorder.h"

#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "user/abi/header.h"
#include "user/recording/codec.h"
#include "user/recording/file.h"

namespace tcpwhy::recording {
namespace {

constexpr std::size_t kBatchBytes = 1U << 20;
constexpr std::size_t kBatchesWaiting = 32;
// A batch that is not full is handed over with the tick that finds it this old.
constexpr std::uint64_t kBatchNs = 500'000'000;

// Records on their way to the writer's thread.
struct Batch {
  ChunkType type = ChunkType::seed;
  Bytes records;
  std::uint32_t count = 0;
  std::uint64_t time_ns = 0;
  std::uint32_t lost_before = 0;
};

std::string piece_path(const std::string& path, std::uint32_t piece) {
  return piece == 1 ? path : path + "." + std::to_string(piece);
}

class ThreadedRecorder final : public Recorder {
 public:
  ThreadedRecorder(RecorderOptions options, Meta meta, File file)
      : options_(std::move(options)),
        meta_(std::move(meta)),
        file_(std::move(file)),
        writer_([this] { write_all(); }) {}
  ThreadedRecorder(const ThreadedRecorder&) = delete;
  ThreadedRecorder& operator=(const ThreadedRecorder&) = delete;
  ~ThreadedRecorder() override {
    if (writer_.joinable()) (void)finish(0);
  }

  void record(View record) override {
    const auto header = abi::peek_header(record);
    if (!header) return;  // not a record; the pipeline counts it
    if (batch_.count == 0) batch_.time_ns = header->time_ns;
    batch_.records.insert(batch_.records.end(), record.begin(), record.begin() + header->size);
    batch_.count += 1;
    newest_ns_ = std::max(newest_ns_, header->time_ns);
    const bool old = abi::is_tick(record) && header->time_ns - batch_.time_ns >= kBatchNs;
    const bool seed_ends = batch_.type == ChunkType::seed && abi::ends_seed(record);
    if (old || seed_ends || batch_.records.size() >= kBatchBytes) hand_over();
    if (seed_ends) batch_.type = ChunkType::events;
  }

  util::Status finish(std::uint64_t connections) override {
    hand_over();
    {
      const std::lock_guard lock{mutex_};
      finishing_ = true;
    }
    wake_.notify_one();
    writer_.join();
    if (trouble_) return *trouble_;
    return file_.finish({connections, lost_, newest_ns_, false});
  }

  std::optional<util::Error> trouble() const override {
    const std::lock_guard lock{mutex_};
    return trouble_;
  }
  std::uint64_t lost() const override { return lost_; }
  std::uint64_t bytes() const override { return bytes_; }

 private:
  void hand_over() {
    if (batch_.count == 0) return;
    Batch next;
    next.type = batch_.type;
    next.records.reserve(kBatchBytes + 1024);
    {
      std::unique_lock lock{mutex_};
      if (options_.may_wait) room_.wait(lock, [this] { return queue_.size() < kBatchesWaiting; });
      if (queue_.size() < kBatchesWaiting) {
        queue_.push_back(std::move(batch_));
      } else {
        next.lost_before = batch_.lost_before + batch_.count;
        lost_ += batch_.count;
      }
    }
    batch_ = std::move(next);
    wake_.notify_one();
  }

  // The writer's thread.
  void write_all() {
    while (true) {
      Batch batch;
      {
        std::unique_lock lock{mutex_};
        wake_.wait(lock, [this] { return finishing_ || !queue_.empty(); });
        if (queue_.empty()) return;
        batch = std::move(queue_.front());
        queue_.pop_front();
      }
      room_.notify_one();
      if (trouble()) {
        lost_ += batch.count;
        continue;
      }
      util::Status status = write(batch);
      if (status) continue;
      const std::lock_guard lock{mutex_};
      trouble_ = std::move(status.error());
      lost_ += batch.count;
    }
  }

  util::Status write(const Batch& batch) {
    ChunkHeader header;
    header.type = static_cast<std::uint16_t>(batch.type);
    header.flags = kRequired | kCompressed;
    header.raw = static_cast<std::uint32_t>(batch.records.size());
    header.records = batch.count;
    header.time_ns = batch.time_ns;
    header.lost_before = batch.lost_before;
    Bytes shaped = transpose(batch.records);
    if (!shaped.empty()) header.flags |= kTransposed;
    const View unpacked = shaped.empty() ? View{batch.records} : View{shaped};
    header.unpacked = static_cast<std::uint32_t>(unpacked.size());
    util::Result<Bytes> payload = compress(unpacked, options_.level);
    if (!payload) return std::move(payload.error());
    const std::uint64_t before = file_.bytes();
    if (util::Status status = file_.write_chunk(header, *payload); !status) return status;
    bytes_ += file_.bytes() - before;
    if (batch.type == ChunkType::seed) seeds_.emplace_back(header, std::move(*payload));
    return options_.piece_bytes > 0 && file_.bytes() >= options_.piece_bytes ? next_piece(batch)
                                                                             : util::Status{util::Done{}};
  }

  // Each piece begins with what was there at the start, so that it can be read alone.
  util::Status next_piece(const Batch& batch) {
    if (util::Status status = file_.finish({0, lost_, batch.time_ns, true}); !status) return status;
    meta_.piece += 1;
    util::Result<File> next = File::create(piece_path(options_.path, meta_.piece), options_.overwrite, meta_);
    if (!next) return std::move(next.error());
    file_ = std::move(*next);
    for (const auto& [header, payload] : seeds_)
      if (util::Status status = file_.write_chunk(header, payload); !status) return status;
    if (options_.most_pieces > 0 && meta_.piece > options_.most_pieces)
      ::unlink(piece_path(options_.path, meta_.piece - options_.most_pieces).c_str());
    return util::Done{};
  }

  RecorderOptions options_;
  Meta meta_;
  File file_;
  Batch batch_;
  std::uint64_t newest_ns_ = 0;
  std::vector<std::pair<ChunkHeader, Bytes>> seeds_;

  mutable std::mutex mutex_;      // over queue_, finishing_, trouble_
  std::condition_variable wake_;  // of the writer's thread
  std::condition_variable room_;  // in the queue
  std::deque<Batch> queue_;
  bool finishing_ = false;
  std::optional<util::Error> trouble_;
  std::atomic<std::uint64_t> lost_{0};
  std::atomic<std::uint64_t> bytes_{0};
  std::thread writer_;  // the last: it uses all others
};

}  // namespace

util::Result<std::unique_ptr<Recorder>> Recorder::open(const RecorderOptions& options, const Meta& meta) {
  util::Result<File> file = File::create(options.path, options.overwrite, meta);
  if (!file) return std::move(file.error());
  return std::unique_ptr<Recorder>{std::make_unique<ThreadedRecorder>(options, meta, std::move(*file))};
}

}  // namespace tcpwhy::recording
