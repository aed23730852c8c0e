// SPDX-License-Identifier: GPL-2.0-only
// tcpwhy trace and record: the live source into the pipeline and its sink, and into a recording, until the time is over or a signal comes.
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <iostream>

#include "user/cli/metrics.h"
#include "user/cli/options.h"
#include "user/cli/output.h"
#include "user/cli/privileges.h"
#include "user/config/config.h"
#include "user/core/pipeline.h"
#include "user/detect/catalogue.h"
#include "user/detect/detectors.h"
#include "user/host/identity.h"
#include "user/recording/flight.h"
#include "user/recording/recorder.h"
#include "user/source/live.h"
#include "user/util/version.h"

namespace tcpwhy::cli {
namespace {

std::atomic<bool> stop_asked{false};
std::atomic<bool> save_asked{false};

void ask_to_stop(int) { stop_asked = true; }
void ask_to_save(int) { save_asked = true; }

void catch_signals(bool flight) {
  struct sigaction action {};
  action.sa_handler = ask_to_stop;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // It is the flight recorder's; sent to all by name, it must not kill the others.
  action.sa_handler = flight ? ask_to_save : SIG_IGN;
  sigaction(SIGUSR1, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe ends the run through the stream's state
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

util::Result<std::unique_ptr<recording::Recorder>> make_recorder(const TraceOptions& options,
                                                                 const core::Settings& settings) {
  const RecordingOptions& said = options.recording;
  if (said.path.empty()) return std::unique_ptr<recording::Recorder>{};
  recording::Meta meta;
  meta.settings = settings;
  meta.tool = util::version();
  meta.kernel = host::read_kernel_release();
  meta.started_ns = static_cast<std::uint64_t>(host::boot_now().time_since_epoch().count());
  meta.begins_ns = meta.started_ns;
  meta.every_transition = options.events || options.every_transition;
  if (!said.flight) {
    recording::RecorderOptions file{said.path, said.force, said.max_size, said.max_files};
    file.at_writer_start = rights_of_writer(said);
    return recording::Recorder::open(file, meta);
  }
  recording::FlightOptions flight;
  flight.folder = said.path;
  flight.window = *said.flight;
  flight.most_bytes = said.max_memory;
  flight.interval = said.save_interval;
  flight.at_writer_start = rights_of_writer(said);
  return recording::open_flight_recorder(flight, meta);
}

// When a flight recorder saves, and what becomes of it; without effect on another recorder, or none.
class Saver {
 public:
  explicit Saver(recording::Recorder* recorder) : recorder_(recorder) {}
  void on(const std::vector<core::Finding>& findings) {
    for (const core::Finding& f : findings)
      if (f.severity == core::Severity::critical && reason_.empty()) reason_ = f.slug;
  }
  // To be called between records.
  void save_if_asked() {
    if (!recorder_) return;
    if (save_asked.exchange(false)) save("asked", true);
    if (!reason_.empty()) save(std::exchange(reason_, {}), false);
    tell_outcomes();
  }
  void tell_outcomes() {
    while (auto outcome = recorder_ ? recorder_->take_outcome() : std::nullopt) {
      if (*outcome) {
        spdlog::info("{}", **outcome);
      } else {
        (void)fail(outcome->error());
        failed_ = true;
      }
    }
  }
  [[nodiscard]] bool failed() const { return failed_; }  // at least one

 private:
  void save(const std::string& reason, bool by_hand) {
    if (const std::string path = recorder_->save(reason, by_hand); !path.empty()) spdlog::info("saving {}", path);
  }
  recording::Recorder* recorder_;
  std::string reason_;
  bool failed_ = false;
};

// What the run sees goes to the recorder, where there is one, and to the pipeline.
class Feed {
 public:
  Feed(core::Pipeline& pipeline, recording::Recorder* recorder) : pipeline_(pipeline), recorder_(recorder) {}
  void operator()(std::span<const std::byte> record) const {
    if (recorder_) recorder_->record(record);
    pipeline_.feed(record);
  }
  // Whether nothing more can be recorded.
  [[nodiscard]] bool recorder_failed() const { return recorder_ && recorder_->trouble(); }

 private:
  core::Pipeline& pipeline_;
  recording::Recorder* recorder_;
};

util::Status finish_recording(recording::Recorder* recorder, std::uint64_t connections, core::Summary& summary) {
  if (!recorder) return util::Done{};
  util::Status status = recorder->finish(connections);
  summary.recorder_lost = recorder->lost();
  if (recorder->lost() > 0)
    spdlog::warn("{} records are missing in the recording: the disk is too slow for them, or full", recorder->lost());
  if (status && recorder->bytes() > 0)
    spdlog::info("recorded: {:.1f} MiB", static_cast<double>(recorder->bytes()) / (1U << 20));
  return status;
}

// Until --for is over, a signal comes, or nobody reads the output any more.
util::Status follow(source::LiveSource& source, core::Pipeline& pipeline, const Feed& feed, Saver& saver,
                    const std::function<void()>& after_each_look, const TraceOptions& options) {
  using Clock = std::chrono::steady_clock;
  const std::optional<util::Duration> run_for = options.run_for;
  const Clock::time_point started = Clock::now();
  while (!stop_asked && std::cout.good() && (!run_for || Clock::now() - started < *run_for)) {
    if (util::Status status = source.poll(feed); !status) return status;
    saver.save_if_asked();
    after_each_look();
    // To record is all that a quiet run is for.
    if (options.quiet && feed.recorder_failed()) break;
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
  catch_signals(options.recording.flight.has_value());
  forbid_new_privileges();
  auto metrics = Metrics::open(options);
  if (!metrics) return fail(metrics.error());
  const bool every_transition = options.events || options.every_transition;
  source::LiveOptions live{options.filter,   every_transition, options.buffer_bytes,
                           options.btf_file, options.without,  idle_from(options)};
  util::Result<std::unique_ptr<source::LiveSource>> opened = source::LiveSource::open(live);
  if (!opened) return fail(opened.error());
  source::LiveSource& source = **opened;
  for (const std::string& line : source.missing()) spdlog::warn("{}", line);

  core::Settings settings = settings_of(options, source);
  auto recorder = make_recorder(options, settings);
  if (!recorder) return fail(recorder.error());
  const std::unique_ptr<sink::Sink> sink = make_sink(options, settings);
  std::vector<std::unique_ptr<core::Detector>> detectors = detect::make_all(settings.thresholds);
  core::Outlets outlets;
  Saver saver{recorder->get()};
  const bool on_critical = options.recording.save_on_critical;
  outlets.findings = [&saver, on_critical](const std::vector<core::Finding>& findings) {
    if (on_critical) saver.on(findings);
  };
  if (!options.quiet) outlets = outlets_of(options, *sink, source.names(), options.filter);
  if (*metrics) (*metrics)->watch(outlets);
  core::Pipeline pipeline{std::move(settings), std::move(detectors), std::move(outlets)};

  const Feed feed{pipeline, recorder->get()};
  if (util::Status started = source.start(feed); !started) return fail(started.error());
  give_up_privileges(source);
  if (*metrics) (*metrics)->begin();
  const auto publish = [&] {
    if (*metrics) (*metrics)->publish(pipeline, source, recorder->get());
  };
  publish();
  spdlog::info("attached: every hook is live, {} listeners are known", pipeline.facts().listeners().size());

  const util::Status followed = follow(source, pipeline, feed, saver, publish, options);
  pipeline.finish();
  core::Summary summary = pipeline.summary();
  summary.connections = std::max(summary.connections, source.connections_seen());
  const util::Status recorded = finish_recording(recorder->get(), source.connections_seen(), summary);
  saver.tell_outcomes();
  if (!options.quiet) sink->summary(summary);
  int code = saver.failed() ? kFailed : kRan;
  for (const util::Status* status : {&recorded, &followed})
    if (!*status) code = fail(status->error());
  return code;
}

}  // namespace tcpwhy::cli
