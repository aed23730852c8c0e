// SPDX-License-Identifier: GPL-2.0-only
// The signals that concern a screen. Handlers only note them, but for those of a crash.
#pragma once

#include <string>

namespace tcpwhy::screen {

// Handlers from the constructor to the destructor.
class Signals {
 public:
  // leave: what a crash writes to the terminal (file descriptor 1) before the process dies, beside putting the modes of
  // standard input back.
  explicit Signals(const std::string& leave);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // Each once.
  static bool take_resized();
  static bool take_stop();
  static bool take_continued();
  // Stops the process, as the signal would have done; returns once it goes on.
  static void stop_here();
};

}  // namespace tcpwhy::screen
