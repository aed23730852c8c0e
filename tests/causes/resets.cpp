// SPDX-License-Identifier: GPL-2.0-only
// Every way in which a connection ends with an RST, with both ends on this host.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "puppet.hpp"
#include "scenarios.hpp"

namespace {

using namespace cause;

constexpr size_t kRequest = 100;
const char kAddr[] = "127.0.0.1";

struct Pair {
  Puppet server{"reset-server"};
  Puppet client{"reset-client"};
  Endpoint service;
  Endpoint own;  // the client's end

  Pair() {
    service = server.listen(kAddr);
    own = client.connect(service);
    server.accept();
  }
  void request() const {
    client.send(kRequest);
    server.read(kRequest);
  }
  void tell(Truth& truth) const {
    truth.process("server", server.child());
    truth.process("client", client.child());
  }
  [[nodiscard]] Expect reset(const std::string& cause, const std::string& severity, pid_t culprit) const {
    Expect out("reset", cause);
    out.severity(severity).culprit(culprit).service(service).ends(server.pid(), client.pid());
    out.count(1, 2).ids(1, 2).connection(own, service).story("a").phases({"event"});
    return out;
  }
};

void must_be(int got, int wanted, const std::string& who) {
  errno = 0;
  require(got == wanted, who + " saw " + std::to_string(got) + " instead of " + std::to_string(wanted));
}

void linger0_outstanding(Truth& truth) {
  const Pair pair;
  pair.request();
  pair.server.close(true);
  must_be(pair.client.recv_error(), ECONNRESET, "the client");
  pair.tell(truth);
  truth.expect(pair.reset("linger-zero", "critical", pair.server.pid())
                   .evidence("reply_owed", true)
                   .evidence("state_before", "ESTABLISHED"));
}

void linger0_idle(Truth& truth) {
  const Pair pair;
  pair.request();
  pair.server.send(kRequest);
  pair.client.read(kRequest);
  pair.client.close(true);
  must_be(pair.server.recv_error(), ECONNRESET, "the server");
  pair.tell(truth);
  truth.silent = true;
  truth.expect(pair.reset("linger-zero", "info", pair.client.pid()).evidence("reply_owed", false));
}

void client_abandoned(Truth& truth) {
  const Pair pair;
  pair.request();
  pair.client.close(true);
  must_be(pair.server.recv_error(), ECONNRESET, "the server");
  pair.tell(truth);
  truth.silent = true;
  truth.expect(pair.reset("client-abandoned", "info", pair.client.pid()));
}

// The server's side is TIME_WAIT's kind of FIN_WAIT2 (closed) or a full FIN_WAIT2 (shut down, still held).
void data_after(Truth& truth, bool closed) {
  const Pair pair;
  pair.request();
  pair.server.send(kRequest);
  pair.client.read(kRequest);
  if (closed)
    pair.server.close();
  else
    pair.server.shutdown(SHUT_RDWR);
  must_be(pair.client.recv_error(), 0, "the client");  // the FIN
  pair.client.send(kRequest);
  // The RST that answers is told as EPIPE, for the peer had closed already.
  const int error = pair.client.recv_error();
  errno = 0;
  require(error == 0 || error == EPIPE || error == ECONNRESET, "the client saw " + std::to_string(error));
  errno = 0;
  require(mib("Tcp", "OutRsts") == 1, "no RST was sent");
  pair.tell(truth);
  truth.expect(pair.reset("data-after-close", "critical", pair.server.pid()));
}

// Five clients are connected and have sent; nobody ever accepts them.
void never_accepted(Truth& truth, bool dies) {
  constexpr int kClients = 5;
  const Puppet server("reset-server");
  const Puppet client("reset-client");
  const Endpoint service = server.listen(kAddr, 16);
  for (int i = 0; i < kClients; ++i) {
    client.connect(service);
    client.send(kRequest);
    (void)client.acked_after(1000);
  }
  const std::vector<Endpoint> ends = client.locals();
  if (dies)
    server.die();
  else
    server.close_listener();
  must_be(static_cast<int>(count_of(client.recv_errors(), ECONNRESET)), kClients, "clients reset");
  truth.process("server", server.child());
  truth.process("client", client.child());
  Expect reset("reset", "never-accepted");
  reset.severity("critical").culprit(server.pid()).service(service).peer(client.pid()).count(kClients, 2 * kClients);
  reset.ids(1, 2).story("a");
  for (const Endpoint& own : ends) reset.connection(own, service);
  truth.expect(reset);
}

void ss_kill(Truth& truth) {
  const Pair pair;
  pair.request();
  const std::string filter = "sport = :" + std::to_string(pair.service.port);
  const Child killer = spawn("ss", [&](Line& line) {
    (void)line.hear();
    const int null = ::open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO);
    execlp("ss", "ss", "-K", "-t", "-n", "state", "established", filter.c_str(), nullptr);
    _exit(127);
  });
  killer.line.say("go");
  const int status = killer.join();
  errno = 0;
  require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "ss -K failed");
  const int error = pair.client.recv_error(2000);
  if (error == EAGAIN) skip("this kernel cannot destroy sockets (INET_DIAG_DESTROY)");
  must_be(error, ECONNRESET, "the client");
  must_be(pair.server.recv_error(), ECONNABORTED, "the server");
  pair.tell(truth);
  truth.process("killer", killer);
  truth.expect(pair.reset("socket-destroyed", "critical", killer.pid));
}

