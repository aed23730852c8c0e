// SPDX-License-Identifier: GPL-2.0-only
// Clients that believe they are connected hang: the accept queue is full, or a firewall ate the handshake's last ACK.
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "scenarios.hpp"

namespace {

using namespace cause;

constexpr size_t kRequest = 5;
constexpr size_t kReply = 5;
constexpr int kClients = 3;

// Connects, sends, and tells for each connection: port, how long until ESTABLISHED, how long unacknowledged.
void eaten_client(Line& line, const Endpoint& service) {
  (void)line.hear();
  std::ostringstream report;
  struct One {
    int fd;
    int64_t sent_at;
    int64_t acked_at;
  };
  std::vector<One> all;
  for (int i = 0; i < kClients; ++i) {
    const int64_t start = now_ms();
    const int fd = connect_to(service);
    require(now_ms() - start < 200, "the connection was slow to be established");
    send_all(fd, kRequest);
    all.push_back({fd, now_ms(), 0});
  }
  line.say("sent");
  const bool done = wait_until(
      [&] {
        bool every = true;
        for (One& one : all) {
          if (one.acked_at == 0 && unacked_segments(one.fd) == 0) one.acked_at = now_ms();
          every = every && one.acked_at != 0;
        }
        return every;
      },
      30'000);
  errno = 0;
  require(done, "a connection never completed");
  report << local_of(all[0].fd).addr;
  for (const One& one : all) {
    require(read_up_to(one.fd, kReply) == kReply, "no reply");
    report << ' ' << local_of(one.fd).port << ' ' << one.acked_at - one.sent_at;
  }
  for (const One& one : all) close(one.fd);
  line.say(report.str());
  (void)line.hear();
}

void prompt_server(Line& line, const std::string& addr) {
  const int listener = listen_on(addr, 64);
  line.say(std::to_string(local_of(listener).port));
  std::vector<int> accepted;
  for (int i = 0; i < kClients; ++i) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    require(fd >= 0 && read_up_to(fd, kRequest) == kRequest, "the request did not come");
    send_all(fd, kReply);
    accepted.push_back(fd);
  }
  for (const int fd : accepted) (void)read_up_to(fd, 1);
  for (const int fd : accepted) close(fd);
  (void)line.hear();
  close(listener);
}

// The firewall drops every packet without SYN from the clients, past the second SYN-ACK retransmit.
void handshake_ack_lost(Truth& truth, const std::string& addr) {
  const Child server = spawn("prompt-server", [&](Line& line) { prompt_server(line, addr); });
  const Endpoint service{addr, std::stoi(server.line.hear())};
  const Child client = spawn("eaten-client", [&](Line& line) { eaten_client(line, service); });
  run("nft add table inet eater && "
      "nft 'add chain inet eater input { type filter hook input priority 0; }' && "
      "nft 'add rule inet eater input tcp dport " +
      std::to_string(service.port) + " tcp flags & syn == 0 counter drop'");
  client.line.say("go");
  (void)client.line.hear();
  sleep_ms(3700);
  const long synack_retransmits = mib("TcpExt", "TCPSynRetrans");
  run("nft delete table inet eater");
  std::istringstream report(client.line.hear());
  std::string client_addr;
  report >> client_addr;
  std::vector<int> ports;
  int64_t longest = 0;
  int64_t shortest = 1 << 30;
  int port = 0;
  int64_t hang = 0;
  while (report >> port >> hang) {
    ports.push_back(port);
    longest = std::max(longest, hang);
    shortest = std::min(shortest, hang);
  }
  errno = 0;
  require(synack_retransmits >= 2 * kClients,
          "SYN-ACKs were sent again only " + std::to_string(synack_retransmits) + " times");
  require(shortest >= 3500, "a connection did not hang");

  truth.process("server", server);
  truth.process("client", client);
  truth.measured("hang_ms", Json::range(static_cast<double>(shortest), static_cast<double>(longest)));
  truth.measured("synack_retransmits", synack_retransmits);
  Expect synack("synack-retransmit-unexpected", "handshake-ack-lost");
  synack.severity("critical").culprit_kinds({"local-firewall"}).service(service).owner(server.pid).peer(client.pid);
  synack.count(kClients, kClients).story("a").phases({"open"}).evidence("client_acked", false);
  for (const int p : ports) synack.connection(service, {client_addr, p});
  truth.expect(synack);
  Expect stall("stall-unacked", "dropped-locally");
  stall.severity("critical").culprit_kinds({"local-firewall"}).service(service).owner(client.pid).peer(server.pid);
  stall.count(kClients, kClients).story("a").phases({"open", "closed"}).ended({"recovered"});
  stall.duration(static_cast<double>(shortest) - 2500, static_cast<double>(longest) + 1500);
  for (const int p : ports) stall.connection({client_addr, p}, service);
  truth.expect(stall);
  client.quit();
  server.quit();
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  return cause::main_of(
      argc, argv, "i1", "clients that are connected hang in the server's handshake",
      {
          {"ipv4", "the accept queue is full",
           [](Truth& t) { accept_queue_full(t, loopback_stage("127.0.0.1"), false); }, 40},
          {"ipv6", "the same over IPv6", [](Truth& t) { accept_queue_full(t, loopback_stage("::1"), false); }, 40},
          {"cookies", "the same with tcp_syncookies=2: no SYN-ACK is sent again",
           [](Truth& t) { accept_queue_full(t, loopback_stage("127.0.0.1"), true); }, 40},
          {"handshake-ack-lost", "a firewall eats the final ACK and the data",
           [](Truth& t) { handshake_ack_lost(t, "127.0.0.1"); }, 40},
          {"handshake-ack-lost-ipv6", "the same over IPv6", [](Truth& t) { handshake_ack_lost(t, "::1"); }, 40},
      });
}
