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

#include <arpa/inet.h>
#include <getopt.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

namespace {

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

[[noreturn]] void fail(const char* what, int error = errno) {
  // No strerror(): two threads may fail at once.
  std::fprintf(stderr, "churn: %s: %s\n", what, std::generic_category().message(error).c_str());
  std::exit(1);
}

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

sockaddr_in address_of(std::uint32_t host, in_port_t port_be) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(host);
  address.sin_port = port_be;
  return address;
}

void enter_own_network_namespace() {
  if (::unshare(CLONE_NEWNET) != 0) fail("a network namespace of its own (run as root, or with --here)");
  // A new namespace's loopback is down; bringing it up gives it 127.0.0.1/8, so that all of 127.0.0.0/8 is local.
  const Socket any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (any.fd() < 0) fail("socket");
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", sizeof "lo");
  if (::ioctl(any.fd(), SIOCGIFFLAGS, &request) != 0) fail("reading the flags of lo");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(any.fd(), SIOCSIFFLAGS, &request) != 0) fail("bringing lo up");
}

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (const int error = ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set); error != 0)
    fail("pinning a thread to its CPU", error);
}

Socket listen_on_any() {
  Socket listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (listener.fd() < 0) fail("socket");
  const sockaddr_in any = address_of(INADDR_ANY, 0);
  if (::bind(listener.fd(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) fail("bind");
  if (::listen(listener.fd(), 128) != 0) fail("listen");
  return listener;
}

in_port_t port_of(const Socket& listener) {
  sockaddr_in bound{};
  socklen_t length = sizeof bound;
  if (::getsockname(listener.fd(), reinterpret_cast<sockaddr*>(&bound), &length) != 0) fail("getsockname");
  return bound.sin_port;
}

void serve(const Socket& listener, const Options& options) {
  pin_to(options.server_cpu);
  for (std::uint32_t i = 0; i < options.connections; ++i) {
    const Socket connection(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection.fd() < 0) fail("accept");
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
    const Socket connection(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connection.fd() < 0) fail("socket");
    const sockaddr_in server = address_of(INADDR_LOOPBACK + i / options.rotate, port_be);
    if (::connect(connection.fd(), reinterpret_cast<const sockaddr*>(&server), sizeof server) != 0) fail("connect");
    char byte = 'x';
    if (::write(connection.fd(), &byte, 1) != 1) fail("the client's write");
    if (::read(connection.fd(), &byte, 1) != 1) fail("the client's read");
  }
  return std::chrono::steady_clock::now() - start;
}

[[noreturn]] void wrong_usage(const char* what) {
  std::fprintf(stderr, "churn: %s (see --help)\n", what);
  std::exit(2);
}

std::uint32_t number(const char* text, std::uint32_t low, std::uint32_t high) {
  char* end = nullptr;
  errno = 0;
  const unsigned long value = std::strtoul(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < low || value > high)
    wrong_usage("a number is wrong or out of range");
  return static_cast<std::uint32_t>(value);
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
  if (optind != argc) wrong_usage("it takes options only");
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.own_namespace) enter_own_network_namespace();  // before the threads: it moves only the calling one

  const Socket listener = listen_on_any();
  std::thread server(serve, std::cref(listener), std::cref(options));
  const Seconds took = ask(port_of(listener), options);
  server.join();

  std::printf("{\"connections\":%u,\"seconds\":%.6f,\"connections_per_s\":%.1f}\n", options.connections, took.count(),
              options.connections / took.count());
  return 0;
}
