// SPDX-License-Identifier: GPL-2.0-only
// The terminal: frames out, keys in. The only place that sees ncurses.
#pragma once

#include <memory>
#include <optional>

#include "user/top/layout.h"
#include "user/util/result.h"

namespace tcpwhy::screen {

// Whether standard input and output are a terminal that can be drawn on. Changes nothing.
util::Status check_terminal();

// Full screen while it lives; whatever way it ends, the terminal is as it was. One at a time.
//
// Sets handlers for SIGWINCH, SIGTSTP, SIGCONT, and for the signals of a crash; SIGINT, SIGTERM and SIGHUP are the caller's.
class Screen {
 public:
  static util::Result<std::unique_ptr<Screen>> open();
  virtual ~Screen() = default;

  virtual void show(const top::Frame& frame) = 0;
  // Waits for so long at most. Absent: no key; a change of size is none, but ends the wait.
  virtual std::optional<top::Key> key(util::Duration wait) = 0;
  // Takes care of what signals asked for: another size, a stop (returns once continued). True where all is to be drawn anew.
  virtual bool settle() = 0;
  [[nodiscard]] virtual top::Size size() const = 0;
  // The terminal is gone, or cannot be written to.
  [[nodiscard]] virtual bool lost() const = 0;
};

}  // namespace tcpwhy::screen
