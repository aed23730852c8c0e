// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/replay.h"

#include <algorithm>
#include <iostream>

#include "user/abi/decode.h"
#include "user/abi/header.h"

namespace tcpwhy::cli {
namespace {

// Before --since, so much is read for what it explains.
constexpr auto kBefore = std::chrono::minutes{2};

}  // namespace

// Stream --------------------------------------------------------------------------------------------------------------

void Stream::skip_until(util::BootTime time) {
  if (time <= util::BootTime{}) return;
  for (const auto& piece : run_.pieces) piece->skip_until(static_cast<std::uint64_t>(time.time_since_epoch().count()));
}

void Stream::leave_out_ordinary() {
  for (const auto& piece : run_.pieces) piece->leave_out_ordinary();
}

Stream::Item Stream::lose(std::uint32_t count, std::uint64_t time_ns) {
  lost_ += count;
  loss_ = abi::recorder_loss(count, time_ns);
  return {loss_, time_ns};
}

// The next block to read, over the pieces' ends; who joins pieces leaves out the SEED of all but the first.
bool Stream::next_block() {
  while (piece_ < run_.pieces.size()) {
    block_ = reader().next();
    if (!block_) {
      bytes_before_ += reader().size();
      piece_ += 1;
      continue;
    }
    const bool joined = piece_ > 0 && !run_.gap_before(piece_);
    if (block_->type == recording::ChunkType::seed && joined) continue;
    rest_ = block_->records;
    offset_ = ordinary_ = given_ = 0;
    return true;
  }
  return false;
}

std::optional<Stream::Item> Stream::within_block() {
  if (!block_) return std::nullopt;
  if (ordinary_ < block_->ordinary.size() && block_->ordinary[ordinary_].before == offset_) {
    given_ += 1;
    return Item{{}, block_->ordinary[ordinary_++].time_ns};
  }
  if (rest_.empty()) return std::nullopt;
  const auto header = abi::peek_header(rest_);
  if (!header) {
    torn_ += 1;
    rest_ = {};
    ordinary_ = block_->ordinary.size();
    return lose(std::max(block_->count, given_ + 1) - given_, block_->time_ns);
  }
  const recording::View record = rest_.first(header->size);
  rest_ = rest_.subspan(header->size);
  offset_ += header->size;
  given_ += 1;
  return Item{record, header->time_ns};
}

std::optional<Stream::Item> Stream::next() {
  while (true) {
    if (const auto item = within_block()) return item;
    const std::size_t before = piece_;
    const bool first = !block_;
    if (!next_block()) return std::nullopt;
    // Pieces are missing between two that are there.
    std::uint32_t missing = 0;
    for (std::size_t piece = first ? 1 : before + 1; piece <= piece_; ++piece)
      missing += run_.gap_before(piece) ? 1 : 0;
    missing += block_->lost_before;
    if (missing > 0) return lose(missing, block_->lost_before > 0 ? block_->time_ns : reader().meta().begins_ns);
  }
}

// Replay --------------------------------------------------------------------------------------------------------------

Replay::Replay(Recordings& recordings, const std::vector<core::Translator>& translators, core::Pipeline& pipeline,
               Span span)
    : pipeline_(pipeline), translators_(translators), span_(span), progress_(recordings.bytes()) {
  for (Run& run : recordings.runs) streams_.emplace_back(run);
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    const util::Duration shift = translators_.empty() ? util::Duration{} : translators_[i].shift();
    if (span_.since > util::BootTime{kBefore}) streams_[i].skip_until(span_.since - kBefore - shift);
  }
}

void Replay::run() {
  if (streams_.size() == 1)
    run_one();
  else
    run_merged();
  if (!stopped_) pipeline_.finish();
}

bool Replay::goes_on() {
  std::uint64_t at = 0;
  for (const Stream& stream : streams_) at += stream.at();
  progress_.at(at);
  return std::cout.good() && !(enough_ && enough_());
}

void Replay::run_one() {
  Stream& stream = streams_.front();
  if (!pipeline_.shows_events()) stream.leave_out_ordinary();
  std::uint32_t n = 0;
  while (const auto item = stream.next()) {
    if (n++ % 4096 == 0 && !goes_on()) return;
    const util::BootTime time = util::boot_time(item->time_ns);
    stopped_ = span_.until != util::BootTime{} && time > span_.until;
    if (stopped_) return;
    if (item->record.empty())
      pipeline_.feed_ordinary(time);
    else
      pipeline_.feed(item->record);
  }
}

// The host's next event that can be read; what cannot is the pipeline's to count.
void Replay::advance(std::size_t host) {
  while (const auto item = streams_[host].next()) {
    util::Result<abi::Event> event = abi::decode(item->record);
    if (!event) {
      pipeline_.feed(item->record);
      continue;
    }
    translators_[host].translate(*event);
    heads_[host].event = std::move(*event);
    return;
  }
  heads_[host].event.reset();
  pipeline_.end_of_host(static_cast<std::uint32_t>(host));
}

void Replay::run_merged() {
  heads_.resize(streams_.size());
  for (std::size_t host = 0; host < streams_.size(); ++host) advance(host);
  const auto earlier = [](const Head& a, const Head& b) {
    if (!a.event || !b.event) return a.event.has_value();
    return a.event->time < b.event->time;
  };
  for (std::uint32_t n = 0;; ++n) {
    if (n % 4096 == 0 && !goes_on()) return;
    const auto next = std::min_element(heads_.begin(), heads_.end(), earlier);
    if (!next->event) return;
    stopped_ = span_.until != util::BootTime{} && next->event->time > span_.until;
    if (stopped_) return;
    handshakes_.pass(*next->event);
    pipeline_.feed(*next->event);
    advance(static_cast<std::size_t>(next - heads_.begin()));
  }
}

std::uint64_t Replay::lost() const {
  std::uint64_t all = 0;
  for (const Stream& stream : streams_) all += stream.lost();
  return all;
}

std::uint64_t Replay::torn() const {
  std::uint64_t all = 0;
  for (const Stream& stream : streams_) all += stream.torn();
  return all;
}

}  // namespace tcpwhy::cli
