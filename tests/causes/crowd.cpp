// SPDX-License-Identifier: GPL-2.0-only
// Many connections that stall together and recover together: no finding may outlive the stall.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "cause.hpp"

namespace {

using namespace cause;

constexpr int kBacklog = 4096;            // net.core.somaxconn of a fresh namespace
constexpr int kRoomForAll = 212'992;      // net.core.rmem_max and wmem_max: doubled by the kernel
constexpr rlim_t kDescriptors = 20'000;   // what a process may usually have
constexpr double kClosedWithinS = 1.5;    // a sweep finds the end within two intervals
constexpr double kManyClosedWithinS = 3;  // of a thousand processes, each a finding of its own
constexpr double kUnreadThresholdS = 2;   // of stall-unread
constexpr double kFoundWithinS = 3;       // after onset and threshold, whatever the number
constexpr size_t kMoreThan64K = 70'000;   // bytes; stall-unread begins at 64 KiB
constexpr const char* kSleepingReader = "forgotten-fd|process-blocked|process-busy|unknown";

struct Shape {
  int connections = 400;
  size_t bytes = 100'000;    // on each connection
  bool window_shuts = true;  // the default receive buffer holds less than that
  int64_t stalled_ms = 4000;
  // A writer that has heard no answer for 10 s waits for one: before that is over.
  int64_t rest_ms = 4500;
};

void allow_descriptors() {
  rlimit limit{};
  require(getrlimit(RLIMIT_NOFILE, &limit) == 0, "RLIMIT_NOFILE");
  limit.rlim_cur = std::max(limit.rlim_cur, kDescriptors);
  limit.rlim_max = std::max(limit.rlim_max, kDescriptors);
  require(setrlimit(RLIMIT_NOFILE, &limit) == 0, "RLIMIT_NOFILE");
}

int listen_for(const Shape& shape) {
  const int listener = listen_on("127.0.0.1", kBacklog);
  if (!shape.window_shuts) set_option(listener, SOL_SOCKET, SO_RCVBUF, kRoomForAll);
  return listener;
}

std::vector<int> accept_all(int listener, int count) {
  std::vector<int> fds;
  for (int i = 0; i < count; ++i) {
    fds.push_back(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    require(fds.back() >= 0, "accept");
  }
  return fds;
}

void read_all(const std::vector<int>& fds, size_t bytes) {
  for (const int fd : fds) require(read_up_to(fd, bytes) == bytes, "what was sent");
}

// On "read" it reads everything at once, and answers with the time at which it had.
void reader(Line& line, const Shape& shape) {
  allow_descriptors();
  const int listener = listen_for(shape);
  line.say(std::to_string(local_of(listener).port));
  const std::vector<int> fds = accept_all(listener, shape.connections);
  line.say("accepted");
  while (line.hear() == "read") {
    read_all(fds, shape.bytes);
    line.say(std::to_string(epoch_now()));
  }
}

// On "send" each connection's bytes go into its send buffer: the writer never blocks.
void writer(Line& line, const Shape& shape, int port) {
  allow_descriptors();
  std::vector<int> fds;
  for (int i = 0; i < shape.connections; ++i) {
    fds.push_back(connect_to({"127.0.0.1", port}));
    set_option(fds.back(), SOL_SOCKET, SO_SNDBUF, kRoomForAll);
  }
  line.say("connected");
  while (line.hear() == "send") {
    for (const int fd : fds) send_all(fd, shape.bytes);
    line.say(std::to_string(epoch_now()));
  }
}

struct Pair {
  Child reader;
  Child writer;
  Endpoint service;
};

Pair spawn_pair(const Shape& shape, const std::function<void(Line&)>& reading) {
  const Child reader = spawn("crowd-reader", reading);
  const int port = std::stoi(reader.line.hear());
  const Child writer = spawn("crowd-writer", [&shape, port](Line& line) { ::writer(line, shape, port); });
  (void)writer.line.hear();
  (void)reader.line.hear();
  return {reader, writer, {"127.0.0.1", port}};
}

double ask(const Child& child, const char* what) {
  child.line.say(what);
  return std::stod(child.line.hear());
}

void leave(Truth& truth, const Pair& pair, const Child& neighbour) {
  pair.writer.quit();
  pair.reader.quit();
  neighbour.quit();
  truth.process("writer", pair.writer);
  truth.innocent(neighbour);
}

Child spawn_neighbour() { return spawn_chatter("chatter", "127.0.0.1", current_netns(), current_netns()); }

// One reader sleeps while everything waits, then reads all of it and rests: nothing may be left open while it rests.
void recover_together(Truth& truth, const Shape& shape) {
  const Child neighbour = spawn_neighbour();
  const Pair pair = spawn_pair(shape, [&shape](Line& line) { reader(line, shape); });
  const double onset = ask(pair.writer, "send");
  sleep_ms(shape.stalled_ms);
  const double over = ask(pair.reader, "read");
  sleep_ms(shape.rest_ms);
  truth.process("reader", pair.reader);
  leave(truth, pair, neighbour);

  Expect unread("stall-unread", kSleepingReader);
  unread.severity(shape.window_shuts ? "critical" : "warning").culprit(pair.reader.pid).owner(pair.reader.pid);
  unread.service(pair.service).count(shape.connections, shape.connections).phases({"open", "closed"});
  unread.ended({"recovered"}).opened_by(onset + kUnreadThresholdS + kFoundWithinS);
  truth.expect(unread);
  if (shape.window_shuts) truth.allow("stall-zero-window", "peer-not-reading");
  truth.over_by(over + kClosedWithinS);
  truth.measured("onset", onset);
  truth.measured("recovered", over);
}

// ---------------------------------------------------------------- one program of many processes

struct Pipe {
  Pipe() { require(pipe2(ends, O_CLOEXEC) == 0, "pipe"); }
  void close_one(int which) { close(ends[which]); }
  int ends[2] = {-1, -1};
};

// Waits for the end of `start`, reads its connection's bytes, tells that by one byte into `done`, and rests.
[[noreturn]] void worker(int fd, size_t bytes, const Pipe& start, const Pipe& done) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "crowd-worker");
  close(start.ends[1]);
  char none = 0;
  require(read(start.ends[0], &none, 1) == 0, "the start");
  read_all({fd}, bytes);
  require(write(done.ends[1], "d", 1) == 1, "the end");
  while (true) pause();
}

