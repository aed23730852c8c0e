// SPDX-License-Identifier: GPL-2.0-only
//
// onset: connections that get stuck at known instants. How long a tracer takes to say so is measured beside it.
//
// Each stall has processes and a listener of its own, so that each is a finding of its own; they begin one after the other, so
// that they meet all phases of whatever the tracer does at intervals.

#include <getopt.h>
#include <linux/filter.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "load.h"

namespace {

using load::fail;
using load::number;
using load::Socket;

constexpr std::uint32_t kHost = INADDR_LOOPBACK;
constexpr int kWaitingAtOnset = 64 << 10;
constexpr std::uint64_t kNsPerMs = 1'000'000;

struct Stall {
  const char* name;
  void (*make)(std::uint64_t onset_ns);  // at this time of CLOCK_MONOTONIC; never returns
};

struct Options {
  const Stall* stall = nullptr;
  std::uint32_t count = 12;
  std::uint32_t warm_up_ms = 1'500;
  std::uint32_t spacing_ms = 730;
};

constexpr std::string_view kHelp =
    R"(usage: onset --stall NAME [--count N] [--warm-up MS] [--spacing MS]

Makes connections over loopback that work for a while and then get stuck, until standard input ends.

  --stall NAME    unread: the reader stops reading, while the writer writes on until the window is shut
                  unacked: the receiver's socket drops every segment (a socket filter), so that nothing is acknowledged
  --count N       how many (default 12)
  --warm-up MS    how long the first one works before it gets stuck (default 1500)
  --spacing MS    the time from one onset to the next (default 730)
  --help          this text

Prints, for each at its onset, {"stall":NAME,"port":N,"onset_ns":T}: the port of its listener, and CLOCK_REALTIME. The onset
of `unread` is when its process had read for the last time and 64 KiB waited, of `unacked` when the data was sent.
Exit codes: 0 ran, 1 failed while running, 2 wrong usage.
)";

std::uint64_t now_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

void sleep_ms(std::uint64_t ms) {
  const timespec span{static_cast<time_t>(ms / 1'000), static_cast<long>(ms % 1'000 * kNsPerMs)};
  ::nanosleep(&span, nullptr);
}

bool is_over(std::uint64_t onset_ns) { return now_ns(CLOCK_MONOTONIC) >= onset_ns; }

// One write of less than PIPE_BUF: lines of several processes do not mix.
void tell_onset(const char* stall, const Socket& listener, std::uint64_t realtime_ns) {
  char line[128];
  const int length = std::snprintf(line, sizeof line, "{\"stall\":\"%s\",\"port\":%u,\"onset_ns\":%llu}\n", stall,
                                   static_cast<unsigned>(ntohs(load::port_of(listener))),
                                   static_cast<unsigned long long>(realtime_ns));
  if (::write(STDOUT_FILENO, line, static_cast<std::size_t>(length)) != length) fail("saying when");
}

[[noreturn]] void write_forever(in_port_t port_be) {
  const Socket connection = load::connect_to(kHost, port_be);
  std::array<char, 16 << 10> data{};
  while (::write(connection.fd(), data.data(), data.size()) > 0) {
  }
  std::_Exit(0);  // the reader has ended
}

int waiting_bytes(const Socket& connection) {
  int bytes = 0;
  if (::ioctl(connection.fd(), FIONREAD, &bytes) != 0) fail("FIONREAD");
  return bytes;
}

void unread(std::uint64_t onset_ns) {
  const Socket listener = load::listen_on_any();
  const int room = 4 * kWaitingAtOnset;  // half of it is for the kernel's own
  if (::setsockopt(listener.fd(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room) != 0) fail("SO_RCVBUF");
  if (load::fork_child() == 0) write_forever(load::port_of(listener));
  const Socket connection = load::accept_from(listener);
  std::array<char, 64 << 10> data;
  while (!is_over(onset_ns)) {
    if (::read(connection.fd(), data.data(), data.size()) <= 0) fail("the reader's read");
    sleep_ms(50);
  }
  if (::read(connection.fd(), data.data(), 1) != 1) fail("the reader's last read");
  std::uint64_t onset = now_ns(CLOCK_REALTIME);
  for (; waiting_bytes(connection) < kWaitingAtOnset; onset = now_ns(CLOCK_REALTIME)) {
  }
  tell_onset("unread", listener, onset);
  while (true) ::pause();
}

void drop_all_that_comes(const Socket& connection) {
  sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  const sock_fprog program{1, nothing};
  if (::setsockopt(connection.fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
    fail("SO_ATTACH_FILTER");
}

void unacked(std::uint64_t onset_ns) {
  const Socket listener = load::listen_on_any();
  const Socket client = load::connect_to(kHost, load::port_of(listener));
  const Socket server = load::accept_from(listener);
  while (!is_over(onset_ns)) {
    load::exchange_a_byte(client, server);
    load::exchange_a_byte(server, client);
    sleep_ms(50);
  }
  drop_all_that_comes(server);
  const std::uint64_t onset = now_ns(CLOCK_REALTIME);
  if (::write(client.fd(), "request", 7) != 7) fail("the request");
  tell_onset("unacked", listener, onset);
  while (true) ::pause();
}

constexpr Stall kStalls[] = {{"unread", unread}, {"unacked", unacked}};

const Stall* stall_named(std::string_view name) {
  for (const Stall& stall : kStalls)
    if (name == stall.name) return &stall;
  load::wrong_usage("there is no such stall");
}

std::vector<pid_t> start_all(const Options& options) {
  std::vector<pid_t> children;
  const std::uint64_t first_ns = now_ns(CLOCK_MONOTONIC) + options.warm_up_ms * kNsPerMs;
  for (std::uint32_t i = 0; i < options.count; ++i) {
    const pid_t child = load::fork_child();
    if (child == 0) options.stall->make(first_ns + i * options.spacing_ms * kNsPerMs);
    children.push_back(child);
  }
  return children;
}

Options parse(int argc, char** argv) {
  enum { kStall = 1, kCount, kWarmUp, kSpacing, kShowHelp };
  static constexpr option kOptions[] = {
      {"stall", required_argument, nullptr, kStall},    {"count", required_argument, nullptr, kCount},
      {"warm-up", required_argument, nullptr, kWarmUp}, {"spacing", required_argument, nullptr, kSpacing},
      {"help", no_argument, nullptr, kShowHelp},        {nullptr, 0, nullptr, 0},
  };
  Options options;
  for (int chosen = 0; (chosen = ::getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    switch (chosen) {
      case kStall:
        options.stall = stall_named(optarg);
        break;
      case kCount:
        options.count = number(optarg, 1, 1'000);
        break;
      case kWarmUp:
        options.warm_up_ms = number(optarg, 0, 60'000);
        break;
      case kSpacing:
        options.spacing_ms = number(optarg, 0, 60'000);
        break;
      case kShowHelp:
        std::fwrite(kHelp.data(), 1, kHelp.size(), stdout);
        std::exit(0);
      default:
        std::exit(2);  // getopt_long has said what is wrong
    }
  }
  if (optind != argc || options.stall == nullptr) load::wrong_usage("it takes options only, --stall among them");
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const std::vector<pid_t> children = start_all(options);
  load::wait_for_end_of(STDIN_FILENO);
  for (const pid_t child : children) ::kill(child, SIGKILL);
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  return 0;
}
