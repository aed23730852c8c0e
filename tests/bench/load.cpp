// SPDX-License-Identifier: GPL-2.0-only
#include "load.h"

#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>

namespace load {
namespace {

sockaddr_in address_of(std::uint32_t host, in_port_t port_be) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(host);
  address.sin_port = port_be;
  return address;
}

Socket new_socket(int type) {
  const int fd = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  return Socket{fd};
}

}  // namespace

void fail(const char* what, int error) {
  // No strerror(): two threads may fail at once.
  std::fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
               std::generic_category().message(error).c_str());
  std::_Exit(1);
}

void wrong_usage(const char* what) {
  std::fprintf(stderr, "%s: %s (see --help)\n", program_invocation_short_name, what);
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

Socket::~Socket() {
  if (fd_ >= 0) ::close(fd_);
}

void enter_own_network_namespace() {
  if (::unshare(CLONE_NEWNET) != 0) fail("a network namespace of its own (run as root, or with --here)");
  // A new namespace's loopback is down; bringing it up gives it 127.0.0.1/8, so that all of 127.0.0.0/8 is local.
  const Socket any = new_socket(SOCK_DGRAM);
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", sizeof "lo");
  if (::ioctl(any.fd(), SIOCGIFFLAGS, &request) != 0) fail("reading the flags of lo");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(any.fd(), SIOCSIFFLAGS, &request) != 0) fail("bringing lo up");
}

Socket listen_on_any() {
  Socket listener = new_socket(SOCK_STREAM);
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

Socket connect_to(std::uint32_t host, in_port_t port_be) {
  Socket connection = new_socket(SOCK_STREAM);
  const sockaddr_in server = address_of(host, port_be);
  if (::connect(connection.fd(), reinterpret_cast<const sockaddr*>(&server), sizeof server) != 0) fail("connect");
  return connection;
}

Socket accept_from(const Socket& listener) {
  const int fd = ::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) fail("accept");
  return Socket{fd};
}

void exchange_a_byte(const Socket& from, const Socket& to) {
  char byte = 'x';
  if (::write(from.fd(), &byte, 1) != 1) fail("write");
  if (::read(to.fd(), &byte, 1) != 1) fail("read");
}

int fork_child() {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) fail("fork");
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) std::_Exit(1);  // it died before we said so
  }
  return pid;
}

void wait_for_end_of(int fd) {
  char ignored[256];
  ssize_t n = 0;
  while ((n = ::read(fd, ignored, sizeof ignored)) > 0 || (n < 0 && errno == EINTR)) {
  }
  if (n < 0) fail("waiting for the end");
}

}  // namespace load
