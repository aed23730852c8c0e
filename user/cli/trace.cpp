// SPDX-License-Identifier: GPL-2.0-only
// tcpwhy trace: the live source into the pipeline into a sink, until the time is over or a signal comes.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <iostream>

#include "user/cli/options.h"
#include "user/config/config.h"
#include "user/core/event_text.h"
#include "user/core/pipeline.h"
#include "user/detect/catalogue.h"
#include "user/detect/detectors.h"
#include "user/sink/json.h"
#include "user/sink/text.h"
#include "user/source/live.h"

namespace tcpwhy::cli {
namespace {

std::atomic<bool> stop_asked{false};

void ask_to_stop(int) { stop_asked = true; }

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = ask_to_stop;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe ends the run through the stream's state
}

int fail(const util::Error& error) {
  spdlog::error("{}", error.what);
  if (!error.hint.empty()) spdlog::error("{}", error.hint);
  return kFailed;
}

std::unique_ptr<sink::Sink> make_sink(const TraceOptions& options, const core::Settings& settings) {
  using core::Severity;
  if (options.format == Format::json)
    return std::make_unique<sink::JsonSink>(std::cout, settings.identity, options.severity.value_or(Severity::info));
  sink::TextStyle style = sink::style_for(STDOUT_FILENO, options.severity.value_or(Severity::warning));
  style.window = settings.window;
  return std::make_unique<sink::TextSink>(std::cout, settings.identity, style);
}

// From which age on the kernel side tells of idle connections: what half-open-risk asks for.
util::Duration idle_from(const TraceOptions& options) {
  constexpr std::string_view kSlug = "half-open-risk";
  const core::Thresholds thresholds = options.thresholds.effective();
  if (thresholds.off_everywhere(kSlug)) return {};
  const util::Duration otherwise = *detect::find_in_catalogue(kSlug)->threshold;
  util::Duration least = thresholds.of(kSlug, otherwise);
  for (const auto& [port, limits] : thresholds.ports) least = std::min(least, thresholds.of(kSlug, port, otherwise));
  return least;
}

core::Settings settings_of(const TraceOptions& options, const source::LiveSource& source) {
  core::Settings settings;
  settings.identity = source.identity();
  settings.names = source.names();
  settings.filter = options.filter;
  settings.thresholds = options.thresholds.effective();
  settings.max_connections = options.max_connections;
  return settings;
}

core::Outlets outlets_of(const TraceOptions& options, sink::Sink& sink, const core::KernelNames& names) {
  core::Outlets outlets;
  outlets.findings = [&sink](const std::vector<core::Finding>& findings) { sink.findings(findings); };
  outlets.tick = [&sink](util::BootTime now) { sink.tick(now); };
  if (options.events)
    outlets.event = [&sink, &names](const abi::Event& event) {
      const std::string line = core::event_text(event, names);
      if (!line.empty()) sink.event(event.time, std::string{abi::name_of(event)}, line);
    };
  return outlets;
}

// Until --for is over, a signal comes, or nobody reads the output any more.
util::Status follow(source::LiveSource& source, core::Pipeline& pipeline, std::optional<util::Duration> run_for) {
  using Clock = std::chrono::steady_clock;
  const auto feed = [&pipeline](std::span<const std::byte> record) { pipeline.feed(record); };
  const Clock::time_point started = Clock::now();
  while (!stop_asked && std::cout.good() && (!run_for || Clock::now() - started < *run_for)) {
    if (util::Status status = source.poll(feed); !status) return status;
    if (const core::Wants wants = pipeline.take_wants(); !wants.empty()) source.want(wants);
  }
  return source.stop(feed);
}

}  // namespace

int run_trace(const TraceOptions& options) {
  if (const ThresholdOptions& said = options.thresholds; said.show) {
    std::cout << config::show(said.file, said.flags, said.file_name);
    return kRan;
  }
  catch_signals();
  source::LiveOptions live{options.filter, options.events, options.buffer_bytes, options.btf_file, idle_from(options)};
  util::Result<std::unique_ptr<source::LiveSource>> opened = source::LiveSource::open(live);
  if (!opened) return fail(opened.error());
  source::LiveSource& source = **opened;
  for (const std::string& line : source.missing()) spdlog::warn("{}", line);

  core::Settings settings = settings_of(options, source);
  const std::unique_ptr<sink::Sink> sink = make_sink(options, settings);
  std::vector<std::unique_ptr<core::Detector>> detectors = detect::make_all(settings.thresholds);
  core::Pipeline pipeline{std::move(settings), std::move(detectors), outlets_of(options, *sink, source.names())};

  const auto feed = [&pipeline](std::span<const std::byte> record) { pipeline.feed(record); };
  if (util::Status started = source.start(feed); !started) return fail(started.error());
  spdlog::info("attached: every hook is live, {} listeners are known", pipeline.facts().listeners().size());

  const util::Status followed = follow(source, pipeline, options.run_for);
  pipeline.finish();
  core::Summary summary = pipeline.summary();
  summary.connections = std::max(summary.connections, source.connections_seen());
  sink->summary(summary);
  return followed ? static_cast<int>(kRan) : fail(followed.error());
}

}  // namespace tcpwhy::cli
