// SPDX-License-Identifier: GPL-2.0-only
//
// storm: what an unprivileged process can make the kernel do most often, and a tracer with it. As nobody, on loopback, in a
// network namespace of its own.
//
// An incident may happen in a third of the time, between other processes: it must be found all the same.

#include <getopt.h>
#include <grp.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "load.h"

namespace {

using load::fail;
using load::number;
using load::Socket;

constexpr uid_t kNobody = 65534;
constexpr std::uint32_t kHost = INADDR_LOOPBACK;
constexpr std::uint32_t kClosedPorts =
    1'000;  // from 1 on: below the ephemeral ones, and nothing listens in the namespace
constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kNsPerS = 1'000'000'000;

constexpr std::string_view kHelp =
    R"(usage: storm NAME [--rate N] [--for MS] [--incident NAME]

Makes as many of one thing as the rate says, as user nobody (it is to be started by root), in a network namespace of its own.

  resets             a connection to its own listener, a byte, and the server closes without having read it (10,000 a second)
  refused            a connect to a closed port, of 1,000 in turn (30,000 a second)
  syns               a SYN to a closed port from a raw socket, answered by an RST (100,000 a second)

  --rate N           a second; what is reached is printed (default: as above)
  --for MS           how long (default 10000)
  --incident NAME    made after a third of the time, between two other processes of nobody:
                     reader    a reader is stopped by a signal while its peer writes on
                     listener  a server is killed while its client goes on to connect
  --help             this text

Prints {"storm":NAME,"wanted_per_s":N,"made":N,"seconds":S,"per_s":R} at the end; at the incident
{"incident":NAME,"pid":N,"port":N,"onset_ns":T}: the process at fault, its listener's port, and CLOCK_REALTIME.
Exit codes: 0 ran, 1 failed while running, 2 wrong usage.
)";

std::uint64_t now_ns(clockid_t clock = CLOCK_MONOTONIC) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kNsPerS + static_cast<std::uint64_t>(now.tv_nsec);
}

