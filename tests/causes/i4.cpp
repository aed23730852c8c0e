// SPDX-License-Identifier: GPL-2.0-only
// Clients without a time-out wait for a server that took their requests and does not answer.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>

#include "scenarios.hpp"

namespace {

using namespace cause;

constexpr size_t kRequest = 200;
constexpr size_t kReply = 100;

// Accepts and reads whole requests; says "taken", answers all on "answer", and goes on until "quit".
void silent_server(Line& line, const std::string& addr, int connections) {
  const int listener = listen_on(addr, 256);
  line.say(std::to_string(local_of(listener).port));
  std::vector<int> fds;
  for (int i = 0; i < connections; ++i) {
    fds.push_back(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    errno = 0;
    require(read_up_to(fds.back(), kRequest) == kRequest, "the request did not come");
  }
  line.say("taken");
  if (line.hear() == "answer")
    for (const int fd : fds) send_all(fd, kReply);
  for (const int fd : fds) (void)read_up_to(fd, 1);  // the client closes first
  for (const int fd : fds) close(fd);
  line.say("done");
  (void)line.hear();
}

// One process with many connections, each of which asks once. Says "ADDR PORT..." and reads replies on "read".
void worker_pool(Line& line, const Endpoint& service, int connections) {
  std::vector<int> fds;
  std::ostringstream report;
  for (int i = 0; i < connections; ++i) {
    fds.push_back(connect_to(service));
    send_all(fds.back(), kRequest);
    if (i == 0) report << local_of(fds.back()).addr;
    report << ' ' << local_of(fds.back()).port;
  }
  line.say(report.str());
  if (line.hear() == "read")
    for (const int fd : fds) require(read_up_to(fd, kReply) == kReply, "the reply did not come");
  line.say("read");
  (void)line.hear();  // "close"
  for (const int fd : fds) close(fd);
  line.say("closed");
  (void)line.hear();
}

struct Wait {
  int connections = 100;
  int64_t ms = 12'500;
  bool answered = false;  // in the end
  bool normal = false;    // nothing above info
};

void expect_wait(Truth& truth, const Wait& wait, const Child& server, const Child& client, const Endpoint& service,
                 const std::string& ports, int64_t took) {
  const auto ms = static_cast<double>(took);
  Expect expect("stall-awaiting-reply", "peer-busy");
  expect.severity(wait.normal ? "info" : "warning").culprit(server.pid).service(service);
  expect.owner(client.pid).peer(server.pid).count(wait.connections, wait.connections);
  expect.phases({"open", "closed"}).ended({wait.answered ? "recovered" : "closed"}).duration(ms - 2500, ms + 1500);
  expect.evidence("no_timer", true).evidence("waiting_ms", Json::range(9000, ms + 1500));
  std::istringstream words(ports);
  Endpoint own;
  words >> own.addr;
  while (words >> own.port) expect.connection(own, service);
  truth.expect(expect);
}

void waiting(Truth& truth, const Stage& stage, const Wait& wait) {
  truth.netns = {stage.client_ns};
  if (stage.server_ns.inode != stage.client_ns.inode) truth.netns.push_back(stage.server_ns);
  stage.server_ns.enter();
  const Child server =
      spawn("silent-server", [&](Line& line) { silent_server(line, stage.server_addr, wait.connections); });
  const Endpoint service{stage.server_addr, std::stoi(server.line.hear())};
  stage.client_ns.enter();
  const int64_t asked_at = now_ms();
  const Child client = spawn("worker-pool", [&](Line& line) { worker_pool(line, service, wait.connections); });
  const std::string ports = client.line.hear();
  (void)server.line.hear();  // "taken"
  sleep_ms(asked_at + wait.ms - now_ms());
  const int64_t took = now_ms() - asked_at;
  server.line.say(wait.answered ? "answer" : "do not");
  client.line.say(wait.answered ? "read" : "give up");
  (void)client.line.hear();
  if (wait.answered) sleep_ms(1500);  // answered connections live on for a while
  client.line.say("close");
  (void)client.line.hear();
  (void)server.line.hear();
  truth.process("server", server);
  truth.process("client", client);
  truth.measured("waited_ms", static_cast<long>(took));
  truth.measured("connections", wait.connections);
  expect_wait(truth, wait, server, client, service, ports, took);
  client.quit();
  server.quit();
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  return cause::main_of(
      argc, argv, "i4", "clients without a time-out wait for a server that does not answer",
      {
          {"waiting", "100 connections of one process, over IPv6",
           [](Truth& t) { waiting(t, loopback_stage("::1"), {}); }, 40},
          {"waiting-veth", "the same between two namespaces", [](Truth& t) { waiting(t, veth_stage(true), {}); }, 40},
          {"recovers", "10 connections are answered after 12 s",
           [](Truth& t) { waiting(t, loopback_stage("::1"), {.connections = 10, .ms = 12'000, .answered = true}); },
           40},
          {"longpoll", "one reply that takes 12 s: worth knowing, no more",
           [](Truth& t) {
             waiting(t, loopback_stage("127.0.0.1"),
                     {.connections = 1, .ms = 12'000, .answered = true, .normal = true});
           },
           40},
      });
}
