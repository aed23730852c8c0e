// SPDX-License-Identifier: GPL-2.0-only
//
// stuck: very many connections that get stuck at one instant, of one process or of many of one program. Their readers read
// nothing of what their writer, one process, sends at that instant.

#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
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

constexpr int kBytes = 70'000;        // on each connection: stall-unread begins at 64 KiB
constexpr int kRoomForAll = 212'992;  // net.core.rmem_max and wmem_max; doubled by the kernel, so that no window shuts
constexpr int kBacklog = 4'096;       // net.core.somaxconn
constexpr std::uint32_t kOtherDescriptors = 100;
constexpr std::uint32_t kPorts = 20'000;  // connections to one destination address before the next

struct Options {
  std::uint32_t processes = 1;
  std::uint32_t connections = 10'000;  // of each
};

constexpr std::string_view kHelp =
    R"(usage: stuck [--processes N] [--connections N]

Makes connections over loopback, in a network namespace of its own, of whose data nothing is read, until standard input ends.

  --processes N     readers, children of one parent (default 1)
  --connections N   of each reader (default 10000; RLIMIT_NOFILE must allow them, and for the one writer those of all)
  --help            this text

Prints "ready" when all are there and idle, and, when a line has come on standard input and 70,000 bytes wait on each,
{"connections":N,"port":P,"onset_ns":T}: how many, their listener's port, and CLOCK_REALTIME as the last byte was sent.
Exit codes: 0 ran, 1 failed while running, 2 wrong usage.
)";

void allow_descriptors(std::uint32_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("RLIMIT_NOFILE");
  if (limit.rlim_max < wanted) load::wrong_usage("RLIMIT_NOFILE does not allow so many connections");
  limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, wanted);
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("RLIMIT_NOFILE");
}

void set_room(const Socket& socket, int which) {
  if (::setsockopt(socket.fd(), SOL_SOCKET, which, &kRoomForAll, sizeof kRoomForAll) != 0) fail("a buffer's size");
}

// A child that accepts so many of the connections that its parent makes, tells that, and reads nothing.
pid_t start_reader(const Socket& listener, std::uint32_t connections, int ready) {
  const pid_t child = load::fork_child();
  if (child != 0) return child;
  ::prctl(PR_SET_NAME, "stuck-reader");
  std::vector<Socket> ends;
  for (std::uint32_t i = 0; i < connections; ++i) ends.push_back(load::accept_from(listener));
  ::close(listener.fd());
  if (::write(ready, "r", 1) != 1) fail("saying that all are there");
  while (true) ::pause();
}

std::vector<Socket> connect_all(const Socket& listener, std::uint32_t count) {
  std::vector<Socket> ends;
  for (std::uint32_t i = 0; i < count; ++i) {
    ends.push_back(load::connect_to(INADDR_LOOPBACK + i / kPorts, load::port_of(listener)));
    set_room(ends.back(), SO_SNDBUF);
  }
  return ends;
}

void send_all(const Socket& connection) {
  static const std::vector<char> data(kBytes);
  if (::send(connection.fd(), data.data(), data.size(), MSG_NOSIGNAL) != kBytes) fail("the data");
}

std::uint64_t realtime_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

Options parse(int argc, char** argv) {
  enum { kProcesses = 1, kConnections, kShowHelp };
  static constexpr option kOptions[] = {{"processes", required_argument, nullptr, kProcesses},
                                        {"connections", required_argument, nullptr, kConnections},
                                        {"help", no_argument, nullptr, kShowHelp},
                                        {nullptr, 0, nullptr, 0}};
  Options options;
  for (int chosen = 0; (chosen = ::getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    switch (chosen) {
      case kProcesses:
        options.processes = number(optarg, 1, 10'000);
        break;
      case kConnections:
        options.connections = number(optarg, 1, 100'000);
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
  const std::uint32_t all = options.processes * options.connections;
  allow_descriptors(all + kOtherDescriptors);
  load::enter_own_network_namespace();
  const Socket listener = load::listen_on_any();
  if (::listen(listener.fd(), kBacklog) != 0) fail("listen");
  set_room(listener, SO_RCVBUF);
  int ready[2];
  if (::pipe(ready) != 0) fail("pipe");
  // Readers first: none of them inherits a connection of the writer's.
  std::vector<pid_t> readers;
  for (std::uint32_t i = 0; i < options.processes; ++i)
    readers.push_back(start_reader(listener, options.connections, ready[1]));
  const std::vector<Socket> writers = connect_all(listener, all);
  char byte = 0;
  for (std::uint32_t i = 0; i < options.processes; ++i)
    if (::read(ready[0], &byte, 1) != 1) fail("a reader ended", 0);
  std::puts("ready");
  std::fflush(stdout);
  if (::read(STDIN_FILENO, &byte, 1) == 1) {
    for (const Socket& writer : writers) send_all(writer);
    std::printf("{\"connections\":%u,\"port\":%u,\"onset_ns\":%llu}\n", all,
                static_cast<unsigned>(ntohs(load::port_of(listener))), static_cast<unsigned long long>(realtime_ns()));
    std::fflush(stdout);
    load::wait_for_end_of(STDIN_FILENO);
  }
  for (const pid_t child : readers) ::kill(child, SIGKILL);
  for (const pid_t child : readers) ::waitpid(child, nullptr, 0);
  return 0;
}