void sleep_us(std::uint64_t us) {
  const timespec span{static_cast<time_t>(us / 1'000'000), static_cast<long>(us % 1'000'000 * 1'000)};
  ::nanosleep(&span, nullptr);
}

void become_nobody() {
  if (::setgroups(0, nullptr) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) fail("becoming nobody");
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a change of the uid takes it away
}

// -------------------------------------------------------------------------------------------------------------- the storms

class Storm {
 public:
  Storm() = default;
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;
  virtual ~Storm() = default;
  virtual std::uint32_t some(std::uint32_t wanted) = 0;  // makes up to so many, at least one; how many
};

class Resets : public Storm {
 public:
  std::uint32_t some(std::uint32_t) override {
    const Socket client = load::connect_to(kHost, load::port_of(listener_));
    const Socket server = load::accept_from(listener_);
    if (::write(client.fd(), "x", 1) != 1) fail("the byte");
    return 1;  // the server's end is closed first, for it was made last
  }

 private:
  Socket listener_ = load::listen_on_any();
};

class Refused : public Storm {
 public:
  std::uint32_t some(std::uint32_t) override {
    const Socket client{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(kHost);
    to.sin_port = htons(static_cast<in_port_t>(1 + made_++ % kClosedPorts));
    if (::connect(client.fd(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 || errno != ECONNREFUSED)
      fail("a connect that is refused");
    return 1;
  }

 private:
  std::uint32_t made_ = 0;
};

// RFC 1071.
std::uint16_t checksum(const void* data, std::size_t bytes, std::uint32_t sum) {
  for (std::size_t i = 0; i + 1 < bytes; i += 2) {
    std::uint16_t word = 0;
    std::memcpy(&word, static_cast<const char*>(data) + i, sizeof word);
    sum += word;
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

class Syns : public Storm {
 public:
  Syns() : raw_(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP)) {
    if (raw_.fd() < 0) fail("a raw socket (start it as root)");
    // What comes to us is not read: none of it is to wait in our queue.
    const int none = 1;
    (void)::setsockopt(raw_.fd(), SOL_SOCKET, SO_RCVBUF, &none, sizeof none);
    to_.sin_family = AF_INET;
    to_.sin_addr.s_addr = htonl(kHost);
    for (std::size_t i = 0; i < kBatch; ++i) {
      parts_[i] = {&segments_[i], sizeof segments_[i]};
      messages_[i].msg_hdr.msg_name = &to_;
      messages_[i].msg_hdr.msg_namelen = sizeof to_;
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  std::uint32_t some(std::uint32_t wanted) override {
    const std::uint32_t count = std::min<std::uint32_t>(std::max(wanted, 1U), kBatch);
    for (std::uint32_t i = 0; i < count; ++i) fill(segments_[i]);
    const int sent = ::sendmmsg(raw_.fd(), messages_.data(), count, 0);
    if (sent <= 0) fail("sendmmsg");
    return static_cast<std::uint32_t>(sent);
  }

 private:
  static constexpr std::size_t kBatch = 64;

  void fill(tcphdr& segment) {
    segment = {};
    segment.source = htons(static_cast<in_port_t>(10'000 + made_ % 50'000));
    segment.dest = htons(static_cast<in_port_t>(1 + made_ % kClosedPorts));
    segment.seq = htonl(++made_);
    segment.doff = sizeof segment / 4;
    segment.syn = 1;
    segment.window = htons(65'535);
    const std::uint32_t host = htonl(kHost);
    const std::uint32_t words = (host & 0xffff) + (host >> 16);
    segment.check = checksum(&segment, sizeof segment, 2 * words + htons(IPPROTO_TCP) + htons(sizeof segment));
  }

  Socket raw_;
  sockaddr_in to_{};
  std::array<tcphdr, kBatch> segments_{};
  std::array<iovec, kBatch> parts_{};
  std::array<mmsghdr, kBatch> messages_{};
  std::uint32_t made_ = 0;
};

template <typename Kind>
std::unique_ptr<Storm> make() {
  return std::make_unique<Kind>();
}

struct StormKind {
  std::string_view name;
  std::uint32_t rate;
  std::unique_ptr<Storm> (*make)();
};
constexpr StormKind kStorms[] = {
    {"resets", 10'000, make<Resets>}, {"refused", 30'000, make<Refused>}, {"syns", 100'000, make<Syns>}};

// ------------------------------------------------------------------------------------------------------------ the incidents

class Incident {
 public:
  virtual ~Incident() = default;
  virtual void begin() = 0;  // between healthy processes
  virtual int fault() = 0;   // the signal for the process at fault
  virtual std::string_view name() const = 0;

  void happen() {
    if (::kill(guilty_, fault()) != 0) fail("the incident");
    const std::uint64_t onset = now_ns(CLOCK_REALTIME);
    const std::string_view kind = name();
    std::printf("{\"incident\":\"%.*s\",\"pid\":%d,\"port\":%u,\"onset_ns\":%llu}\n", static_cast<int>(kind.size()),
                kind.data(), guilty_, static_cast<unsigned>(ntohs(port_be_)), static_cast<unsigned long long>(onset));
    std::fflush(stdout);
  }
  void end() {
    for (const pid_t child : children_) ::kill(child, SIGKILL);
    for (const pid_t child : children_) ::waitpid(child, nullptr, 0);
  }

 protected:
  template <typename Body>
  pid_t start(const char* comm, Body body) {
    const pid_t child = load::fork_child();
    if (child == 0) {
      ::prctl(PR_SET_NAME, comm);
      body();
      std::_Exit(0);
    }
    children_.push_back(child);
    return child;
  }

  pid_t guilty_ = 0;
  in_port_t port_be_ = 0;

 private:
  std::vector<pid_t> children_;
};

class StoppedReader : public Incident {
 public:
  void begin() override {
    const Socket listener = load::listen_on_any();
    port_be_ = load::port_of(listener);
    guilty_ = start("storm-reader", [&] {
      const Socket connection = load::accept_from(listener);
      std::array<char, 64 << 10> data;
      while (::read(connection.fd(), data.data(), data.size()) > 0) {
      }
    });
    start("storm-writer", [&] {
      ::close(listener.fd());
      const Socket connection = load::connect_to(kHost, port_be_);
      const std::array<char, 16 << 10> data{};
      while (::write(connection.fd(), data.data(), data.size()) > 0) sleep_us(2'000);
    });
  }
  int fault() override { return SIGSTOP; }
  std::string_view name() const override { return "reader"; }
};

class KilledListener : public Incident {
 public:
  void begin() override {
    const Socket listener = load::listen_on_any();
    port_be_ = load::port_of(listener);
    guilty_ = start("storm-server", [&] {
      while (true) {
        const Socket connection = load::accept_from(listener);
        if (::write(connection.fd(), "hello", 5) != 5) fail("the greeting");
      }
    });
    start("storm-client", [&] {
      ::close(listener.fd());  // else it lives on with us
      char greeting[8];
      while (true) {
        const Socket connection{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_addr.s_addr = htonl(kHost);
        to.sin_port = port_be_;
        if (::connect(connection.fd(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0)
          while (::read(connection.fd(), greeting, sizeof greeting) > 0) {
          }
        sleep_us(100'000);
      }
    });
  }
  int fault() override { return SIGKILL; }
  std::string_view name() const override { return "listener"; }
};

// ---------------------------------------------------------------------------------------------------------------- the run

struct Options {
  const StormKind* kind = nullptr;
  std::uint32_t rate = 0;
  std::uint32_t for_ms = 10'000;
  std::unique_ptr<Incident> incident;
};

std::unique_ptr<Incident> incident_named(std::string_view name) {
  if (name == "reader") return std::make_unique<StoppedReader>();
  if (name == "listener") return std::make_unique<KilledListener>();
  load::wrong_usage("there is no such incident");
}

Options parse(int argc, char** argv) {
  enum { kRate = 1, kFor, kIncident, kShowHelp };
  static constexpr option kOptions[] = {{"rate", required_argument, nullptr, kRate},
                                        {"for", required_argument, nullptr, kFor},
                                        {"incident", required_argument, nullptr, kIncident},
                                        {"help", no_argument, nullptr, kShowHelp},
                                        {nullptr, 0, nullptr, 0}};
  Options options;
  for (int chosen = 0; (chosen = ::getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    switch (chosen) {
      case kRate:
        options.rate = number(optarg, 1, 10'000'000);
        break;
      case kFor:
        options.for_ms = number(optarg, 1, 3'600'000);
        break;
      case kIncident:
        options.incident = incident_named(optarg);
        break;
      case kShowHelp:
        std::fwrite(kHelp.data(), 1, kHelp.size(), stdout);
        std::exit(0);
      default:
        std::exit(2);  // getopt_long has said what is wrong
    }
  }
  for (const StormKind& kind : kStorms)
    if (optind + 1 == argc && kind.name == argv[optind]) options.kind = &kind;
  if (options.kind == nullptr) load::wrong_usage("it takes the name of one storm: resets, refused or syns");
  if (options.rate == 0) options.rate = options.kind->rate;
  return options;
}

// Those that are due by now, in as many steps as it takes; behind, it goes on as fast as it can.
void rage(Storm& storm, const Options& options) {
  const std::uint64_t began = now_ns();
  const std::uint64_t span = options.for_ms * kNsPerMs;
  bool incident_due = options.incident != nullptr;
  std::uint64_t made = 0;
  std::uint64_t passed = 0;
  for (; passed < span; passed = now_ns() - began) {
    if (incident_due && passed >= span / 3) {
      options.incident->happen();
      incident_due = false;
    }
    const auto due = static_cast<std::uint64_t>(static_cast<double>(passed) * options.rate / kNsPerS);
    if (made < due)
      made += storm.some(static_cast<std::uint32_t>(due - made));
    else
      sleep_us(200);
  }
  const double seconds = static_cast<double>(passed) / kNsPerS;
  std::printf("{\"storm\":\"%s\",\"wanted_per_s\":%u,\"made\":%llu,\"seconds\":%.3f,\"per_s\":%.0f}\n",
              options.kind->name.data(), options.rate, static_cast<unsigned long long>(made), seconds,
              static_cast<double>(made) / seconds);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  load::enter_own_network_namespace();
  const std::unique_ptr<Storm> storm = options.kind->make();
  become_nobody();
  if (options.incident) options.incident->begin();
  rage(*storm, options);
  if (options.incident) options.incident->end();
  return 0;
}
