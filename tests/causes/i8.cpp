// SPDX-License-Identifier: GPL-2.0-only
// A server has no thread or no file descriptor left for more clients: its backlog fills, and the rest are turned away.
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>
#include <thread>

#include "programs.hpp"

namespace {

using namespace cause;

constexpr int kBacklog = 10;
constexpr int kQueued = kBacklog + 1;
constexpr int kLate = 29;
constexpr int kSynAgain = 2;  // within 6 s: at 1 and 3 s; since 6.5 at each second
constexpr int kThreads = 20;
constexpr rlim_t kFdLimit = 64;
constexpr size_t kRequest = 100;
constexpr size_t kReply = 200;

bool answer(int fd) {
  const std::string reply(kReply, 'r');
  return read_up_to(fd, kRequest) == kRequest && send(fd, reply.data(), kReply, MSG_NOSIGNAL) == ssize_t{kReply};
}

void threaded_server(Line& line) {
  const int listener = listen_on("127.0.0.1", kBacklog);
  for (int i = 0; i < kThreads; ++i)
    std::thread([listener] {
      for (;;) {
        const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        while (answer(fd)) {
        }
        close(fd);
      }
    }).detach();
  line.say(std::to_string(local_of(listener).port));
  (void)line.hear();
}

// One thread for all; where accept() finds no file descriptor, it tries again a little later.
void limited_server(Line& line) {
  for (int fd = 3; fd < 1024; ++fd)
    if (fd != line.fd()) close(fd);  // what was inherited above the limit would count
  const rlimit limit{kFdLimit, kFdLimit};
  require(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
  const int listener = listen_on("127.0.0.1", kBacklog);
  line.say(std::to_string(local_of(listener).port));
  std::vector<pollfd> entries = {{line.fd(), POLLIN, 0}, {listener, POLLIN, 0}};
  while (poll(entries.data(), entries.size(), -1) > 0 && entries[0].revents == 0) {
    if (entries[1].revents != 0) {
      const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd >= 0) entries.push_back({fd, POLLIN, 0});
      if (fd < 0 && errno == EMFILE) sleep_ms(20);
    }
    for (size_t i = entries.size() - 1; i >= 2; --i) {
      if (entries[i].revents == 0 || answer(entries[i].fd)) continue;
      close(entries[i].fd);
      entries.erase(entries.begin() + static_cast<long>(i));
    }
  }
  (void)line.hear();
}

int ask(int fd) {
  send_all(fd, kRequest);
  return fd;
}

void must_be_answered(int fd) {
  errno = 0;
  require(read_up_to(fd, kReply) == kReply, "a reply did not come");
}

// `served` connections that exchange all the time, others that wait in the accept queue, and others that come too late:
// says "PORT..." of these, then how many of them are not connected when they give up after 6 s.
void keep_alive_clients(Line& line, const Endpoint& service, int served) {
  std::vector<int> active;
  for (int i = 0; i < served; ++i) {
    active.push_back(ask(connect_to(service)));
    must_be_answered(active.back());
  }
  std::vector<int> queued;
  for (int i = 0; i < kQueued; ++i) queued.push_back(ask(connect_to(service)));
  std::vector<int> late;
  std::ostringstream ports;
  for (int i = 0; i < kLate; ++i) {
    late.push_back(tcp_socket(service.addr, true));
    (void)start_connect(late.back(), service);
    ports << local_of(late.back()).port << ' ';
  }
  line.say(ports.str());
  long exchanges = 0;
  for (const int64_t end = now_ms() + 6000; now_ms() < end; ++exchanges) {
    must_be_answered(ask(active[static_cast<size_t>(exchanges % served)]));
    sleep_ms(5);
  }
  const auto waiting = [](int fd) { return tcp_state(fd) == TCP_SYN_SENT && total_retransmits(fd) >= kSynAgain; };
  line.say(std::to_string(std::count_if(late.begin(), late.end(), waiting)) + ' ' + std::to_string(exchanges));
  (void)line.hear();  // "leave"
  for (const int fd : late) close(fd);
  for (const int fd : active) close(fd);
  for (const int fd : queued) must_be_answered(fd);  // now it is their turn
  for (const int fd : queued) close(fd);
  line.say("left");
  (void)line.hear();
}

long listen_queue(const Endpoint& service) {
  for (const Row& row : sockets())
    if (row.state == TCP_LISTEN && row.local_port == service.port) return row.receive_queue;
  return -1;
}

void expect_exhausted(Truth& truth, const Child& server, const Child& client, const Endpoint& service, long fds,
                      const std::string& ports) {
  const auto common = [&](const char* finding, const char* why) {
    return Expect(finding, why).culprit(server.pid).service(service).story("a");
  };
  rlimit limit{};
  require(prlimit(server.pid, RLIMIT_NOFILE, nullptr, &limit) == 0, "prlimit");
  truth.expect(common("accept-queue-overflow", "not-accepting")
                   .severity("critical")
                   .role("root")
                   .phases({"open", "closed"})
                   .evidence("queue", kQueued)
                   .evidence("limit", kBacklog)
                   .evidence("open_fds", fds)
                   .evidence("fd_limit", static_cast<unsigned long>(limit.rlim_cur)));
  Expect stalled = common("connect-stalled", "accept-queue-full");
  stalled.severity("critical").role("symptom").owner(client.pid).count(kLate, kLate).phases({"open", "closed"});
  Expect timeout = common("connect-timeout", "accept-queue-full");
  timeout.severity("warning").owner(client.pid).count(kLate, kLate).phases({"event"});
  std::istringstream words(ports);
  int port = 0;
  while (words >> port) stalled.connection({"127.0.0.1", port}, service);
  truth.expect(stalled);
  truth.expect(timeout);
  truth.expect(common("stall-unread", "never-accepted")
                   .severity("warning")
                   .role("symptom")
                   .owner(server.pid)
                   .peer(client.pid)
                   .count(kQueued, kQueued)
                   .phases({"open", "closed"}));
  // Before its head has waited for 1 s, the queue may look like a burst or a slow server.
  truth.allow("accept-queue-overflow", "backlog-too-small", "warning");
  truth.allow("accept-queue-overflow", "too-slow", "warning");
}

void exhausted(Truth& truth, bool threads) {
  const Child server = spawn("busy-server", threads ? threaded_server : limited_server);
  const Endpoint service{"127.0.0.1", std::stoi(server.line.hear())};
  const int served = threads ? kThreads : static_cast<int>(kFdLimit) - static_cast<int>(open_fds(server.pid));
  const Child client = spawn("many-clients", [&](Line& line) { keep_alive_clients(line, service, served); });
  const std::string ports = client.line.hear();
  sleep_ms(4000);
  const long fds = open_fds(server.pid);
  const long queue = listen_queue(service);
  std::istringstream report(client.line.hear());
  long turned_away = 0;
  long exchanges = 0;
  report >> turned_away >> exchanges;
  const long overflows = mib("TcpExt", "ListenOverflows");
  client.line.say("leave");
  (void)client.line.hear();
  truth.process("server", server);
  truth.process("client", client);
  truth.only_culprit(server.pid);
  truth.measured("served", served);
  truth.measured("accept_queue", queue);
  truth.measured("turned_away", turned_away);
  truth.measured("exchanges_meanwhile", exchanges);
  truth.measured("open_fds", fds);
  truth.measured("listen_overflows", overflows);
  errno = 0;
  require(turned_away == kLate && queue == kQueued && exchanges > 100, "too little happened: " + truth.line("i8", ""));
  require(threads || fds == static_cast<long>(kFdLimit), "the server has " + std::to_string(fds) + " files open");
  expect_exhausted(truth, server, client, service, fds, ports);
  client.quit();
  server.quit();
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  return cause::main_of(
      argc, argv, "i8", "a server has nothing left for more clients",
      {
          {"threads", "20 threads, a backlog of 10, 60 clients that keep their connections",
           [](Truth& t) { exhausted(t, true); }, 40},
          {"fd-limit", "at its limit of 64 file descriptors", [](Truth& t) { exhausted(t, false); }, 40},
      });
}
