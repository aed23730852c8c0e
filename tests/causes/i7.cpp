// SPDX-License-Identifier: GPL-2.0-only
// A real Node.js server whose only event loop is busy or stopped while ab loads it.
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "programs.hpp"

namespace {

using namespace cause;

constexpr int kClients = 200;
constexpr long kBody = 300'000;
constexpr long kMuch = 30'000;  // bytes; with that the window may be shut already: memory is what counts
const Endpoint kService{"127.0.0.1", 3000};

struct Starve {
  int backlog = 511;        // Node's own
  bool keeps_alive = true;  // 200 connections that upload; else one connection for each small request
  bool stopped = false;     // by a signal for 5 s; else busy for 8 s
};

struct Seen {
  long connections = 0;
  long unread = 0;  // with much to read
  long unaccepted = 0;
};

Seen look() {
  Seen seen;
  for (const Row& row : sockets()) {
    if (row.local_port != kService.port) continue;
    if (row.state == TCP_ESTABLISHED) ++seen.connections;
    if (row.state == TCP_ESTABLISHED && row.receive_queue >= kMuch) ++seen.unread;
    if (row.state == TCP_LISTEN) seen.unaccepted = row.receive_queue;  // of a listener: its accept queue
  }
  return seen;
}

// A request that keeps the event loop busy for `ms`.
Child spawn_spinner(int64_t ms) {
  return spawn("spinner", [ms](Line& line) {
    line.say(std::to_string(http_get(kService, "/spin?" + std::to_string(ms))));
    (void)line.hear();
  });
}

Child spawn_ab(const ScratchFolder& folder, const Starve& how) {
  if (try_run("ab -V") != 0) skip("ab (apache2-utils) is not installed");
  folder.sparse("body", kBody);
  std::vector<std::string> command = {"ab", "-q", "-r", "-t", "60", "-n", "10000000", "-c", std::to_string(kClients)};
  if (how.keeps_alive) command.insert(command.end(), {"-k", "-p", folder.path() + "/body", "-T", "image/png"});
  command.push_back("http://127.0.0.1:3000/");
  return spawn_program(command, folder.path() + "/ab.log");
}

void expect_starved(Truth& truth, const Starve& how, const Child& node, const Seen& seen) {
  truth.only_culprit(node.pid);
  const char* const state = how.stopped ? "stopped" : "running";
  if (!how.keeps_alive) {
    Expect overflow("accept-queue-overflow", "not-accepting");
    overflow.severity("critical").culprit(node.pid).service(kService).evidence("limit", how.backlog).ids(1, 2);
    truth.expect(overflow.evidence("process_state", Json::object().set("contains", state)).phases({"open", "closed"}));
    truth.allow("accept-queue-overflow");
    truth.allow("connect-stalled", "accept-queue-full");
    truth.allow("connect-timeout", "accept-queue-full");
    truth.allow("stall-unread");
    truth.allow("synack-retransmit-unexpected", "accept-queue-full");
    truth.allow("stall-unacked", "accept-queue-full");
    return;
  }
  Expect unread("stall-unread", how.stopped ? "process-stopped" : "process-busy");
  unread.severity("critical").culprit(node.pid).service(kService).owner(node.pid).count(seen.unread * 9 / 10, kClients);
  truth.expect(unread.phases({"open", "closed"}).evidence("unread_bytes", Json::range(kMuch, 1e9)));
  truth.allow("stall-zero-window", "peer-not-reading");
  truth.allow("stall-unread");
}

void starve(Truth& truth, const Starve& how) {
  // A body does not fit into a receive queue: the windows shut.
  sysctl("net.ipv4.tcp_rmem", "4096 65536 131072");
  const ScratchFolder folder;
  const Child node = spawn_node(folder, kService, how.backlog);
  const Child ab = spawn_ab(folder, how);
  sleep_ms(1500);
  const auto all_accepted = [] {
    const Seen seen = look();
    return seen.connections >= kClients && seen.unaccepted == 0;
  };
  if (how.keeps_alive) require(wait_until(all_accepted, 15'000, 50), "not all clients were accepted");
  const double busy_before = process_cpu_seconds(node.pid);
  const long overflows_before = mib("TcpExt", "ListenOverflows");
  const int64_t ms = how.stopped ? 5000 : 8000;
  std::optional<Child> spinner;
  if (how.stopped)
    node.kill_now(SIGSTOP);
  else
    spinner = spawn_spinner(ms);
  sleep_ms(ms - 1000);
  const Seen seen = look();
  const char state = process_state(node.pid);
  const double busy = process_cpu_seconds(node.pid) - busy_before;
  const long overflows = mib("TcpExt", "ListenOverflows") - overflows_before;
  if (how.stopped) {
    sleep_ms(1000);
    node.kill_now(SIGCONT);
  } else {
    (void)spinner->line.hear();
  }
  sleep_ms(1500);
  truth.process("node", node);
  truth.process("ab", ab);
  truth.measured("unread_connections", seen.unread);
  truth.measured("accept_queue", seen.unaccepted);
  truth.measured("listen_overflows", overflows);
  truth.measured("process_state", std::string(1, state));
  truth.measured("cpu_seconds", busy);
  errno = 0;
  require(how.keeps_alive ? seen.unread >= kClients / 4 : overflows > 0 && seen.unaccepted > how.backlog,
          "too little happened: " + truth.line("i7", ""));
  require(how.stopped ? state == 'T' : busy > 2, "node was not busy: " + truth.line("i7", ""));
  expect_starved(truth, how, node, seen);
  // Their ends take connections with them, which is no part of the incident.
  truth.allow("reset");
  truth.allow("closed-mid-request");
  ab.kill_now(SIGKILL);
  (void)ab.join();
  sleep_ms(300);
  node.kill_now(SIGKILL);
  (void)node.join();
  if (spinner) spinner->quit();
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  return cause::main_of(argc, argv, "i7", "a Node.js server whose event loop does not run",
                        {
                            {"busy", "8 s of work in a handler, under ab -c 200: nobody accepts",
                             [](Truth& t) { starve(t, {.backlog = 100, .keeps_alive = false}); }, 60},
                            {"busy-upload", "the same under ab -k -c 200 with uploads: nobody reads",
                             [](Truth& t) { starve(t, {}); }, 60},
                            {"stopped", "stopped by a signal for 5 s, under ab -k -c 200 with uploads",
                             [](Truth& t) { starve(t, {.stopped = true}); }, 60},
                        });
}
