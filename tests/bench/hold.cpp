// SPDX-License-Identifier: GPL-2.0-only
//
// hold: a host with very many connections that do nothing, such as pools and WebSockets are. What a sweep over all
// sockets costs, and what a tracer keeps for each, is measured beside it.
//
// Each process has a listener and both ends of its connections; each has a destination address of its own in 127.0.0.0/8, so
// that the ephemeral ports (about 28,000 for each destination) suffice. Over each connection a byte went both ways.

#include <getopt.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "load.h"

namespace {

using load::fail;
using load::number;
using load::Socket;

struct Options {
  std::uint32_t processes = 12;
  std::uint32_t pairs = 9'000;
  bool own_namespace = true;
};

constexpr std::string_view kHelp =
    R"(usage: hold [--processes N] [--pairs N] [--here]

Opens connections over loopback, both ends in the same process, and holds them, idle, until standard input ends.

  --processes N   how many (default 12)
  --pairs N       connections of each process, two sockets each (default 9000; RLIMIT_NOFILE must allow them)
  --here          in this network namespace, not in one of its own (needs no root)
  --help          this text

Prints "ready N sockets" when all are there; the listeners are not counted.
Exit codes: 0 ran, 1 failed while running, 2 wrong usage.
)";

struct Pipe {
  Pipe() {
    int fds[2];
    if (::pipe(fds) != 0) fail("pipe");
    read_end = fds[0];
    write_end = fds[1];
  }
  int read_end;
  int write_end;
};

void allow_descriptors(std::uint32_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("RLIMIT_NOFILE");
  if (limit.rlim_max < wanted) load::wrong_usage("RLIMIT_NOFILE does not allow so many --pairs: take more --processes");
  limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, wanted);
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("RLIMIT_NOFILE");
}

std::vector<Socket> open_pairs(const Socket& listener, std::uint32_t host, std::uint32_t pairs) {
  const in_port_t port = load::port_of(listener);
  std::vector<Socket> ends;
  ends.reserve(std::size_t{pairs} * 2);
  for (std::uint32_t i = 0; i < pairs; ++i) {
    const Socket& client = ends.emplace_back(load::connect_to(host, port));
    const Socket& server = ends.emplace_back(load::accept_from(listener));
    load::exchange_a_byte(client, server);
    load::exchange_a_byte(server, client);
  }
  return ends;
}

[[noreturn]] void hold(std::uint32_t host, std::uint32_t pairs, const Pipe& ready, const Pipe& end) {
  ::close(end.write_end);  // else it would wait for itself
  const Socket listener = load::listen_on_any();
  const std::vector<Socket> ends = open_pairs(listener, host, pairs);
  if (::write(ready.write_end, "r", 1) != 1) fail("saying that all are there");
  load::wait_for_end_of(end.read_end);
  std::_Exit(0);
}

// Returns once all of them hold their connections.
void start_processes(const Options& options, const Pipe& end) {
  std::vector<int> ready_ends;
  for (std::uint32_t i = 0; i < options.processes; ++i) {
    const Pipe ready;
    if (load::fork_child() == 0) hold(INADDR_LOOPBACK + i, options.pairs, ready, end);
    ::close(ready.write_end);
    ready_ends.push_back(ready.read_end);
  }
  char byte = 0;
  for (const int fd : ready_ends)
    if (::read(fd, &byte, 1) != 1) fail("one of the processes ended", 0);
}

Options parse(int argc, char** argv) {
  enum { kProcesses = 1, kPairs, kHere, kShowHelp };
  static constexpr option kOptions[] = {
      {"processes", required_argument, nullptr, kProcesses},
      {"pairs", required_argument, nullptr, kPairs},
      {"here", no_argument, nullptr, kHere},
      {"help", no_argument, nullptr, kShowHelp},
      {nullptr, 0, nullptr, 0},
  };
  Options options;
  for (int chosen = 0; (chosen = ::getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    switch (chosen) {
      case kProcesses:
        options.processes = number(optarg, 1, 1'000);
        break;
      case kPairs:
        options.pairs = number(optarg, 0, 28'000);
        break;
      case kHere:
        options.own_namespace = false;
        break;
      case kShowHelp:
        std::fwrite(kHelp.data(), 1, kHelp.size(), stdout);
        std::exit(0);
      default:
        std::exit(2);  // getopt_long has said what is wrong
    }
  }
  if (optind != argc) load::wrong_usage("it takes options only");
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  constexpr std::uint32_t kOtherDescriptors = 1'100;  // standard streams, pipes, the listener
  allow_descriptors(options.pairs * 2 + kOtherDescriptors);
  if (options.own_namespace) load::enter_own_network_namespace();

  const Pipe end;  // closed by us, or with us: then all of them end
  start_processes(options, end);
  std::printf("ready %u sockets\n", options.processes * options.pairs * 2);
  std::fflush(stdout);
  load::wait_for_end_of(STDIN_FILENO);
  ::close(end.write_end);
  while (::wait(nullptr) > 0 || errno == EINTR) {
  }
  return 0;
}
