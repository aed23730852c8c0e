// SPDX-License-Identifier: GPL-2.0-only
//
// churn: a host that does nothing but open connections, the worst case for a tracer of connections.
//
// A client thread on one CPU and a server thread on another: connect over loopback, one byte asked, one byte answered,
// close; then the next. The client closes first, so each connection takes the same ten state changes. Its port
// is then held by TIME_WAIT for a minute, so the destination moves to the next address of 127.0.0.0/8
// before the ephemeral ports (about 28,000 for each destination) run out; and the run has a network namespace of its own, so that
// what earlier runs left behind is not searched through.
//
// Prints one line of JSON on stdout.

#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <thread>

#include "load.h"

namespace {

using load::fail;
using load::number;
using load::Socket;

using Seconds = std::chrono::duration<double>;

struct Options {
  std::uint32_t connections = 40'000;
  std::uint32_t rotate = 20'000;  // connections to one destination address before the next
  int client_cpu = 0;
  int server_cpu = 1;
  bool own_namespace = true;
};

constexpr std::string_view kHelp =
    R"(usage: churn [--connections N] [--rotate N] [--client-cpu N] [--server-cpu N] [--here]

Opens and closes connections over loopback, one at a time: connect, one byte asked, one byte answered, close.

  --connections N   how many (default 40000)
  --rotate N        connections to 127.0.0.1 before 127.0.0.2, and so on (default 20000)
  --client-cpu N    the CPU that the client thread is pinned to (default 0)
  --server-cpu N    the CPU that the server thread is pinned to (default 1)
  --here            in this network namespace, not in one of its own (needs no root)
  --help            this text

Prints {"connections":N,"seconds":S,"connections_per_s":R}.
Exit codes: 0 ran, 1 failed while running, 2 wrong usage.
)";

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (const int error = ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set); error != 0)
    fail("pinning a thread to its CPU", error);
}

void serve(const Socket& listener, const Options& options) {
  pin_to(options.server_cpu);
  for (std::uint32_t i = 0; i < options.connections; ++i) {
    const Socket connection = load::accept_from(listener);
    char byte = 0;
    if (::read(connection.fd(), &byte, 1) != 1) fail("the server's read");
    if (::write(connection.fd(), &byte, 1) != 1) fail("the server's write");
    if (::read(connection.fd(), &byte, 1) != 0) fail("the server's wait for the client's close");
  }
}

Seconds ask(in_port_t port_be, const Options& options) {
  pin_to(options.client_cpu);
  const auto start = std::chrono::steady_clock::now();
  for (std::uint32_t i = 0; i < options.connections; ++i) {
    const Socket connection = load::connect_to(INADDR_LOOPBACK + i / options.rotate, port_be);
    char byte = 'x';
    if (::write(connection.fd(), &byte, 1) != 1) fail("the client's write");
    if (::read(connection.fd(), &byte, 1) != 1) fail("the client's read");
  }
  return std::chrono::steady_clock::now() - start;
}

Options parse(int argc, char** argv) {
  enum { kConnections = 1, kRotate, kClientCpu, kServerCpu, kHere, kShowHelp };
  static constexpr option kOptions[] = {
      {"connections", required_argument, nullptr, kConnections},
      {"rotate", required_argument, nullptr, kRotate},
      {"client-cpu", required_argument, nullptr, kClientCpu},
      {"server-cpu", required_argument, nullptr, kServerCpu},
      {"here", no_argument, nullptr, kHere},
      {"help", no_argument, nullptr, kShowHelp},
      {nullptr, 0, nullptr, 0},
  };
  Options options;
  for (int chosen = 0; (chosen = ::getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    switch (chosen) {
      case kConnections:
        options.connections = number(optarg, 1, 10'000'000);
        break;
      case kRotate:
        options.rotate = number(optarg, 1, 28'000);
        break;
      case kClientCpu:
        options.client_cpu = static_cast<int>(number(optarg, 0, CPU_SETSIZE - 1));
        break;
      case kServerCpu:
        options.server_cpu = static_cast<int>(number(optarg, 0, CPU_SETSIZE - 1));
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
  if (options.own_namespace) load::enter_own_network_namespace();  // before the threads: it moves only the calling one

  const Socket listener = load::listen_on_any();
  std::thread server(serve, std::cref(listener), std::cref(options));
  const Seconds took = ask(load::port_of(listener), options);
  server.join();

  std::printf("{\"connections\":%u,\"seconds\":%.6f,\"connections_per_s\":%.1f}\n", options.connections, took.count(),
              options.connections / took.count());
  return 0;
}
