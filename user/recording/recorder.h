// SPDX-License-Identifier: GPL-2.0-only
// Writes a recording. Records come in on one thread and are never held up: a thread of its own reshapes, compresses and
// writes them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "user/recording/format.h"
#include "user/recording/meta.h"
#include "user/util/result.h"

namespace tcpwhy::recording {

struct RecorderOptions {
  std::string path;
  bool overwrite = false;
  // A file that has grown to this is closed, and the next one begun: PATH, PATH.2, PATH.3 ... 0: never.
  std::uint64_t piece_bytes = 0;
  // With so many pieces the oldest is removed; each can be read alone. 0: no limit.
  std::uint32_t most_pieces = 0;
  int level = 1;  // of zstd
  // Where whoever gives the records has time: record() waits for room rather than lose any.
  bool may_wait = false;
  std::function<void()> at_writer_start = {};  // runs on the writer's thread, before anything else
};

class Recorder {
 public:
  // Makes the file (mode 0600) and writes META. An error says why it cannot, and what to do.
  static util::Result<std::unique_ptr<Recorder>> open(const RecorderOptions& options, const Meta& meta);
  virtual ~Recorder() = default;  // finishes, where nobody did

  // One record. Never waits; what finds no room is counted.
  virtual void record(View record) = 0;
  // Writes what is left, INDEX and END, and closes. `connections`: that the hooks saw begin.
  virtual util::Status finish(std::uint64_t connections) = 0;

  // Of a flight recorder: writes a file (flight.h). Returns its path, empty where no new one is made.
  virtual std::string save(const std::string& /*reason*/, bool /*by_hand*/) { return {}; }
  // What became of such a file, once each: empty where nothing is new. "FILE is whole: 1.2 MiB", or an error.
  virtual std::optional<util::Result<std::string>> take_outcome() { return std::nullopt; }

  // Why nothing is written any more (a full disk), once that is so; what was written before stays readable.
  [[nodiscard]] virtual std::optional<util::Error> trouble() const = 0;
  [[nodiscard]] virtual std::uint64_t lost() const = 0;   // records
  [[nodiscard]] virtual std::uint64_t bytes() const = 0;  // written, over all pieces
};

}  // namespace tcpwhy::recording
