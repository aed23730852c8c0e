// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/live.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <iostream>

#include "user/cli/logging.h"
#include "user/cli/loss_log.h"
#include "user/cli/memory_share.h"
#include "user/cli/privileges.h"
#include "user/detect/catalogue.h"
#include "user/detect/detectors.h"

namespace tcpwhy::cli {
namespace {

constexpr auto kTrimEach = std::chrono::seconds{5};
constexpr std::size_t kWorthTrimming = std::size_t{4} << 20;

// What a storm needed is free now, but glibc keeps it: freed blocks within its heap go back to the kernel only when asked.
void give_back_memory() {
  if (mallinfo2().fordblks >= kWorthTrimming) malloc_trim(0);
}

std::atomic<bool> stop_flag{false};

void ask_to_stop(int) { stop_flag = true; }

// From which age on the kernel side is to tell of idle connections: the least that a finding asks for.
util::Duration idle_from(const TraceOptions& options) {
  const core::Thresholds thresholds = options.thresholds.effective();
  util::Duration least{};
  for (const core::FindingSpec& finding : detect::catalogue()) {
    if (!finding.of_idle_connections || thresholds.off_everywhere(finding.slug)) continue;
    const util::Duration asked = thresholds.least_of(finding);
    least = least == util::Duration{} ? asked : std::min(least, asked);
  }
  return least;
}

core::Settings settings_of(const TraceOptions& options, const source::LiveSource& source, std::size_t table_bytes) {
  core::Settings settings;
  settings.identity = source.identity();
  settings.names = source.names();
  settings.filter = options.filter;
  settings.thresholds = options.thresholds.effective();
  settings.max_connections = options.max_connections;
  settings.table_bytes = table_bytes;
  return settings;
}

bool is_here(std::uint32_t pid) { return std::filesystem::exists(fmt::format("/proc/{}", pid)); }

}  // namespace

void catch_signals(bool for_screen) {
  struct sigaction action {};
  action.sa_handler = ask_to_stop;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  if (for_screen) sigaction(SIGHUP, &action, nullptr);  // it has a terminal to put back
  std::signal(SIGPIPE, SIG_IGN);
}

bool stop_asked() { return stop_flag; }

Live::Live(const TraceOptions& options, std::unique_ptr<source::LiveSource> source, std::size_t table_bytes)
    : options_(options), source_(std::move(source)), settings_(settings_of(options, *source_, table_bytes)) {}

util::Result<Live> Live::open(const TraceOptions& options, bool for_screen) {
  const util::Result<MemoryShare> share = share_memory(options);
  if (!share) return share.error();
  catch_signals(for_screen);
  forbid_new_privileges();
  const bool every_transition = options.events || options.every_transition;
  source::LiveOptions live{options.filter,
                           every_transition,
                           options.buffer_bytes,
                           options.btf_file,
                           options.without,
                           idle_from(options),
                           for_screen || !options.filter.empty()};
  util::Result<std::unique_ptr<source::LiveSource>> source = source::LiveSource::open(live);
  if (!source) return std::move(source.error());
  for (const std::string& line : (*source)->missing()) log::warn(line);
  for (const std::uint32_t pid : options.filter.pids)
    if (!is_here(pid))
      log::warn(fmt::format("no process {} is here: nothing is told before one with this id comes", pid));
  return Live{options, std::move(*source), share->tables};
}

util::Result<LiveEnd> Live::watch(const LiveHooks& hooks) {
  core::Pipeline pipeline{settings_, detect::make_all(settings_.thresholds), hooks.outlets};
  const auto feed = [&](std::span<const std::byte> record) {
    if (hooks.record) hooks.record(record);
    pipeline.feed(record);
  };
  if (util::Status started = source_->start(feed); !started) return std::move(started.error());
  give_up_privileges(*source_);
  util::Result<LiveEnd> end = follow(pipeline, hooks, feed);
  if (!end) return end;
  pipeline.finish();
  end->summary = pipeline.summary();
  end->summary.connections = std::max(end->summary.connections, source_->connections_seen());
  end->losses = pipeline.losses();
  if (matched_) end->unmatched = pipeline.unmatched();
  return end;
}

// A value that lets nothing through now may be mistyped; whoever waits for the service to come knows better.
void Live::match_filter(core::Pipeline& pipeline) {
  if (options_.filter.empty() || !source_->can_count_held()) return;
  matched_ = source_->count_held(pipeline.facts().now(), [&](const core::HeldSocket& held) { pipeline.note(held); });
  if (!matched_) return;
  std::vector<std::string> values = pipeline.unmatched();
  for (const std::uint32_t pid : options_.filter.pids)
    if (!is_here(pid)) std::erase(values, fmt::format("--pid {}", pid));  // that was said
  if (!values.empty()) log::warn(core::unmatched_words(values) + ": nothing is reported for it until there is one");
}

util::Status Live::say_attached(core::Pipeline& pipeline, const LiveHooks& hooks) {
  // Whoever waits for the word "attached" may ask for the metrics at once.
  if (hooks.looked) hooks.looked(pipeline);
  match_filter(pipeline);
  log::info(fmt::format("attached: every hook is live, {} listeners are known", pipeline.facts().listeners().size()));
  return hooks.attached ? hooks.attached(pipeline) : util::Done{};
}

util::Result<LiveEnd> Live::follow(core::Pipeline& pipeline, const LiveHooks& hooks,
                                   const source::LiveSource::Handler& feed) {
  using Clock = std::chrono::steady_clock;
  const std::optional<util::Duration> run_for = options_.run_for;
  std::optional<Clock::time_point> started;  // when it was attached; events come before, too
  Clock::time_point trimmed = Clock::now();
  LossLog loss_log{log::warn};
  LiveEnd end;
  while (!stop_asked() && std::cout.good() && (!run_for || !started || Clock::now() - *started < *run_for)) {
    if (!started && source_->seeded()) {
      if (util::Status begun = say_attached(pipeline, hooks); !begun) return std::move(begun.error());
      started = Clock::now();
    }
    if (end.status = source_->poll(feed); !end.status) return end;
    loss_log.look(pipeline.losses(), Clock::now());
    if (started && hooks.looked) hooks.looked(pipeline);
    if (started && hooks.goes_on && !hooks.goes_on()) break;
    if (Clock::now() - trimmed >= kTrimEach) {
      trimmed = Clock::now();
      give_back_memory();
    }
    if (const core::Wants wants = pipeline.take_wants(); !wants.empty()) source_->want(wants);
  }
  end.interrupted = stop_asked();
  // Who came while it ran, and did nothing since that an event would tell.
  if (matched_ && !pipeline.unmatched().empty())
    (void)source_->count_held(pipeline.facts().now(), [&](const core::HeldSocket& held) { pipeline.note(held); });
  end.status = source_->stop(feed);
  if (options_.quiet) loss_log.finish(pipeline.losses(), Clock::now());
  return end;
}

}  // namespace tcpwhy::cli
