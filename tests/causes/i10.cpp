// SPDX-License-Identifier: GPL-2.0-only
// Connections leak: the clients have closed, and the server keeps its ends.
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "programs.hpp"

namespace {

using namespace cause;

constexpr size_t kRequest = 100;
constexpr size_t kReply = 200;

// Answers requests, of one client at a time, and never closes what its client has closed.
void leaky_server(Line& line) {
  const int listener = listen_on("127.0.0.1", 64);
  line.say(std::to_string(local_of(listener).port));
  std::vector<int> leaked;
  pollfd entries[3] = {{listener, POLLIN, 0}, {line.fd(), POLLIN, 0}, {-1, POLLIN, 0}};
  while (poll(entries, 3, -1) >= 0 && entries[1].revents == 0) {
    if (entries[2].revents != 0 && read_up_to(entries[2].fd, kRequest) != kRequest) {
      leaked.push_back(entries[2].fd);  // and is not looked at any more
      entries[2] = {-1, POLLIN, 0};
    } else if (entries[2].revents != 0) {
      send_all(entries[2].fd, kReply);
    } else if (entries[0].revents != 0 && entries[2].fd < 0) {
      entries[2].fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    }
  }
  (void)line.hear();
  for (const int fd : leaked) close(fd);
  line.say("closed");
  (void)line.hear();
}

void exchange(int fd) {
  send_all(fd, kRequest);
  errno = 0;
  require(read_up_to(fd, kReply) == kReply, "the reply did not come");
}

// A connection for each request until "enough"; then one for all, so that the server goes on working.
void client(Line& line, const Endpoint& service, int64_t pause_ms) {
  int done = 0;
  for (; !line.heard(); ++done) {
    const int fd = connect_to(service);
    exchange(fd);
    close(fd);
    sleep_ms(pause_ms);
  }
  (void)line.hear();
  line.say(std::to_string(done));
  const int fd = connect_to(service);
  while (!line.heard()) {
    exchange(fd);
    sleep_ms(50);
  }
  (void)line.hear();
  close(fd);
}

long leaked() {
  return count_sockets([](const Row& r) { return r.state == TCP_CLOSE_WAIT; });
}

struct Leak {
  int64_t ms = 4500;  // for so long connections are made
  int64_t pause_ms = 100;
  bool stopped = false;  // and from then on the server stands still
};

void leak(Truth& truth, const Leak& how) {
  const Child server = spawn("leaky-server", leaky_server);
  const Endpoint service{"127.0.0.1", std::stoi(server.line.hear())};
  const Child caller = spawn("leak-client", [&](Line& line) { client(line, service, how.pause_ms); });
  sleep_ms(how.ms);
  caller.line.say("enough");
  const long made = std::stol(caller.line.hear());
  sleep_ms(200);
  if (how.stopped) server.kill_now(SIGSTOP);
  sleep_ms(5000);
  const long count = leaked();
  errno = 0;
  require(count == made && made >= 20, std::to_string(made) + " made, " + std::to_string(count) + " leaked");
  if (how.stopped) server.kill_now(SIGCONT);
  caller.quit();
  server.line.say("close");
  (void)server.line.hear();
  truth.process("server", server);
  truth.process("client", caller);
  truth.only_culprit(server.pid);
  truth.measured("leaked", count);
  Expect expect("close-wait-leak", how.stopped ? "process-stopped" : "forgotten-fd|unknown");
  expect.severity("warning").culprit(server.pid).service(service).owner(server.pid).count(count, count + 1);
  expect.phases({"open", "closed"}).ended({"closed"});
  if (!how.stopped) expect.evidence("grew_by", Json::range(1, static_cast<double>(count)));
  truth.expect(expect);
  // What its last clients asked waits as well.
  if (how.stopped) truth.allow("stall-unread", "process-stopped", "warning");
  server.quit();
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  const std::vector<std::string> soon = {"--threshold", "close-wait-leak=3s"};
  return cause::main_of(argc, argv, "i10", "the server keeps connections that its clients have closed",
                        {
                            {"leak", "10 a second", [](Truth& t) { leak(t, {}); }, 40, soon},
                            {"stopped", "and it is stopped",
                             [](Truth& t) { leak(t, {.ms = 1000, .pause_ms = 25, .stopped = true}); }, 40, soon},
                        });
}
