// SPDX-License-Identifier: GPL-2.0-only
// Recordings into a pipeline: one run record by record, several hosts' runs merged by time.
#pragma once

#include <functional>

#include "user/cli/progress.h"
#include "user/cli/recordings.h"
#include "user/core/handshakes.h"
#include "user/core/pipeline.h"

namespace tcpwhy::cli {

// Zero: no bound.
struct Span {
  util::BootTime since{};
  util::BootTime until{};
};

// A run's records one after another, its losses among them.
class Stream {
 public:
  explicit Stream(Run& run) : run_(run) {}

  // EVENTS that end before this time of the run's own clock are left out. Before the first next().
  void skip_until(util::BootTime time);
  // Of transitions only the time is given. Before the first next().
  void leave_out_ordinary();
  // One record; or, where those are left out, the time of a transition.
  struct Item {
    recording::View record;  // empty: a transition
    std::uint64_t time_ns = 0;
  };
  // Valid until the next call; absent at the end.
  std::optional<Item> next();
  [[nodiscard]] std::uint64_t at() const { return bytes_before_ + (piece_ < run_.pieces.size() ? reader().at() : 0); }
  [[nodiscard]] std::uint64_t lost() const { return lost_; }
  [[nodiscard]] std::uint64_t torn() const { return torn_; }

 private:
  [[nodiscard]] recording::Reader& reader() const { return *run_.pieces[piece_]; }
  bool next_block();
  std::optional<Item> within_block();
  Item lose(std::uint32_t count, std::uint64_t time_ns);

  Run& run_;
  std::size_t piece_ = 0;
  std::uint64_t bytes_before_ = 0;
  std::optional<recording::Block> block_;
  recording::View rest_;      // of the block
  std::size_t offset_ = 0;    // of the rest
  std::size_t ordinary_ = 0;  // given of its transitions
  std::uint32_t given_ = 0;
  recording::Bytes loss_;
  std::uint64_t lost_ = 0;
  std::uint64_t torn_ = 0;  // blocks that do not consist of records
};

class Replay {
 public:
  // translators: of several hosts' runs, one each; none of a single run.
  Replay(Recordings& recordings, const std::vector<core::Translator>& translators, core::Pipeline& pipeline, Span span);

  // The replay ends where this says so, asked now and then. Before run().
  void end_when(std::function<bool()> enough) { enough_ = std::move(enough); }
  void run();
  [[nodiscard]] std::uint64_t lost() const;
  [[nodiscard]] std::uint64_t torn() const;
  // --until came before the end: nothing ended then, the run only is not looked at any further.
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  // The next event of one host.
  struct Head {
    std::optional<abi::Event> event;
  };
  void run_one();
  void run_merged();
  void advance(std::size_t host);
  [[nodiscard]] bool goes_on();

  core::Pipeline& pipeline_;
  const std::vector<core::Translator>& translators_;
  Span span_;
  std::function<bool()> enough_;
  std::vector<Stream> streams_;
  std::vector<Head> heads_;
  core::Handshakes handshakes_;
  Progress progress_;
  bool stopped_ = false;
};

}  // namespace tcpwhy::cli
