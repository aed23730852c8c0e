// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/recorded.h"

#include <fmt/format.h>

#include <atomic>
#include <csignal>
#include <utility>

#include "user/cli/logging.h"
#include "user/cli/memory_share.h"
#include "user/cli/output.h"
#include "user/cli/privileges.h"
#include "user/host/identity.h"
#include "user/recording/flight.h"
#include "user/util/version.h"

namespace tcpwhy::cli {
namespace {

std::atomic<bool> save_flag{false};

void ask_to_save(int) { save_flag = true; }

}  // namespace

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
  const util::Result<MemoryShare> share = share_memory(options);
  if (!share) return share.error();
  flight.most_bytes = share->flight;
  flight.interval = said.save_interval;
  flight.at_writer_start = rights_of_writer(said);
  return recording::open_flight_recorder(flight, meta);
}

util::Status finish_recording(recording::Recorder* recorder, std::uint64_t connections, core::Summary& summary) {
  if (!recorder) return util::Done{};
  util::Status status = recorder->finish(connections);
  summary.recorder_lost = recorder->lost();
  if (recorder->lost() > 0)
    log::warn(fmt::format("{} records are missing in the recording: the disk is too slow for them, or full",
                          recorder->lost()));
  if (status && recorder->bytes() > 0)
    log::info(fmt::format("recorded: {:.1f} MiB", static_cast<double>(recorder->bytes()) / (1U << 20)));
  return status;
}

void Saver::on(const std::vector<core::Finding>& findings) {
  for (const core::Finding& f : findings)
    if (f.severity == core::Severity::critical && reason_.empty()) reason_ = f.slug;
}

void Saver::ask() { save_flag = true; }

void Saver::save_if_asked() {
  if (!recorder_) return;
  if (save_flag.exchange(false)) save("asked", true);
  if (!reason_.empty()) save(std::exchange(reason_, {}), false);
  tell_outcomes();
}

void Saver::tell_outcomes() {
  while (auto outcome = recorder_ ? recorder_->take_outcome() : std::nullopt) {
    if (*outcome) {
      log::info(**outcome);
    } else {
      (void)fail(outcome->error());
      failed_ = true;
    }
  }
}

void Saver::save(const std::string& reason, bool by_hand) {
  if (const std::string path = recorder_->save(reason, by_hand); !path.empty())
    log::info(fmt::format("saving {}", path));
}

}  // namespace tcpwhy::cli
