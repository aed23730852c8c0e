// SPDX-License-Identifier: GPL-2.0-only
// A live run, the same for every command that watches this host: the source into a pipeline until the time is over, a
// signal comes, or the command has enough.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "user/cli/options.h"
#include "user/core/pipeline.h"
#include "user/source/live.h"

namespace tcpwhy::cli {

// What the command does with it. All may be empty.
struct LiveHooks {
  core::Outlets outlets;
  // Every hook is live, and what was there before is known: of a host with very many sockets, a while after the first event.
  // An error ends the run.
  std::function<util::Status(core::Pipeline&)> attached;
  std::function<void(std::span<const std::byte>)> record;  // each record, before the pipeline has it
  std::function<void(const core::Pipeline&)> looked;       // from then on, between records
  std::function<bool()> goes_on;                           // asked between records: false ends the run
};

// What a run came to.
struct LiveEnd {
  core::Summary summary;
  core::Losses losses;
  std::vector<std::string> unmatched;  // the filter's values that let nothing through: "--port 8081"
  bool interrupted = false;            // by a signal
  util::Status status = util::Done{};  // what failed on the way; what was seen until then is told
};

// SIGINT and SIGTERM (before a screen SIGHUP, too) ask for the end; a closed pipe does so through the stream's state.
void catch_signals(bool for_screen);
[[nodiscard]] bool stop_asked();

class Live {
 public:
  // Loads the programs; says once what this kernel lacks. From here on signals end the run (catch_signals).
  // One at a time.
  // For a screen: SIGHUP ends it, too, and what processes hold can be counted.
  static util::Result<Live> open(const TraceOptions& options, bool for_screen = false);

  [[nodiscard]] const core::Settings& settings() const { return settings_; }
  [[nodiscard]] const source::LiveSource& source() const { return *source_; }
  [[nodiscard]] source::LiveSource& source() { return *source_; }

  // Attaches, and follows until the end, or for --for, which counts from the word "attached". An Error: it never began.
  util::Result<LiveEnd> watch(const LiveHooks& hooks);

 private:
  Live(const TraceOptions& options, std::unique_ptr<source::LiveSource> source, std::size_t table_bytes);
  util::Result<LiveEnd> follow(core::Pipeline& pipeline, const LiveHooks& hooks,
                               const source::LiveSource::Handler& feed);
  util::Status say_attached(core::Pipeline& pipeline, const LiveHooks& hooks);
  void match_filter(core::Pipeline& pipeline);

  const TraceOptions& options_;  // the caller's
  std::unique_ptr<source::LiveSource> source_;
  core::Settings settings_;
  bool matched_ = false;  // the filter, with every socket that a process held as the run began
};

}  // namespace tcpwhy::cli
