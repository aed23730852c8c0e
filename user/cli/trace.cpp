// SPDX-License-Identifier: GPL-2.0-only
// tcpwhy trace and record: the live source into the pipeline and its sink, and into a recording, until the time is over or a signal comes.
#include <spdlog/spdlog.h>

#include <atomic>
#include <csignal>
#include <iostream>

#include "user/cli/live.h"
#include "user/cli/metrics.h"
#include "user/cli/output.h"
#include "user/cli/privileges.h"
#include "user/config/config.h"
#include "user/host/identity.h"
#include "user/recording/flight.h"
#include "user/recording/recorder.h"
#include "user/util/version.h"

namespace tcpwhy::cli {
namespace {

std::atomic<bool> save_asked{false};

void ask_to_save(int) { save_asked = true; }

// It is the flight recorder's; sent to all by name, it must not kill the others.
void catch_save_signal(bool flight) {
  struct sigaction action {};
  action.sa_handler = flight ? ask_to_save : SIG_IGN;
  sigaction(SIGUSR1, &action, nullptr);
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

}  // namespace

int run_trace(const TraceOptions& options) {
  if (const ThresholdOptions& said = options.thresholds; said.show) {
    std::cout << config::show(said.file, said.flags, said.file_name);
    return kRan;
  }
  catch_save_signal(options.recording.flight.has_value());
  auto metrics = Metrics::open(options);
  if (!metrics) return fail(metrics.error());
  util::Result<Live> live = Live::open(options);
  if (!live) return fail(live.error());
  auto opened = make_recorder(options, live->settings());
  if (!opened) return fail(opened.error());
  recording::Recorder* const recorder = opened->get();
  const std::unique_ptr<sink::Sink> sink = make_sink(options, live->settings());
  Saver saver{recorder};

  LiveHooks hooks;
  hooks.outlets.findings = [&saver, on_critical = options.recording.save_on_critical](const auto& findings) {
    if (on_critical) saver.on(findings);
  };
  if (!options.quiet) hooks.outlets = outlets_of(options, *sink, live->source().names(), options.filter);
  if (*metrics) {
    (*metrics)->watch(hooks.outlets);
    hooks.looked = [&](const core::Pipeline& pipeline) { (*metrics)->publish(pipeline, live->source(), recorder); };
  }
  if (recorder) hooks.record = [recorder](std::span<const std::byte> record) { recorder->record(record); };
  hooks.goes_on = [&] {
    saver.save_if_asked();
    // To record is all that a quiet run is for.
    return !(options.quiet && recorder && recorder->trouble());
  };
  util::Result<LiveEnd> end = live->watch(hooks);
  if (!end) return fail(end.error());

  const util::Status recorded = finish_recording(recorder, live->source().connections_seen(), end->summary);
  saver.tell_outcomes();
  if (!options.quiet) sink->summary(end->summary);
  const util::Status& followed = end->status;
  int code = saver.failed() ? kFailed : kRan;
  for (const util::Status* status : {&recorded, &followed})
    if (!*status) code = fail(status->error());
  return code;
}

}  // namespace tcpwhy::cli
