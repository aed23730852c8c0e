// SPDX-License-Identifier: GPL-2.0-only
#include "user/doctor/self_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>
#include <variant>

#include "user/abi/decode.h"
#include "user/source/live.h"
#include "user/util/fd.h"

namespace tcpwhy::doctor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr util::Duration kWaitMost = std::chrono::seconds{5};

util::Error no_loopback(const char* what) {
  return {std::string{what}, errno, "the self-test needs 127.0.0.1: ip link set lo up"};
}

struct Listener {
  util::Fd socket;
  sockaddr_in address{};
};

util::Result<Listener> listen_on_loopback() {
  Listener listener{util::Fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)}, {}};
  listener.address.sin_family = AF_INET;
  listener.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* address = reinterpret_cast<sockaddr*>(&listener.address);
  socklen_t size = sizeof(listener.address);
  const int fd = listener.socket.get();
  if (fd < 0 || ::bind(fd, address, size) != 0 || ::listen(fd, 1) != 0 || ::getsockname(fd, address, &size) != 0)
    return no_loopback("cannot listen on loopback");
  return listener;
}

// In a child: tcpwhy never blames itself for anything, and so does not name itself as an owner.
int reset_once(const Listener& listener) {
  const util::Fd client{::socket(AF_INET, SOCK_STREAM, 0)};
  timeval limit{2, 0};
  ::setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  const auto* address = reinterpret_cast<const sockaddr*>(&listener.address);
  if (::connect(client.get(), address, sizeof(listener.address)) != 0) return 1;
  const util::Fd server{::accept(listener.socket.get(), nullptr, nullptr)};
  const linger abort{1, 0};
  return server.get() >= 0 && ::setsockopt(server.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof(abort)) == 0 ? 0 : 1;
}

util::Status make_reset(const Listener& listener) {
  const pid_t child = ::fork();
  if (child < 0) return util::Error{"cannot make a process for the self-test", errno, ""};
  if (child == 0) ::_exit(reset_once(listener));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return util::Done{};
  return no_loopback("cannot connect on loopback");
}

bool is_our_reset(std::span<const std::byte> record, std::uint16_t port) {
  const auto event = abi::decode(record);
  if (!event) return false;
  const auto* sent = std::get_if<abi::ResetSent>(&event->body);
  return sent && sent->socket.tuple.local.port == port;
}

}  // namespace

util::Result<SelfTest> run_self_test(const std::string& btf_file) {
  auto listener = listen_on_loopback();
  if (!listener) return std::move(listener.error());
  SelfTest test;
  test.port = ntohs(listener->address.sin_port);

  source::LiveOptions options;
  options.btf_file = btf_file;
  options.filter.ports = {test.port};
  const Clock::time_point began = Clock::now();
  auto source = source::LiveSource::open(options);
  if (!source) return std::move(source.error());
  std::optional<Clock::time_point> arrived;
  const auto handler = [&](std::span<const std::byte> record) {
    if (!arrived && is_our_reset(record, test.port)) arrived = Clock::now();
  };
  if (auto status = (*source)->start(handler); !status) return std::move(status.error());
  test.attached = Clock::now() - began;

  const Clock::time_point made = Clock::now();
  if (auto status = make_reset(*listener); !status) return std::move(status.error());
  while (!arrived && Clock::now() - made < kWaitMost)
    if (auto status = (*source)->poll(handler); !status) return std::move(status.error());
  if (!arrived)
    return util::Error{"a reset on loopback was made, and no record of it came within 5 s", 0,
                       "please report this with `uname -r` and `tcpwhy doctor --format json`"};
  test.told = *arrived - made;
  return test;
}

}  // namespace tcpwhy::doctor
