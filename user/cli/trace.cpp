// SPDX-License-Identifier: GPL-2.0-only
// tcpwhy trace and record: the live source into the pipeline and its sink, and into a recording, until the time is over or a signal comes.
#include <iostream>

#include "user/cli/live.h"
#include "user/cli/metrics.h"
#include "user/cli/output.h"
#include "user/cli/privileges.h"
#include "user/cli/recorded.h"
#include "user/config/config.h"

namespace tcpwhy::cli {

int run_trace(const TraceOptions& options) {
  if (const ThresholdOptions& said = options.thresholds; said.show) {
    std::cout << config::show(said.file, said.flags, said.file_name);
    return kRan;
  }
  catch_save_signal(options.recording.flight.has_value());
  forbid_new_privileges();  // before any thread begins
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
