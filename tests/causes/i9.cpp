// SPDX-License-Identifier: GPL-2.0-only
// The peer of an idle connection is gone without a word, like a machine that is saved to disk.
#include <cerrno>

#include "puppet.hpp"

namespace {

using namespace cause;

struct Idle {
  VethPair pair;
  Endpoint service;
  Endpoint remote;
};

// A connection from the second namespace to a server in this one, over which something has been said.
Idle connect_idle(const Puppet& server, const Puppet& client, const VethPair& pair) {
  Idle idle{pair, server.listen("10.77.0.1"), {}};
  idle.remote = client.connect(idle.service);
  server.accept();
  client.send(100);
  server.read(100);
  server.send(200);
  client.read(200);
  sleep_ms(200);  // the last ACK
  return idle;
}

// First its cable, so that nothing of its end is heard; then its socket, so that the peer is not on this host.
void vanish_link_down(const Idle& idle, const Puppet& client) {
  idle.pair.right.enter();
  run("ip link set right0 down");
  client.vanish_all();
  idle.pair.left.enter();
}

// The same where the link stays up, like behind a switch: frames go to an address that nobody has any more.
void vanish_behind_switch(const Idle& idle, const Puppet& client) {
  idle.pair.left.enter();
  run("ip neigh replace 10.77.0.2 lladdr 02:00:00:00:de:ad dev left0 nud permanent");
  client.vanish_all();
}

using Vanish = void (*)(const Idle&, const Puppet&);

void vanished(Truth& truth, Vanish vanish, const std::string& stall_cause, const std::vector<std::string>& culprits) {
  const VethPair pair = fresh_veth_pair();
  truth.netns = {pair.left, pair.right};
  const Puppet server("idle-server", &pair.left);
  const Puppet client("hibernating", &pair.right);
  const Idle idle = connect_idle(server, client, pair);
  vanish(idle, client);
  sleep_ms(5000);
  const double sent_at = epoch_now();
  server.send(500);
  sleep_ms(6000);
  const int in_flight = server.in_flight();
  // Of a frame that still waits for its neighbour's address the kernel sends no copy: only the timer counts on.
  const int backoffs = server.backoffs();
  errno = 0;
  require(in_flight == 500 && backoffs >= 3, "in flight: " + std::to_string(in_flight) + " bytes");
  truth.process("server", server.child());
  truth.process("client", client.child());
  truth.measured("retransmits", server.retransmits());
  truth.measured("backoffs", backoffs);
  truth.expect(Expect("half-open-risk", "no-keepalive")
                   .severity("info")
                   .service(idle.service)
                   .owner(server.pid())
                   .count(1, 1)
                   .connection(idle.service, idle.remote)
                   .phases({"open"}));
  Expect stall("stall-unacked", stall_cause);
  stall.severity("critical").culprit_kinds(culprits).service(idle.service).owner(server.pid()).count(1, 1);
  stall.connection(idle.service, idle.remote).phases({"open"}).evidence("unacked_bytes", 500);
  // tcp_retries2 is 15: after 924.6 s and the rest of the step in which that ends, which is at most 120 s.
  stall.evidence("gives_up_at", Json::object().set("epoch_min", sent_at + 900).set("epoch_max", sent_at + 1070));
  stall.ids(1, 2);  // what was unknown may become known
  truth.expect(stall);
  server.vanish_all();  // an end without a packet
  client.quit();
  server.quit();
}

void keepalive(Truth& truth, Vanish vanish) {
  const VethPair pair = fresh_veth_pair();
  truth.netns = {pair.left, pair.right};
  const Puppet server("careful-server", &pair.left);
  const Puppet client("hibernating", &pair.right);
  const Idle idle = connect_idle(server, client, pair);
  server.keepalive(1, 1, 2);
  const int64_t start = now_ms();
  vanish(idle, client);
  const int error = server.recv_error(15'000);
  const int64_t took = now_ms() - start;
  errno = 0;
  require(error == ETIMEDOUT, "the connection ended with error " + std::to_string(error));
  truth.process("server", server.child());
  truth.process("client", client.child());
  truth.measured("took_ms", static_cast<long>(took));
  truth.never("half-open-risk");
  truth.expect(Expect("timed-out", "keepalive-timeout")
                   .severity("critical")
                   .culprit_kinds({"remote-host", "network", "unknown"})
                   .service(idle.service)
                   .owner(server.pid())
                   .count(1, 1)
                   .connection(idle.service, idle.remote)
                   .phases({"event"})
                   .evidence("rst_sent", true));
  server.close();
  client.quit();
  server.quit();
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  const std::vector<std::string> soon = {"--threshold", "half-open-risk=3s"};
  // Sooner than the keepalive ends the connection, which is no risk because it does.
  const std::vector<std::string> sooner = {"--threshold", "half-open-risk=1s"};
  return cause::main_of(
      argc, argv, "i9", "the peer of an idle connection vanishes",
      {
          {"vanish", "its link goes down; later this end sends",
           [](Truth& t) {
             vanished(t, vanish_link_down, "unreachable|peer-gone|unknown", {"network", "remote-host", "unknown"});
           },
           40, soon},
          {"vanish-silently", "nothing but silence; later this end sends",
           [](Truth& t) {
             vanished(t, vanish_behind_switch, "peer-gone|unknown", {"network", "remote-host", "unknown"});
           },
           40, soon},
          {"keepalive", "its link goes down; keepalive after 1 s, 1 s, 2 probes",
           [](Truth& t) { keepalive(t, vanish_link_down); }, 40, sooner},
          {"keepalive-silently", "nothing but silence; the same keepalive",
           [](Truth& t) { keepalive(t, vanish_behind_switch); }, 40, sooner},
      });
}
