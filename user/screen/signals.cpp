// SPDX-License-Identifier: GPL-2.0-only
#include "user/screen/signals.h"

#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>

namespace tcpwhy::screen {
namespace {

constexpr std::array kCrashes{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT};

volatile std::sig_atomic_t resized = 0;
volatile std::sig_atomic_t stop = 0;
volatile std::sig_atomic_t continued = 0;

// For a crash: all that its handler touches.
termios modes_before{};
std::array<char, 256> leave_text{};
std::size_t leave_size = 0;

void on_resize(int) { resized = 1; }
void on_stop(int) { stop = 1; }
void on_continue(int) { continued = 1; }

// Only what may be called in a handler; then the process dies of the same signal.
void on_crash(int number) {
  (void)!::write(STDOUT_FILENO, leave_text.data(), leave_size);
  (void)::tcsetattr(STDIN_FILENO, TCSANOW, &modes_before);
  (void)std::signal(number, SIG_DFL);
  (void)std::raise(number);
}

void handle(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  (void)sigaction(number, &action, nullptr);
}

bool take(volatile std::sig_atomic_t& flag) {
  const bool was = flag != 0;
  flag = 0;
  return was;
}

}  // namespace

Signals::Signals(const std::string& leave) {
  (void)::tcgetattr(STDIN_FILENO, &modes_before);
  leave_size = std::min(leave.size(), leave_text.size());
  std::memcpy(leave_text.data(), leave.data(), leave_size);
  handle(SIGWINCH, on_resize);
  handle(SIGTSTP, on_stop);
  handle(SIGCONT, on_continue);
  for (const int number : kCrashes) handle(number, on_crash);
}

Signals::~Signals() {
  for (const int number : {SIGWINCH, SIGTSTP, SIGCONT}) (void)std::signal(number, SIG_DFL);
  for (const int number : kCrashes) (void)std::signal(number, SIG_DFL);
}

bool Signals::take_resized() { return take(resized); }
bool Signals::take_stop() { return take(stop); }
bool Signals::take_continued() { return take(continued); }

void Signals::stop_here() {
  (void)std::signal(SIGTSTP, SIG_DFL);
  (void)std::raise(SIGTSTP);
  handle(SIGTSTP, on_stop);
}

}  // namespace tcpwhy::screen
