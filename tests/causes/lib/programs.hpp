// SPDX-License-Identifier: GPL-2.0-only
// Real programs that incidents need, what they leave behind, and what the kernel's tables say of others' sockets.
#pragma once

#include "cause.hpp"

namespace cause {

// A process that undoes something when the cause is over, however it ends: at the guard's own end, when the cause
// fails, or when it is killed.
class Guard {
 public:
  explicit Guard(const std::function<void()>& undo, int keep = -1);  // keep: a file descriptor that it holds open
  ~Guard();
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  int fd_ = -1;
  pid_t pid_ = 0;
};

// A folder of its own, which goes away with everything in it.
class ScratchFolder {
 public:
  ScratchFolder();
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string write(const std::string& name, const std::string& text) const;  // its path
  void sparse(const std::string& name, long bytes) const;                                   // zeros, without blocks

 private:
  std::string path_;
  Guard guard_;
};

// net.ipv4.tcp_mem is one for the whole host: the guard puts it back. Call it before any other process is started.
class TcpMem {
 public:
  TcpMem();  // waits for another cause that has it
  ~TcpMem();
  TcpMem(const TcpMem&) = delete;
  TcpMem& operator=(const TcpMem&) = delete;
  [[nodiscard]] static long used_pages();      // /proc/net/sockstat
  [[nodiscard]] static bool under_pressure();  // /proc/net/protocols
  // The hard limit stays as it is: others on this host lose nothing but the growth of their windows.
  void lower(long low, long pressure) const;
  void restore() const;

 private:
  int lock_;
  std::string original_;
  Guard guard_;
};

// Runs a program of the host in this namespace; its output goes to `log`. It dies with the cause and has no line.
Child spawn_program(const std::vector<std::string>& command, const std::string& log = "/dev/null");

// A row of /proc/net/tcp or tcp6 of this namespace.
struct Row {
  static constexpr int kProbeTimer = 4;  // of a shut window
  int state = 0;                         // TCP_ESTABLISHED and so on
  int local_port = 0;
  int remote_port = 0;
  long send_queue = 0;
  long receive_queue = 0;
  int timer = 0;
};
std::vector<Row> sockets();
long count_sockets(const std::function<bool(const Row&)>& which);
bool listening(int port);  // waits a while for it

char process_state(pid_t pid);          // the letter of /proc/PID/stat
double process_cpu_seconds(pid_t pid);  // that it has run for
long open_fds(pid_t pid);

// lighttpd in the foreground, one process; serves `folder`, with more lines of configuration if any.
Child spawn_lighttpd(const ScratchFolder& folder, const Endpoint& at, const std::string& more = "");

// Node.js: an HTTP server with one event loop. POST: takes the body and answers. GET /spin?MS: blocks the loop.
Child spawn_node(const ScratchFolder& folder, const Endpoint& at, int backlog);

// One HTTP request over a connection of its own; the status, or 0 for none.
int http_get(const Endpoint& at, const std::string& path, size_t padding = 0);

}  // namespace cause
