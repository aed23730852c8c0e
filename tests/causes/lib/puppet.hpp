// SPDX-License-Identifier: GPL-2.0-only
// A process with one listener and some connections that does, step by step, what the cause tells it.
#pragma once

#include "cause.hpp"

namespace cause {

class Puppet {
 public:
  Puppet(const std::string& comm, const Netns* ns = nullptr);
  [[nodiscard]] const Child& child() const { return child_; }
  [[nodiscard]] pid_t pid() const { return child_.pid; }

  Endpoint listen(const std::string& addr, int backlog = 64) const;
  void accept() const;                         // one more connection; it becomes the last
  Endpoint connect(const Endpoint& to) const;  // its own end; fails unless connected
  // Connects `times` times, each to its end or `give_up_ms`; the errno of each (0: connected, kept).
  // With `give_up_ms` below 0 the connect blocks.
  [[nodiscard]] std::vector<int> try_connect(const Endpoint& to, int times, int give_up_ms, int pause_ms = 0) const;
  // Of the last connection:
  void send(size_t bytes) const;
  void read(size_t bytes) const;                                // exactly
  void peek(size_t bytes) const;                                // waits until so many are there, leaves them
  [[nodiscard]] int recv_error(int timeout_ms = 10'000) const;  // errno of the next recv; 0 at EOF, -1 for data
  void close(bool zero_linger = false) const;
  void shutdown(int how) const;
  void disconnect() const;  // connect(AF_UNSPEC)
  void keepalive(int idle_s, int interval_s, int probes) const;
  [[nodiscard]] int in_flight() const;
  [[nodiscard]] int retransmits() const;
  [[nodiscard]] int backoffs() const;                   // of the retransmission timer now
  [[nodiscard]] int acked_after(int timeout_ms) const;  // ms until nothing is unacknowledged; fails on timeout
  // Of all connections:
  [[nodiscard]] std::vector<int> recv_errors(int timeout_ms = 10'000) const;
  [[nodiscard]] std::vector<Endpoint> locals() const;
  void close_all() const;
  void vanish_all() const;  // without a packet
  void close_listener() const;
  void exit(int code) const;  // and waits for its end
  void die() const;           // SIGKILL, and waits for its end
  void quit() const;          // closes all and ends

 private:
  std::string ask(const std::string& command, int64_t timeout_ms = 60'000) const;
  Child child_;
};

long count_of(const std::vector<int>& values, int value);

}  // namespace cause
