// SPDX-License-Identifier: GPL-2.0-only
// What a live run keeps of itself: its recorder, and when a flight recorder saves.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "user/cli/options.h"
#include "user/core/settings.h"
#include "user/recording/recorder.h"

namespace tcpwhy::cli {

// SIGUSR1 is the flight recorder's; sent to all by name, it must not kill the others.
void catch_save_signal(bool flight);

// Null where nothing is to be recorded.
util::Result<std::unique_ptr<recording::Recorder>> make_recorder(const TraceOptions& options,
                                                                 const core::Settings& settings);
util::Status finish_recording(recording::Recorder* recorder, std::uint64_t connections, core::Summary& summary);

// When a flight recorder saves, and what becomes of it; without effect on another recorder, or none.
class Saver {
 public:
  explicit Saver(recording::Recorder* recorder) : recorder_(recorder) {}
  // A critical finding is a reason to save.
  void on(const std::vector<core::Finding>& findings);
  // Somebody at the keyboard asks; SIGUSR1 is another way to.
  void ask();
  // To be called between records.
  void save_if_asked();
  void tell_outcomes();
  [[nodiscard]] bool failed() const { return failed_; }  // at least one

 private:
  void save(const std::string& reason, bool by_hand);
  recording::Recorder* recorder_;
  std::string reason_;
  bool failed_ = false;
};

}  // namespace tcpwhy::cli
