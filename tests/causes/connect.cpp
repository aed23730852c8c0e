// SPDX-License-Identifier: GPL-2.0-only
// Connects that do not succeed, or take long.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "puppet.hpp"

namespace {

using namespace cause;

const char kAddr[] = "127.0.0.1";

void rule(const std::string& text) {
  if (try_run("nft list table inet eater") != 0)
    run("nft add table inet eater && nft 'add chain inet eater input { type filter hook input priority 0; }'");
  run("nft 'add rule inet eater input " + text + "'");
}

std::string to_port(const Endpoint& service) { return "tcp dport " + std::to_string(service.port) + " counter "; }

// How often a SYN of this namespace was sent again (no SYN-ACK is, in these variants).
long syn_retransmits() { return mib("TcpExt", "TCPSynRetrans"); }

const char* stalled_severity(long retransmits) {
  if (retransmits >= 3) return "critical";
  return retransmits == 2 ? "warning" : "info";
}

// A neighbour that does not exist has a fixed address: SYNs leave and nothing comes back.
Endpoint silent_peer(Truth& truth) {
  const VethPair pair = fresh_veth_pair();
  truth.netns = {pair.left, pair.right};
  run("ip neigh add 10.77.0.9 lladdr 02:00:00:00:de:ad dev left0 nud permanent");
  return {"10.77.0.9", 8080};
}

void timeout(Truth& truth) {
  const Endpoint service = silent_peer(truth);
  sysctl("net.ipv4.tcp_syn_retries", "2");
  const Puppet client("patient-client");
  const int64_t start = now_ms();
  const int error = client.try_connect(service, 1, 30'000).at(0);
  errno = 0;
  require(error == ETIMEDOUT, "connect ended with " + std::to_string(error));
  const auto took = static_cast<double>(now_ms() - start);
  const long again = syn_retransmits();
  truth.measured("took_ms", took);
  truth.measured("syn_retransmits", again);
  truth.process("client", client.child());
  truth.expect(Expect("connect-timeout", "peer-silent")
                   .severity("critical")
                   .culprit_kinds({"remote-host", "network", "unknown"})
                   .service(service)
                   .owner(client.pid())
                   .count(1, 1)
                   .phases({"event"})
                   .story("a")
                   .evidence("errno", ETIMEDOUT)
                   .evidence("syn_retransmits", again));
  truth.expect(Expect("connect-stalled", "peer-silent")
                   .severity(stalled_severity(again))
                   .culprit_kinds({"remote-host", "network", "unknown"})
                   .service(service)
                   .owner(client.pid())
                   .count(1, 1)
                   .phases({"open", "closed"})
                   .ended({"timed-out"})
                   .story("a"));
  client.quit();
}

void gave_up(Truth& truth) {
  const Endpoint service = silent_peer(truth);
  const Puppet client("hasty-client");
  const int error = client.try_connect(service, 1, 1400).at(0);
  errno = 0;
  require(error == EINPROGRESS, "connect ended with " + std::to_string(error));
  const long again = syn_retransmits();
  errno = 0;
  require(again >= 1, "the SYN was not sent again");
  truth.process("client", client.child());
  truth.expect(Expect("connect-timeout", "peer-silent")
                   .severity("warning")
                   .culprit_kinds({"remote-host", "network", "unknown"})
                   .service(service)
                   .owner(client.pid())
                   .count(1, 1)
                   .phases({"event"})
                   .evidence("syn_retransmits", again));
  client.quit();
}

void dropped(Truth& truth) {
  const Puppet server("walled-server");
  const Puppet client("walled-client");
  const Endpoint service = server.listen(kAddr);
  sysctl("net.ipv4.tcp_syn_retries", "2");
  // Since 6.5, the first retransmits may be a second apart each.
  if (try_run("test -e /proc/sys/net/ipv4/tcp_syn_linear_timeouts") == 0)
    sysctl("net.ipv4.tcp_syn_linear_timeouts", "0");
  rule(to_port(service) + "drop");
  const int error = client.try_connect(service, 1, 30'000).at(0);
  errno = 0;
  require(error == ETIMEDOUT, "connect ended with " + std::to_string(error));
  const long again = syn_retransmits();
  truth.measured("syn_retransmits", again);
  truth.process("server", server.child());
  truth.process("client", client.child());
  truth.expect(Expect("connect-timeout", "dropped-locally")
                   .severity("critical")
                   .culprit_kinds({"local-firewall"})
                   .service(service)
                   .owner(client.pid())
                   .count(1, 1)
                   .phases({"event"})
                   .story("a")
                   .evidence("errno", ETIMEDOUT)
                   .evidence("syn_retransmits", again));
  truth.expect(Expect("connect-stalled", "dropped-locally")
                   .severity(stalled_severity(again))
                   .culprit_kinds({"local-firewall"})
                   .service(service)
                   .owner(client.pid())
                   .count(1, 1)
                   .phases({"open", "closed"})
                   .story("a"));
  client.quit();
  server.quit();
}

// A blocking connect learns it with the first repeat of its SYN, another one at once.
void icmp_reject(Truth& truth, const std::string& with, int wanted, bool blocking) {
  const Puppet server("walled-server");
  const Puppet client("walled-client");
  const Endpoint service = server.listen(kAddr);
  rule(to_port(service) + "reject with icmp type " + with);
  const int64_t start = now_ms();
  const int error = client.try_connect(service, 1, blocking ? -1 : 20'000).at(0);
  errno = 0;
  require(error == wanted, "connect ended with " + std::to_string(error));
  truth.measured("took_ms", static_cast<long>(now_ms() - start));
  truth.process("server", server.child());
  truth.process("client", client.child());
  Expect rejected("connect-timeout", "rejected");
  rejected.severity("critical")
      .culprit_kinds({"local-firewall"})
      .service(service)
      .owner(client.pid())
      .count(1, 1)
      .phases({"event"});
  // At once means that connect() itself returned the error: the socket keeps none for anybody to see.
  if (blocking) rejected.evidence("errno", wanted);
  truth.expect(rejected);
  truth.allow("connect-stalled");
  client.quit();
  server.quit();
}

void nft_reset(Truth& truth) {
  constexpr int kAttempts = 5;
  const Puppet server("walled-server");
  const Puppet client("walled-client");
  const Endpoint service = server.listen(kAddr);
  rule(to_port(service) + "reject with tcp reset");
  const long refused = count_of(client.try_connect(service, kAttempts, 3000, 20), ECONNREFUSED);
  errno = 0;
  require(refused == kAttempts, "only " + std::to_string(refused) + " connects were refused");
  truth.process("server", server.child());
  truth.process("client", client.child());
  truth.expect(Expect("connect-refused", "local-firewall")
                   .severity("critical")
                   .culprit_kinds({"local-firewall"})
                   .service(service)
                   .owner(client.pid())
                   .count(refused, refused)
                   .phases({"event"})
                   .evidence("attempts", refused));
  client.quit();
  server.quit();
}

void ports_exhausted(Truth& truth) {
  constexpr int kPorts = 4;
  constexpr int kMore = 3;
  sysctl("net.ipv4.ip_local_port_range", "40000 40003");
  const Puppet server("roomy-server");
  const Puppet client("portless-client");
  const Endpoint service = server.listen(kAddr);
  const std::vector<int> errors = client.try_connect(service, kPorts + kMore, 1000);
  const long failed = count_of(errors, EADDRNOTAVAIL);
  errno = 0;
  require(failed >= kMore, "only " + std::to_string(failed) + " connects found no port");
  const long connected = count_of(errors, 0);
  for (long i = 0; i < connected; ++i) server.accept();
  truth.measured("connected", connected);
  truth.process("server", server.child());
  truth.process("client", client.child());
  truth.expect(Expect("connect-timeout", "ports-exhausted")
                   .severity("critical")
                   .culprit_kinds({"kernel-limit"})
                   .owner(client.pid())
                   .count(failed, failed)
                   .phases({"event"})
                   .evidence("errno", EADDRNOTAVAIL));
  client.close_all();
  server.close_all();
  client.quit();
  server.quit();
}

// The firewall drops the SYN and its first two repeats.
void stalled_then_ok(Truth& truth) {
  const Puppet server("late-server");
  const Puppet client("late-client");
  const Endpoint service = server.listen(kAddr);
  rule(to_port(service) + "drop");
  std::thread mend([] {
    sleep_ms(2500);
    run("nft delete table inet eater");
  });
  const int64_t start = now_ms();
  const int error = client.try_connect(service, 1, 20'000).at(0);
  const auto took = static_cast<double>(now_ms() - start);
  mend.join();
  errno = 0;
  require(error == 0 && took >= 2500, "connect ended with " + std::to_string(error));
  const int retransmits = client.retransmits();
  errno = 0;
  require(retransmits >= 2, "the SYN was sent again only " + std::to_string(retransmits) + " times");
  const Endpoint own = client.locals().at(0);
  server.accept();
  client.close();
  server.close();
  truth.measured("took_ms", took);
  truth.measured("syn_retransmits", retransmits);
  truth.process("server", server.child());
  truth.process("client", client.child());
  Expect stalled("connect-stalled", "dropped-locally");
  // The last repeat is answered at once; whether it counts is a matter of microseconds.
  if (retransmits != 3) stalled.severity(stalled_severity(retransmits));
  stalled.culprit_kinds({"local-firewall"});
  stalled.service(service).owner(client.pid()).count(1, 1).connection(own, service);
  stalled.phases({"open", "closed"}).ended({"recovered"}).duration(took - 1500, took + 1500);
  stalled.evidence("syn_retransmits", Json::range(2, retransmits));
  truth.expect(stalled);
  if (retransmits >= 3) truth.allow("connect-stalled", "dropped-locally", "critical");
  client.quit();
  server.quit();
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  return cause::main_of(argc, argv, "connect", "connects that fail or take long",
                        {
                            {"timeout", "SYNs vanish, tcp_syn_retries=2", timeout, 40},
                            {"gave-up", "SYNs vanish and the program gives up after the first repeat", gave_up, 30},
                            {"dropped", "a firewall of this host drops the SYNs", dropped, 40},
                            {"icmp-host-unreachable", "a firewall rejects: EHOSTUNREACH",
                             [](Truth& t) { icmp_reject(t, "host-unreachable", EHOSTUNREACH, false); }, 30},
                            {"icmp-blocking", "the same to a blocking connect",
                             [](Truth& t) { icmp_reject(t, "host-unreachable", EHOSTUNREACH, true); }, 30},
                            {"icmp-port-unreachable", "a firewall rejects: ECONNREFUSED without an RST",
                             [](Truth& t) { icmp_reject(t, "port-unreachable", ECONNREFUSED, false); }, 30},
                            {"nft-reset", "a firewall answers with an RST", nft_reset, 30},
                            {"ports-exhausted", "no local port is left", ports_exhausted, 30},
                            {"stalled-then-ok", "a firewall drops SYNs for 2.5 s", stalled_then_ok, 30},
                        });
}
