// SPDX-License-Identifier: GPL-2.0-only
// The path is cut in the middle of a transfer, and comes back, or does not.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>

#include <sstream>

#include "puppet.hpp"

namespace {

using namespace cause;

// Sends as fast as it can until told to stop; then waits for what is unacknowledged to be so no more.
// Says the end's address; "stopped BYTES"; "in flight"; then "acked MS" or "error ERRNO MS EPOCH".
void pump(Line& line, const Endpoint& service) {
  const int fd = connect_to(service);
  const Endpoint own = local_of(fd);
  line.say(own.addr + ' ' + std::to_string(own.port));
  const std::string block(4096, 'x');
  while (!line.heard()) (void)send(fd, block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  (void)line.hear();  // "cut"
  const int64_t cut_at = now_ms();
  const int rto_ms = retransmission_timeout_ms(fd);
  // What was on its way when the path was cut is acknowledged at once; from then on nothing is.
  sleep_ms(50);
  (void)send(fd, block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  sleep_ms(50);
  line.say(std::to_string(bytes_in_flight(fd)));
  (void)line.hear();  // "how much"
  const int in_flight = bytes_in_flight(fd);
  line.say(std::to_string(in_flight) + ' ' + std::to_string(bytes_queued(fd)) + ' ' + std::to_string(rto_ms));
  pollfd entry{fd, 0, 0};
  const bool over = wait_until([&] { return bytes_in_flight(fd) != in_flight || poll(&entry, 1, 0) > 0; }, 40'000, 1);
  const int64_t took = now_ms() - cut_at;
  const double epoch = epoch_now();
  errno = 0;
  require(over, "the stall did not end");
  const int error = poll(&entry, 1, 0) > 0 ? socket_error(fd) : 0;
  std::ostringstream report;
  report << error << ' ' << took << ' ' << std::fixed << epoch;
  line.say(report.str());
  if (error == 0) (void)wait_until([&] { return unacked_segments(fd) == 0; }, 10'000);
  close(fd);
  (void)line.hear();
}

void drain(Line& line, const std::string& addr) {
  const int listener = listen_on(addr, 8);
  line.say(std::to_string(local_of(listener).port));
  const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  char block[65536];
  pollfd entries[2] = {{fd, POLLIN, 0}, {line.fd(), POLLIN, 0}};
  while (poll(entries, 2, -1) > 0 && entries[1].revents == 0)
    if (recv(fd, block, sizeof block, 0) <= 0) break;
  (void)line.hear();
  vanish(fd);
  close(listener);
}

struct Cut {
  std::string cause;
  std::vector<std::string> culprits;
  std::function<void(const VethPair&, const Endpoint&)> cut;
  std::function<void(const VethPair&)> mend;  // none: never
};

Cut by_firewall() {
  return {"dropped-locally",
          {"local-firewall"},
          [](const VethPair& pair, const Endpoint& service) {
            pair.right.enter();
            run("nft add table inet cut && "
                "nft 'add chain inet cut input { type filter hook input priority 0; }' && "
                "nft 'add rule inet cut input tcp dport " +
                std::to_string(service.port) + " counter drop'");
          },
          [](const VethPair& pair) {
            pair.right.enter();
            run("nft delete table inet cut");
          }};
}

// Frames go out to an address that nobody has: no firewall, no error, nothing comes back.
Cut by_wrong_neighbour() {
  return {"unknown",
          {"network", "unknown"},
          [](const VethPair& pair, const Endpoint&) {
            pair.left.enter();
            run("ip neigh replace 10.77.0.2 lladdr 02:00:00:00:de:ad dev left0 nud permanent");
          },
          [](const VethPair& pair) {
            pair.right.enter();
            const std::string mac =
                run("cat /sys/class/net/right0/address 2>/dev/null || "
                    "ip -o link show right0 | sed 's/.*ether \\([0-9a-f:]*\\).*/\\1/'");
            pair.left.enter();
            run("ip neigh replace 10.77.0.2 lladdr " + mac.substr(0, 17) + " dev left0 nud permanent");
          }};
}

// What the client measured on its own socket.
struct Stall {
  Endpoint own;
  int early = 0;  // bytes in flight at once, and when it had lasted for a while
  int late = 0;
  int queued = 0;  // Send-Q: what is in flight, and what has not been sent yet
  int rto_ms = 0;
  int error = 0;
  int64_t took_ms = 0;
  double ended = 0;  // wall clock
};

Stall cut_path(const Child& client, const VethPair& pair, const Cut& how, const Endpoint& service, bool for_good) {
  Stall stall;
  std::istringstream(client.line.hear()) >> stall.own.addr >> stall.own.port;
  sleep_ms(400);
  how.cut(pair, service);
  const int64_t cut_at = now_ms();
  client.line.say("cut");
  stall.early = std::stoi(client.line.hear());
  sleep_ms(for_good ? 1500 : 3500);
  client.line.say("how much");
  std::istringstream(client.line.hear()) >> stall.late >> stall.queued >> stall.rto_ms;
  if (!for_good) how.mend(pair);
  std::istringstream(client.line.hear()) >> stall.error >> stall.took_ms >> stall.ended;
  errno = 0;
  require(stall.early > 0 && stall.late > 0, "nothing was in flight when the path was cut");
  require(stall.error == (for_good ? ETIMEDOUT : 0), "the transfer ended with error " + std::to_string(stall.error));
  require(!for_good || stall.rto_ms >= 225, "the RTO is only " + std::to_string(stall.rto_ms) + " ms");
  require(now_ms() - cut_at >= 3200, "the stall was too short");
  return stall;
}

void expect_stall(Truth& truth, const Stall& stall, const Cut& how, const Endpoint& service, const Child& client,
                  const Child& server) {
  const bool for_good = stall.error != 0;
  const auto took = static_cast<double>(stall.took_ms);
  Expect expect("stall-unacked", how.cause);
  expect.severity("critical").culprit_kinds(how.culprits).service(service).owner(client.pid).peer(server.pid);
  expect.count(1, 1).connection(stall.own, service).story("a").phases({"open", "closed"});
  expect.ended({for_good ? "timed-out" : "recovered"});
  expect.duration(took - 2500, took + 1500);
  expect.evidence("unacked_bytes", Json::range(std::min(stall.early, stall.late), stall.queued));
  expect.evidence("rtos", Json::range(3, 12)).evidence("backoff", Json::range(2, 12));
  if (for_good) {
    const double tolerance = 0.1 * took / 1000;
    expect.evidence("gives_up_at",
                    Json::object().set("epoch_min", stall.ended - tolerance).set("epoch_max", stall.ended + tolerance));
  }
  truth.expect(expect);
}

void expect_time_out(Truth& truth, const Stall& stall, const Cut& how, const Endpoint& service, const Child& client,
                     const Child& server) {
  truth.measured("gave_up_at", stall.ended);
  truth.expect(Expect("timed-out", "retransmit-timeout")
                   .severity("critical")
                   .culprit_kinds(how.culprits)
                   .service(service)
                   .owner(client.pid)
                   .peer(server.pid)
                   .count(1, 1)
                   .connection(stall.own, service)
                   .phases({"event"})
                   .story("a"));
}

void path_cut(Truth& truth, const Cut& how, int retries2) {
  const VethPair pair = fresh_veth_pair();
  truth.netns = {pair.left, pair.right};
  const bool for_good = retries2 > 0;
  if (for_good) {
    sysctl("net.ipv4.tcp_retries2", std::to_string(retries2));
    // The kernel compares with a model that starts at the least RTO (200 ms). A real RTO close to it makes the time of
    // giving up jump by a factor of two; the route makes the RTO long enough to be clear of that.
    run("ip route replace 10.77.0.0/24 dev left0 proto kernel scope link src 10.77.0.1 rto_min 300ms");
  }
  pair.right.enter();
  const Child server = spawn("drain-server", [&](Line& line) { drain(line, "10.77.0.2"); });
  const Endpoint service{"10.77.0.2", std::stoi(server.line.hear())};
  pair.left.enter();
  const Child client = spawn("pump-client", [&](Line& line) { pump(line, service); });
  const Stall stall = cut_path(client, pair, how, service, for_good);

  truth.process("server", server);
  truth.process("client", client);
  truth.measured("in_flight_bytes", Json::array().push(stall.early).push(stall.late));
  truth.measured("queued_bytes", stall.queued);
  truth.measured("rto_ms", stall.rto_ms);
  truth.measured("stalled_ms", static_cast<long>(stall.took_ms));
  if (for_good) expect_time_out(truth, stall, how, service, client, server);
  expect_stall(truth, stall, how, service, client, server);
  // The server goes first: what the client still has to send then meets nobody.
  truth.allow("reset", "data-after-close");
  server.quit();  // without a packet
  client.quit();
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  return cause::main_of(
      argc, argv, "i6", "the path is cut in the middle of a transfer",
      {
          {"cut", "by a firewall of this host; restored", [](Truth& t) { path_cut(t, by_firewall(), 0); }, 40},
          {"blackhole", "frames vanish; restored", [](Truth& t) { path_cut(t, by_wrong_neighbour(), 0); }, 40},
          {"timeout", "by a firewall, tcp_retries2=3: the kernel gives up",
           [](Truth& t) { path_cut(t, by_firewall(), 3); }, 40},
          {"blackhole-timeout", "frames vanish, tcp_retries2=3", [](Truth& t) { path_cut(t, by_wrong_neighbour(), 3); },
           50},
      });
}