void af_unspec(Truth& truth) {
  const Pair pair;
  pair.request();
  pair.server.disconnect();
  must_be(pair.client.recv_error(), ECONNRESET, "the client");
  pair.tell(truth);
  truth.expect(pair.reset("disconnect", "critical", pair.server.pid()).evidence("reply_owed", true));
}

void block(const Endpoint& service, bool replies_too) {
  const std::string port = std::to_string(service.port);
  run("nft add table inet eater && nft 'add chain inet eater input { type filter hook input priority 0; }' && "
      "nft 'add rule inet eater input tcp dport " +
      port + " counter drop'");
  if (replies_too) run("nft 'add rule inet eater input tcp sport " + port + " counter drop'");
}

void keepalive_timeout(Truth& truth) {
  const Pair pair;
  pair.request();
  pair.server.send(kRequest);
  pair.client.read(kRequest);
  block(pair.service, true);
  pair.client.keepalive(1, 1, 2);
  const int64_t start = now_ms();
  must_be(pair.client.recv_error(15'000), ETIMEDOUT, "the client");
  truth.measured("took_ms", static_cast<long>(now_ms() - start));
  pair.server.vanish_all();
  pair.tell(truth);
  Expect timed_out("timed-out", "keepalive-timeout");
  timed_out.severity("critical").culprit_kinds({"local-firewall"}).service(pair.service);
  timed_out.owner(pair.client.pid()).peer(pair.server.pid()).count(1, 1).connection(pair.own, pair.service);
  timed_out.phases({"event"}).evidence("rst_sent", true);
  truth.expect(timed_out);
}

void firewall_eats(Truth& truth) {
  const Pair pair;
  pair.request();
  pair.server.send(kRequest);
  pair.client.read(kRequest);
  block(pair.service, false);
  constexpr int kBytes = 1386;
  pair.client.send(kBytes);
  const int64_t start = now_ms();
  sleep_ms(3400);
  must_be(pair.client.in_flight(), kBytes, "bytes in flight");
  run("nft delete table inet eater");
  (void)pair.client.acked_after(20'000);
  const auto took = static_cast<double>(now_ms() - start);
  pair.server.read(kBytes);
  pair.client.close();
  pair.server.close();
  pair.tell(truth);
  truth.measured("stalled_ms", took);
  Expect stall("stall-unacked", "dropped-locally");
  stall.severity("critical").culprit_kinds({"local-firewall"}).service(pair.service);
  stall.owner(pair.client.pid()).peer(pair.server.pid()).count(1, 1).connection(pair.own, pair.service);
  stall.phases({"open", "closed"}).ended({"recovered"}).duration(took - 2500, took + 1500);
  stall.evidence("unacked_bytes", kBytes).evidence("rtos", Json::range(3, 10));
  truth.expect(stall);
}

// A worker dies in the middle of a request of which it has read a part.
void process_exit(Truth& truth, bool killed) {
  constexpr size_t kSent = 1386;
  constexpr size_t kRead = 100;
  const Pair pair;
  pair.client.send(kSent);
  pair.server.peek(kSent);
  pair.server.read(kRead);
  if (killed)
    pair.server.die();
  else
    pair.server.exit(3);
  must_be(pair.client.recv_error(), ECONNRESET, "the client");
  pair.tell(truth);
  Expect reset = pair.reset("process-exit", "critical", pair.server.pid());
  reset.evidence("reply_owed", true).evidence("unread_bytes", kSent - kRead);
  if (killed)
    reset.evidence("exit_signal", SIGKILL);
  else
    reset.evidence("exit_code", 3);
  truth.expect(reset);
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  return cause::main_of(
      argc, argv, "resets", "connections end with an RST",
      {
          {"unread-data", "close() with unread data",
           [](Truth& t) { close_with_unread_data(t, loopback_stage(kAddr), 3); }, 30},
          {"linger0-outstanding", "linger 0 while a reply is owed", linger0_outstanding, 30},
          {"linger0-idle", "linger 0 with nothing outstanding: only worth knowing", linger0_idle, 30},
          {"client-abandoned", "the end that is owed a reply aborts: only worth knowing", client_abandoned, 30},
          {"data-after-close", "data comes after close()", [](Truth& t) { data_after(t, true); }, 30},
          {"data-after-shutdown", "data comes after shutdown()", [](Truth& t) { data_after(t, false); }, 30},
          {"listener-closed", "the listener is closed with unaccepted children",
           [](Truth& t) { never_accepted(t, false); }, 30},
          {"listener-killed", "the listener's process is killed with unaccepted children",
           [](Truth& t) { never_accepted(t, true); }, 30},
          {"ss-kill", "ss -K", ss_kill, 30},
          {"af-unspec", "connect(AF_UNSPEC)", af_unspec, 30},
          {"keepalive-timeout", "a firewall eats the keepalive probes", keepalive_timeout, 30},
          {"firewall-eats", "a firewall eats the packets of a connection for some seconds", firewall_eats, 40},
          {"process-killed", "a worker is killed mid-request", [](Truth& t) { process_exit(t, true); }, 30},
          {"process-exit", "a worker exits mid-request", [](Truth& t) { process_exit(t, false); }, 30},
      });
}
