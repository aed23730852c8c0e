// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/conveyor.h"

#include <algorithm>
#include <utility>

#include "user/abi/header.h"
#include "user/recording/codec.h"

namespace tcpwhy::recording {
namespace {

constexpr std::size_t kBatchBytes = 1U << 20;
constexpr std::size_t kBatchesWaiting = 32;
// A batch that is not full is handed over with the tick that finds it this old.
constexpr std::uint64_t kBatchNs = 500'000'000;

}  // namespace

Conveyor::Conveyor(bool may_wait, Handler handler, std::function<void()> at_start)
    : handler_(std::move(handler)), at_start_(std::move(at_start)), may_wait_(may_wait), writer_([this] {
        if (at_start_) at_start_();
        handle_all();
      }) {}

void Conveyor::record(View record) {
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

void Conveyor::order(std::string what) {
  hand_over();
  Batch batch;
  batch.time_ns = newest_ns_;
  batch.order = std::move(what);
  put(std::move(batch));
}

void Conveyor::finish() {
  if (!writer_.joinable()) return;
  hand_over();
  {
    const std::lock_guard lock{mutex_};
    finishing_ = true;
  }
  wake_.notify_one();
  writer_.join();
}

std::optional<util::Error> Conveyor::trouble() const {
  const std::lock_guard lock{mutex_};
  return trouble_;
}

void Conveyor::hand_over() {
  if (batch_.count == 0) return;
  Batch next;
  next.type = batch_.type;
  put(std::exchange(batch_, std::move(next)));
}

// What finds no room is counted, and the next batch says so.
void Conveyor::put(Batch&& batch) {
  {
    std::unique_lock lock{mutex_};
    if (may_wait_) room_.wait(lock, [this] { return queue_.size() < kBatchesWaiting; });
    if (queue_.size() < kBatchesWaiting || !batch.order.empty()) {
      queue_.push_back(std::move(batch));
    } else {
      batch_.lost_before = batch.lost_before + batch.count;
      lost_ += batch.count;
    }
  }
  wake_.notify_one();
}

void Conveyor::handle_all() {
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
    util::Status status = handler_(batch);
    if (status) continue;
    const std::lock_guard lock{mutex_};
    trouble_ = std::move(status.error());
    lost_ += batch.count;
  }
}

util::Result<Packed> pack(const Batch& batch, int level) {
  Packed packed;
  ChunkHeader& header = packed.header;
  header.type = static_cast<std::uint16_t>(batch.type);
  header.flags = kRequired | kCompressed;
  header.raw = static_cast<std::uint32_t>(batch.records.size());
  header.records = batch.count;
  header.time_ns = batch.time_ns;
  header.lost_before = batch.lost_before;
  const Bytes shaped = transpose(batch.records);
  if (!shaped.empty()) header.flags |= kTransposedByState;
  const View unpacked = shaped.empty() ? View{batch.records} : View{shaped};
  header.unpacked = static_cast<std::uint32_t>(unpacked.size());
  util::Result<Bytes> payload = compress(unpacked, level);
  if (!payload) return std::move(payload.error());
  packed.payload = std::move(*payload);
  header.stored = static_cast<std::uint32_t>(packed.payload.size());
  return packed;
}

}  // namespace tcpwhy::recording