// As PostgreSQL, sshd and Apache's prefork do: a process for each connection.
void parent(Line& line, const Shape& shape, bool stopped) {
  const int listener = listen_for(shape);
  line.say(std::to_string(local_of(listener).port));
  Pipe start;
  Pipe done;
  std::vector<pid_t> workers;
  for (int i = 0; i < shape.connections; ++i) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    const pid_t pid = fork();
    require(fd >= 0 && pid >= 0, "a worker");
    if (pid == 0) {
      close(listener);
      worker(fd, shape.bytes, start, done);
    }
    close(fd);
    workers.push_back(pid);
    if (stopped) require(kill(pid, SIGSTOP) == 0, "SIGSTOP");
  }
  line.say("accepted");
  (void)line.hear();
  start.close_one(1);
  if (stopped)
    for (const pid_t pid : workers) require(kill(pid, SIGCONT) == 0, "SIGCONT");
  done.close_one(1);
  char byte = 0;
  for (size_t i = 0; i < workers.size(); ++i) require(read(done.ends[0], &byte, 1) == 1, "a worker's end");
  line.say(std::to_string(epoch_now()));
  (void)line.hear();
  for (const pid_t pid : workers) kill(pid, SIGKILL);
  for (const pid_t pid : workers) waitpid(pid, nullptr, 0);
}

void many_processes(Truth& truth, bool stopped) {
  const Shape shape{1000, kMoreThan64K, false, 7000, 2500};
  const Child neighbour = spawn_neighbour();
  const Pair pair = spawn_pair(shape, [&shape, stopped](Line& line) { parent(line, shape, stopped); });
  const double onset = ask(pair.writer, "send");
  sleep_ms(shape.stalled_ms);
  const double over = ask(pair.reader, "read");
  sleep_ms(shape.rest_ms);
  truth.process("parent", pair.reader);
  leave(truth, pair, neighbour);

  Expect unread("stall-unread", stopped ? "process-stopped" : kSleepingReader);
  // One finding of the program, or one of each process: all connections are in them.
  unread.service(pair.service).count(shape.connections, shape.connections).ids(1, shape.connections);
  unread.phases({"open", "closed"}).ended({"recovered"}).opened_by(onset + kUnreadThresholdS + kFoundWithinS);
  unread.severity("warning");
  truth.expect(unread);
  truth.over_by(over + kManyClosedWithinS);
  truth.measured("onset", onset);
  truth.measured("recovered", over);
}

// ---------------------------------------------------------------- healthy

// Its first address refuses it, as ::1 does where only 127.0.0.1 is listened on; the second answers.
void fall_back(Line& line, int port) {
  line.say("ready");
  while (!line.heard()) {
    const int refused = tcp_socket("::1");
    require(start_connect(refused, {"::1", port}) == ECONNREFUSED, "the refusal");
    close(refused);
    close(connect_to({"127.0.0.1", port}));
    sleep_ms(300);
  }
}

// 400 connections that are read late each time, yet before a stall is one.
void read_late(Truth& truth) {
  constexpr int kRounds = 5;
  const Shape shape{400, kMoreThan64K, false, 1200, 300};
  const Child neighbour = spawn_neighbour();
  const Child server = spawn("fallback-server", [](Line& line) {
    const int listener = listen_on("127.0.0.1", kBacklog);
    line.say(std::to_string(local_of(listener).port));
    while (!line.heard()) {
      pollfd ready{listener, POLLIN, 0};
      if (poll(&ready, 1, 100) == 1) close(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    }
  });
  const int port = std::stoi(server.line.hear());
  const Child client = spawn("fallback-client", [port](Line& line) { fall_back(line, port); });
  (void)client.line.hear();
  const Pair pair = spawn_pair(shape, [&shape](Line& line) { reader(line, shape); });
  for (int i = 0; i < kRounds; ++i) {
    (void)ask(pair.writer, "send");
    sleep_ms(shape.stalled_ms);
    (void)ask(pair.reader, "read");
    sleep_ms(shape.rest_ms);
  }
  client.quit();
  server.quit();
  leave(truth, pair, neighbour);
  truth.process("reader", pair.reader);
  truth.silent = true;
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  const Shape many{4000, kMoreThan64K, false, 6000, 3500};
  return cause::main_of(
      argc, argv, "crowd", "many connections that stall together and recover together",
      {
          {"400", "one reader reads nothing of 400 connections for 4 s, then everything",
           [](Truth& t) { recover_together(t, Shape{}); }, 60},
          {"200", "the same with 200", [](Truth& t) { recover_together(t, Shape{.connections = 200}); }, 60},
          {"4000", "the same with 4,000, whose windows stay open", [many](Truth& t) { recover_together(t, many); }, 90},
          {"processes", "1,000 processes of one parent, each sleeps beside a connection for 7 s",
           [](Truth& t) { many_processes(t, false); }, 90},
          {"processes-stopped", "the same, each stopped by a signal", [](Truth& t) { many_processes(t, true); }, 90},
          {"healthy-late", "400 connections that are read late, but in time; and an address fallback", read_late, 60},
      });
}
