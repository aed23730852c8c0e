// SPDX-License-Identifier: GPL-2.0-only
// A proxy that stops reading: its receive queues fill, the web server behind it waits before shut windows, and what the
// web server has closed meanwhile cannot finish.
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <optional>

#include "programs.hpp"

namespace {

using namespace cause;

constexpr int kWhole = 100;  // connections with a large file on them, which stay open
constexpr int kPart = 100;   // with a part of one, after which the web server closes
constexpr long kPartBytes = 400'000;
constexpr size_t kReadOfWhole = 300'000;
constexpr size_t kReadOfPart = 20'000;
constexpr size_t kReadLast = 1000;
constexpr long kMuch = 30'000;  // bytes; with that the window may be shut already: memory is what counts
const Endpoint kWeb{"127.0.0.1", 8080};

// polls: for a socket on which nothing comes, and reads from none. lives_on: it goes on reading from another socket.
enum class Then { waits, sleeps, polls, lives_on };

bool has_friend(Then then) { return then == Then::polls || then == Then::lives_on; }

// Answers each ping, until told to stop.
void friendly_server(Line& line) {
  const int listener = listen_on("127.0.0.1", 8);
  line.say(std::to_string(local_of(listener).port));
  const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  char data[64];
  for (ssize_t got = 0; (got = recv(fd, data, sizeof data, 0)) > 0;) (void)send(fd, data, 16, MSG_NOSIGNAL);
  close(fd);
  (void)line.hear();
}

int ask(const std::string& range) {
  const int fd = connect_to(kWeb);
  const std::string request = "GET /large HTTP/1.1\r\nHost: media\r\n" + range + "\r\n";
  require(send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size()),
          "the request");
  return fd;
}

// Says "read" when it has read the beginning of every reply, and reads no more.
void stalled_proxy(Line& line, Then then, int friendly_port) {
  const int friendly = has_friend(then) ? connect_to({"127.0.0.1", friendly_port}) : -1;
  std::vector<int> fds;
  for (int i = 0; i < kWhole + kPart; ++i) {
    const bool whole = i % 2 == 0;
    fds.push_back(ask(whole ? "" : "Range: bytes=0-" + std::to_string(kPartBytes - 1) + "\r\nConnection: close\r\n"));
    const size_t wanted = whole ? kReadOfWhole : kReadOfPart;
    require(read_up_to(fds.back(), wanted) == wanted, "the reply");
  }
  // A last time from all, so that it stops with all together: none is forgotten while others are read.
  for (const int fd : fds) require(read_up_to(fd, kReadLast) == kReadLast, "the reply");
  line.say("read");
  if (then == Then::sleeps) {
    const timespec long_time{60, 0};
    nanosleep(&long_time, nullptr);
  }
  if (then == Then::polls) {
    pollfd entries[2] = {{friendly, POLLIN, 0}, {line.fd(), POLLIN, 0}};
    while (poll(entries, 2, -1) >= 0 && entries[1].revents == 0) {
    }
  }
  char data[16] = {};
  while (then == Then::lives_on && !line.heard()) {
    errno = 0;
    require(send(friendly, data, sizeof data, MSG_NOSIGNAL) > 0 && read_up_to(friendly, sizeof data) == sizeof data,
            "ping");
    sleep_ms(20);
  }
  (void)line.hear();
}

struct Seen {
  long unread = 0;   // the proxy's ends with much to read
  long least = 0;    // of them
  long open = 0;     // the web server's ends that are established, with data waiting
  long closing = 0;  // the web server's ends in FIN_WAIT1 with data waiting
  long shut = 0;     // of these two, how many have nothing in flight and a probe timer
  [[nodiscard]] bool complete() const { return unread == kWhole + kPart && open == kWhole && closing == kPart; }
  [[nodiscard]] std::string text() const {
    return std::to_string(unread) + " unread, " + std::to_string(open) + " open, " + std::to_string(closing) +
           " closing, " + std::to_string(shut) + " shut";
  }
};

Seen look() {
  Seen seen;
  for (const Row& row : sockets()) {
    if (row.remote_port == kWeb.port && row.state == TCP_ESTABLISHED && row.receive_queue >= kMuch) {
      seen.least = seen.unread == 0 ? row.receive_queue : std::min(seen.least, row.receive_queue);
      ++seen.unread;
    }
    if (row.local_port != kWeb.port || row.send_queue == 0) continue;
    if (row.state == TCP_ESTABLISHED) ++seen.open;
    if (row.state == TCP_FIN_WAIT1) ++seen.closing;
    if (row.timer == Row::kProbeTimer) ++seen.shut;
  }
  return seen;
}

struct Play {
  std::string unread_cause;
  Then then = Then::waits;
  bool stopped = false;
  bool memory = false;
};

