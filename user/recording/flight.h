// SPDX-License-Identifier: GPL-2.0-only
// The flight recorder: holds the last minutes in memory, packed, and writes them to a file when asked, with what comes in
// the time after.
#pragma once

#include <memory>
#include <string>

#include "user/recording/recorder.h"

namespace tcpwhy::recording {

struct FlightOptions {
  std::string folder;  // for the files; must be there
  util::Duration window = std::chrono::minutes{10};
  std::uint64_t most_bytes = 256U << 20;  // in memory, packed; where they do not suffice, the window is shorter
  util::Duration after = std::chrono::seconds{30};
  // From one save that nobody asked for by hand to the next.
  util::Duration interval = std::chrono::minutes{10};
  int level = 1;
  bool may_wait = false;
  std::function<void()> at_writer_start = {};  // as RecorderOptions has it
};

// save(): FOLDER/tcpwhy-HOST-TIME-REASON.tcpwhy; where one is being written, that one goes on for longer. Not by hand only
// where the last such save is long enough ago. An error where the folder is none that can be written to.
util::Result<std::unique_ptr<Recorder>> open_flight_recorder(const FlightOptions& options, const Meta& meta);

}  // namespace tcpwhy::recording
