// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/flight.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <mutex>

#include "user/recording/codec.h"
#include "user/recording/conveyor.h"
#include "user/recording/file.h"
#include "user/recording/keyframe.h"

namespace tcpwhy::recording {
namespace {

std::uint64_t weight_of(const Packed& chunk) { return sizeof(Packed) + chunk.payload.capacity(); }

std::uint64_t ns_of(util::Duration d) { return static_cast<std::uint64_t>(d.count()); }

// A host may be called anything; a file may not.
std::string word_of(const std::string& text) {
  std::string word = text;
  std::replace_if(
      word.begin(), word.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)) && c != '.'; }, '-');
  return word;
}

class FlightRecorder final : public Recorder {
 public:
  FlightRecorder(FlightOptions options, Meta meta)
      : options_(std::move(options)),
        meta_(std::move(meta)),
        conveyor_(
            options_.may_wait, [this](Batch& batch) { return handle(batch); }, options_.at_writer_start) {}
  FlightRecorder(const FlightRecorder&) = delete;
  FlightRecorder& operator=(const FlightRecorder&) = delete;
  ~FlightRecorder() override { (void)finish(0); }

  void record(View record) override { conveyor_.record(record); }

  std::string save(const std::string& reason, bool by_hand) override {
    const std::uint64_t now = conveyor_.newest_ns();
    if (!by_hand && last_save_ns_ != 0 && now - last_save_ns_ < ns_of(options_.interval)) return {};
    if (!by_hand) last_save_ns_ = now;
    const bool another = writing_.exchange(true);
    std::string time = util::rfc3339(util::boot_time(now), meta_.settings.identity.wall);
    std::erase_if(time, [](char c) { return c == ':' || c == '-'; });
    const std::string name = fmt::format("tcpwhy-{}-{}-{}.tcpwhy", word_of(meta_.settings.identity.host),
                                         time.substr(0, 19), word_of(reason));
    std::string path = options_.folder + "/" + name;
    // Whether it makes a file or lengthens one is decided where files are made.
    conveyor_.order(path);
    return another ? std::string{} : path;
  }

  util::Status finish(std::uint64_t connections) override {
    conveyor_.finish();
    if (file_.is_open()) end_file(conveyor_.newest_ns(), connections);
    if (auto trouble = conveyor_.trouble()) return *trouble;
    return util::Done{};
  }

  std::optional<util::Result<std::string>> take_outcome() override {
    const std::lock_guard lock{outcomes_mutex_};
    if (outcomes_.empty()) return std::nullopt;
    std::optional<util::Result<std::string>> outcome{std::move(outcomes_.front())};
    outcomes_.pop_front();
    return outcome;
  }

  std::optional<util::Error> trouble() const override { return conveyor_.trouble(); }
  std::uint64_t lost() const override { return conveyor_.lost(); }
  std::uint64_t bytes() const override { return bytes_; }

 private:
  // The writer's thread. A save that fails (a full disk) ends itself, never the recorder: the next may find room.
  util::Status handle(Batch& batch) {
    if (!batch.order.empty()) return begin_file(batch.order, batch.time_ns), util::Status{util::Done{}};
    util::Result<Packed> packed = pack(batch, options_.level);
    if (!packed) return std::move(packed.error());
    put(*packed);
    if (file_.is_open() && batch.time_ns >= file_until_) end_file(batch.time_ns, 0);
    if (batch.type == ChunkType::seed) {
      keyframe_.add_seed(*packed);
      return util::Done{};
    }
    held_ += weight_of(*packed);
    ring_.push_back(std::move(*packed));
    while (ring_.size() > 1 &&
           (held_ > options_.most_bytes || batch.time_ns - ring_[1].header.time_ns > ns_of(options_.window)))
      forget_oldest();
    return util::Done{};
  }

  void forget_oldest() {
    const Packed& oldest = ring_.front();
    if (const auto unpacked = decompress(oldest.payload, oldest.header.unpacked))
      if (const auto records = restore(*unpacked, oldest.header.raw, oldest.header.arrangement()))
        keyframe_.note(*records);
    held_ -= weight_of(oldest);
    ring_.pop_front();
  }

  void begin_file(const std::string& path, std::uint64_t now) {
    file_until_ = now + ns_of(options_.after);
    // Asked again while one is being written: that one goes on for as long as another would.
    if (file_.is_open()) return;
    writing_ = true;
    lost_before_file_ = conveyor_.lost();
    Meta meta = meta_;
    if (!ring_.empty()) meta.begins_ns = ring_.front().header.time_ns;
    util::Result<File> file = File::create(path, false, meta);
    if (!file) return keep(std::move(file.error()));
    file_ = std::move(*file);
    path_ = path;
    for (const Packed& chunk : keyframe_.chunks(options_.level)) put(chunk);
    for (const Packed& chunk : ring_) put(chunk);
  }

  void end_file(std::uint64_t now, std::uint64_t connections) {
    keep(file_.finish(
        {connections, conveyor_.lost() - lost_before_file_, now, false, meta_.settings.identity.wall.steps()}));
    if (!writing_) return;
    bytes_ += file_.bytes();
    tell(fmt::format("{} is whole: {:.1f} MiB", path_, static_cast<double>(file_.bytes()) / (1U << 20)));
    file_ = File{};
    writing_ = false;
  }

  void put(const Packed& chunk) {
    if (file_.is_open()) keep(file_.write_chunk(chunk.header, chunk.payload));
  }

  void keep(util::Status status) {
    if (status) return;
    tell(std::move(status.error()));
    file_ = File{};
    writing_ = false;
  }

  void tell(util::Result<std::string> outcome) {
    const std::lock_guard lock{outcomes_mutex_};
    outcomes_.push_back(std::move(outcome));
  }

  FlightOptions options_;
  Meta meta_;
  Keyframe keyframe_;
  std::deque<Packed> ring_;
  std::uint64_t held_ = 0;  // bytes in ring_
  File file_;               // being written, if open
  std::uint64_t file_until_ = 0;
  std::uint64_t lost_before_file_ = 0;
  std::string path_;                  // of the file being written
  std::uint64_t last_save_ns_ = 0;    // that nobody asked for by hand; of the thread that records
  std::atomic<bool> writing_{false};  // a file, or about to
  std::atomic<std::uint64_t> bytes_{0};
  std::mutex outcomes_mutex_;
  std::deque<util::Result<std::string>> outcomes_;
  Conveyor conveyor_;  // the last: its thread uses all others
};

}  // namespace

util::Result<std::unique_ptr<Recorder>> open_flight_recorder(const FlightOptions& options, const Meta& meta) {
  if (::faccessat(AT_FDCWD, options.folder.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    return util::Error{fmt::format("cannot write files into {}: {}", options.folder, std::strerror(errno)), errno,
                       "-o names the folder for what the flight recorder saves; it must be there"};
  return std::unique_ptr<Recorder>{std::make_unique<FlightRecorder>(options, meta)};
}

}  // namespace tcpwhy::recording
