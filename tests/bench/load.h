// SPDX-License-Identifier: GPL-2.0-only
// What the load generators share: sockets on loopback, a network namespace of their own, and ending with a word.
#pragma once

#include <netinet/in.h>

#include <cerrno>
#include <cstdint>
#include <utility>

namespace load {

// Both name the program. fail() may be called by several threads at once.
[[noreturn]] void fail(const char* what, int error = errno);  // while running: exit code 1
[[noreturn]] void wrong_usage(const char* what);              // exit code 2

// The number that an option was given; wrong usage outside [low, high].
std::uint32_t number(const char* text, std::uint32_t low, std::uint32_t high);

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  Socket& operator=(Socket&&) = delete;
  ~Socket();
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

// Moves the calling thread into a new network namespace whose loopback is up: all of 127.0.0.0/8 is local there.
void enter_own_network_namespace();

// On 0.0.0.0 and a port that the kernel chooses.
Socket listen_on_any();
in_port_t port_of(const Socket& listener);  // network byte order

Socket connect_to(std::uint32_t host, in_port_t port_be);
Socket accept_from(const Socket& listener);

void exchange_a_byte(const Socket& from, const Socket& to);

// Forks; the child ends with its parent, however that ends. Returns as fork() does, but never fails.
int fork_child();

// Waits for the other end of `fd` to be closed; what comes before that is thrown away.
void wait_for_end_of(int fd);

}  // namespace load
