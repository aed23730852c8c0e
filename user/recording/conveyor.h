// SPDX-License-Identifier: GPL-2.0-only
// From the thread that has the records to the one that packs and writes them, in batches, through a bounded queue.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "user/recording/format.h"
#include "user/util/result.h"

namespace tcpwhy::recording {

// Records on their way.
struct Batch {
  ChunkType type = ChunkType::seed;
  Bytes records;
  std::uint32_t count = 0;
  std::uint64_t time_ns = 0;
  std::uint32_t lost_before = 0;
  std::string order;  // instead of records: something to be done between batches
};

class Conveyor {
 public:
  // Runs on the writer's thread; after its first error nothing is handled any more.
  using Handler = std::function<util::Status(Batch&)>;

  // `at_start` runs first on that thread.
  Conveyor(bool may_wait, Handler handler, std::function<void()> at_start = {});
  Conveyor(const Conveyor&) = delete;
  Conveyor& operator=(const Conveyor&) = delete;
  ~Conveyor() { finish(); }

  // One record; never waits, unless it may.
  void record(View record);
  // What was recorded before it is handled before it.
  void order(std::string what);
  // Hands over what is left, and returns when all is handled.
  void finish();

  [[nodiscard]] std::optional<util::Error> trouble() const;
  [[nodiscard]] std::uint64_t lost() const { return lost_; }
  [[nodiscard]] std::uint64_t newest_ns() const { return newest_ns_; }  // of the thread that records

 private:
  void hand_over();
  void put(Batch&& batch);
  void handle_all();

  Handler handler_;
  std::function<void()> at_start_;
  bool may_wait_;
  Batch batch_;
  std::uint64_t newest_ns_ = 0;

  mutable std::mutex mutex_;      // over queue_, finishing_, trouble_
  std::condition_variable wake_;  // of the writer's thread
  std::condition_variable room_;  // in the queue
  std::deque<Batch> queue_;
  bool finishing_ = false;
  std::optional<util::Error> trouble_;
  std::atomic<std::uint64_t> lost_{0};
  std::thread writer_;  // the last: it uses all others
};

// A batch as a chunk of a file.
struct Packed {
  ChunkHeader header;
  Bytes payload;
};
util::Result<Packed> pack(const Batch& batch, int level);

}  // namespace tcpwhy::recording