void tell(Truth& truth, const Play& play, const Child& proxy, const Child& web, const Seen& seen) {
  truth.process("proxy", proxy);
  truth.process("web", web);
  truth.only_culprit(proxy.pid);
  truth.measured("proxy_unread", seen.unread);
  truth.measured("proxy_unread_least_bytes", seen.least);
  truth.measured("web_established_waiting", seen.open);
  truth.measured("web_fin_wait1_waiting", seen.closing);
  const auto common = [&](const char* finding, const std::string& why, const char* role, long count) {
    Expect expect(finding, why);
    // Of what began before it, memory under pressure too, one cannot say here which is told first.
    if (!play.memory) expect.role(role);
    expect.culprit(proxy.pid).service(kWeb).story("a").count(count - count / 20, count + count / 20);
    return expect.phases({"open", "closed"}).ended({"reset", "closed", "process-exit"});
  };
  truth.expect(common("stall-unread", play.unread_cause, "root", seen.unread)
                   .severity("critical")
                   .owner(proxy.pid)
                   .peer(web.pid)
                   .evidence("unread_bytes", Json::range(static_cast<double>(seen.least), 1e9)));
  truth.expect(common("stall-zero-window", "peer-not-reading", "symptom", seen.open).owner(web.pid).peer(proxy.pid));
  truth.expect(common("stall-closing", "peer-not-reading", "symptom", seen.closing).severity("warning"));
  // How the proxy's end takes its connections with it.
  truth.allow("reset", "process-exit");
  truth.allow("memory-pressure", "rcvbuf-overrun", "warning");
}

void lower_memory(Truth& truth, const TcpMem& memory, const Child& proxy) {
  const long used = TcpMem::used_pages();
  const long before = mib("TcpExt", "TCPMemoryPressures");
  memory.lower(used / 4, used / 2);
  const bool pressed = wait_until(TcpMem::under_pressure, 3000, 10);
  errno = 0;
  require(pressed, "no memory pressure at " + std::to_string(used) + " pages");
  sleep_ms(2500);
  require(TcpMem::under_pressure(), "the memory pressure did not last");
  memory.restore();
  // The kernel notices when somebody asks for memory.
  const auto over = [] {
    const int listener = listen_on("127.0.0.1", 1);
    const int fd = connect_to(local_of(listener));
    const int other = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    send_all(fd, 1);
    (void)read_up_to(other, 1);
    close(fd);
    close(other);
    close(listener);
    return !TcpMem::under_pressure();
  };
  require(wait_until(over, 3000, 10), "the memory pressure did not end");
  truth.measured("tcp_mem_pages", used);
  truth.measured("memory_pressures", mib("TcpExt", "TCPMemoryPressures") - before);
  truth.expect(Expect("memory-pressure", "tcp-mem")
                   .severity("critical")
                   .culprit_kinds({"kernel-limit", "local-process"})
                   .phases({"open", "closed"})
                   .evidence("tcp_mem_pages", Json::range(static_cast<double>(used) / 2, static_cast<double>(used) * 2))
                   .evidence("holders", Json::object().set("contains", proxy.pid)));
}

void stops_reading(Truth& truth, const Play& play) {
  // Enough for what is seen in the field, and no more: 200 connections' memory is counted host-wide.
  sysctl("net.ipv4.tcp_rmem", "4096 131072 786432");
  sysctl("net.ipv4.tcp_wmem", "4096 16384 524288");
  const ScratchFolder folder;
  std::optional<TcpMem> memory;
  if (play.memory) memory.emplace();
  folder.sparse("large", 64L << 20);
  const Child web = spawn_lighttpd(folder, kWeb);
  std::optional<Child> friendly;
  int friendly_port = 0;
  if (has_friend(play.then)) {
    friendly = spawn("friendly-server", friendly_server);
    friendly_port = std::stoi(friendly->line.hear());
  }
  const Child proxy = spawn("stalled-proxy", [&](Line& line) { stalled_proxy(line, play.then, friendly_port); });
  (void)proxy.line.hear();
  if (play.stopped) proxy.kill_now(SIGSTOP);
  const int64_t since = now_ms();
  require(wait_until([] { return look().complete(); }, 3000, 100), "not every connection is stuck: " + look().text());
  if (memory) lower_memory(truth, *memory, proxy);
  sleep_ms(since + 8000 - now_ms());
  const Seen seen = look();
  errno = 0;
  require(seen.complete() && seen.shut == kWhole + kPart, "the connections did not stay stuck: " + seen.text());
  tell(truth, play, proxy, web, seen);
  if (friendly && !play.stopped) {
    proxy.quit();
    friendly->quit();
    truth.innocent(*friendly);
  } else {
    proxy.kill_now(SIGKILL);
    (void)proxy.join();
  }
  require(wait_until([] { return look().open + look().closing == 0; }, 3000, 20), "not every connection ended");
  web.kill_now(SIGTERM);
  (void)web.join();
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  return cause::main_of(
      argc, argv, "i3", "a proxy stops reading from the web server behind it",
      {
          {"stopped", "it is stopped by a signal",
           [](Truth& t) { stops_reading(t, {.unread_cause = "process-stopped", .stopped = true}); }, 40},
          {"forgotten", "it lives on and has forgotten them",
           [](Truth& t) { stops_reading(t, {.unread_cause = "forgotten-fd", .then = Then::lives_on}); }, 40},
          {"polling", "it waits for another socket, and reads from none: why it reads nothing cannot be seen",
           [](Truth& t) { stops_reading(t, {.unread_cause = "unknown", .then = Then::polls}); }, 40},
          {"blocked", "it sleeps",
           [](Truth& t) { stops_reading(t, {.unread_cause = "process-blocked", .then = Then::sleeps}); }, 40},
          {"memory", "TCP of the whole host comes under memory pressure (net.ipv4.tcp_mem, put back after 3 s)",
           [](Truth& t) { stops_reading(t, {.unread_cause = "forgotten-fd", .then = Then::lives_on, .memory = true}); },
           40},
      });
}
