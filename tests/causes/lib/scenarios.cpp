// SPDX-License-Identifier: GPL-2.0-only
#include "scenarios.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

namespace cause {

namespace {

constexpr size_t kRequest = 5;
constexpr size_t kReply = 5;
constexpr int kServedWithinMs = 1000;  // who fits into the queue

void add_namespaces(Truth& truth, const Stage& stage) {
  truth.netns.push_back(stage.client_ns);
  if (stage.server_ns.inode != stage.client_ns.inode) truth.netns.push_back(stage.server_ns);
}

// What one client of the accept queue saw.
struct Wait {
  int fd = -1;
  int64_t sent_at = 0;
  bool stuck = false;
  int64_t hang_ms = 0;
  bool acked = false;
};

void connect_together(std::vector<Wait>& waits, const Endpoint& service) {
  for (Wait& wait : waits) {
    wait.fd = tcp_socket(service.addr, true);
    (void)start_connect(wait.fd, service);
  }
  const std::string data(kRequest, 'x');
  const bool all = wait_until(
      [&] {
        bool done = true;
        for (Wait& wait : waits) {
          if (wait.sent_at != 0) continue;
          pollfd entry{wait.fd, POLLOUT, 0};
          if (poll(&entry, 1, 0) > 0 && (entry.revents & POLLOUT) != 0 &&
              send(wait.fd, data.data(), data.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(data.size()))
            wait.sent_at = now_ms();
          done = done && wait.sent_at != 0;
        }
        return done;
      },
      800, 1);
  errno = 0;
  require(all, "a client was not connected within 800 ms");
}

// The SYN queue has the accept queue's limit, and cookies start above it: so `early` clients fill all places of
// the accept queue but one, and only the rest are in flight together.
// One process with `clients` connections; says "sent", waits for "watch", says one line per stuck connection.
void queue_client(Line& line, const Endpoint& service, size_t early, size_t clients) {
  std::vector<Wait> waits(early);
  (void)line.hear();
  connect_together(waits, service);
  line.say("first");
  (void)line.hear();
  std::vector<Wait> late(clients - early);
  connect_together(late, service);
  waits.insert(waits.end(), late.begin(), late.end());
  line.say("sent");
  (void)line.hear();
  sleep_ms(kServedWithinMs);
  for (Wait& wait : waits) wait.stuck = unacked_segments(wait.fd) > 0;
  const bool all = wait_until(
      [&] {
        bool done = true;
        for (Wait& wait : waits) {
          if (!wait.acked && unacked_segments(wait.fd) == 0) {
            wait.acked = true;
            wait.hang_ms = now_ms() - wait.sent_at;
          }
          done = done && wait.acked;
        }
        return done;
      },
      30'000);
  errno = 0;
  require(all, "a connection never completed");
  std::ostringstream report;
  for (Wait& wait : waits) {
    pollfd entry{wait.fd, POLLIN, 0};
    require(poll(&entry, 1, 5000) > 0 && read_up_to(wait.fd, kReply) == kReply, "no reply");
    if (wait.stuck) report << local_of(wait.fd).port << ' ' << wait.hang_ms << '\n';
  }
  const std::string addr = local_of(waits[0].fd).addr;
  for (Wait& wait : waits) close(wait.fd);
  line.say(addr + "\n" + report.str());
  (void)line.hear();
}

void queue_server(Line& line, const std::string& addr, int backlog, size_t clients) {
  const int listener = listen_on(addr, backlog);
  line.say(std::to_string(local_of(listener).port));
  (void)line.hear();  // "accept"
  std::vector<int> accepted;
  while (accepted.size() < clients) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    require(fd >= 0, "accept");
    accepted.push_back(fd);
    require(read_up_to(fd, kRequest) == kRequest, "the request did not come");
    send_all(fd, kReply);
  }
  for (const int fd : accepted) (void)read_up_to(fd, 1);  // the client closes first
  for (const int fd : accepted) close(fd);
  line.say("served");
  (void)line.hear();
  close(listener);
}

constexpr int kBacklog = 4;
constexpr size_t kClients = 9;
constexpr long kStuck = static_cast<long>(kClients) - (kBacklog + 1);

// What became of the clients that did not fit into the queue.
struct Jam {
  std::string client_addr;
  std::vector<int> ports;
  int64_t shortest = 1 << 30;  // ms until their bytes were acknowledged
  int64_t longest = 0;
  long overflows = 0;
  long synack_retransmits = 0;
  [[nodiscard]] long stuck() const { return static_cast<long>(ports.size()); }
};

// Lets the client fill the queue and more, and waits until the server is to accept again: when each SYN-ACK was sent twice
// again, after 1 s and 3 s of the kernel's clock, which on an emulated processor are late. With cookies none is.
void fill_queue(const Child& client, const Stage& stage, const Endpoint& service, bool cookies) {
  client.line.say("go");
  (void)client.line.hear();
  {
    const SlowPort slow(stage.slow_device, service.port, stage.ipv6());
    client.line.say("go");
    (void)client.line.hear();
    sleep_ms(150);  // the queue of the slow port runs empty
  }
  client.line.say("watch");
  sleep_ms(3900);
  if (!cookies) (void)wait_until([] { return mib("TcpExt", "TCPSynRetrans") >= 2 * kStuck; }, 3000);
}

void hear_report(Jam& jam, const std::string& text) {
  std::istringstream report(text);
  std::getline(report, jam.client_addr);
  int port = 0;
  int64_t hang = 0;
  while (report >> port >> hang) {
    jam.ports.push_back(port);
    jam.longest = std::max(jam.longest, hang);
    jam.shortest = std::min(jam.shortest, hang);
  }
}

void require_jam(const Jam& jam, bool cookies) {
  errno = 0;
  require(jam.stuck() == kStuck, "the number of stuck clients is " + std::to_string(jam.stuck()));
  require(jam.overflows >= jam.stuck(), "the accept queue did not overflow");
  require(cookies || jam.synack_retransmits >= 2 * jam.stuck(),
          "SYN-ACKs were sent again only " + std::to_string(jam.synack_retransmits) + " times");
}

void expect_overflow(Truth& truth, const Endpoint& service, const Child& server) {
  truth.expect(Expect("accept-queue-overflow", "not-accepting")
                   .severity("critical")
                   .culprit(server.pid)
                   .service(service)
                   .story("a")
                   .evidence("queue", kBacklog + 1)
                   .evidence("limit", kBacklog));
  // Before its head has waited for 1 s, the queue may look like a burst or a slow server.
  truth.allow("accept-queue-overflow", "backlog-too-small", "warning");
  truth.allow("accept-queue-overflow", "too-slow", "warning");
  // What the waiting clients sent lies there, unread.
  truth.allow("stall-unread", "never-accepted", "warning");
}

void expect_synacks(Truth& truth, const Jam& jam, const Endpoint& service, const Child& server, const Child& client) {
  Expect synack("synack-retransmit-unexpected", "accept-queue-full");
  synack.severity("critical").culprit(server.pid).service(service).owner(server.pid).peer(client.pid);
  synack.count(jam.stuck(), jam.stuck()).story("a").role("symptom").phases({"open"}).evidence("client_acked", true);
  for (const int port : jam.ports) synack.connection(service, {jam.client_addr, port});
  truth.expect(synack);
}

void expect_stalls(Truth& truth, const Jam& jam, const Endpoint& service, const Child& server, const Child& client) {
  Expect stall("stall-unacked", "accept-queue-full");
  stall.severity("critical").culprit(server.pid).service(service).owner(client.pid).peer(server.pid);
  stall.count(jam.stuck(), jam.stuck()).story("a").role("symptom").phases({"open", "closed"}).ended({"recovered"});
  // From the first unacknowledged byte or from the finding's opening, to the last recovery.
  stall.duration(static_cast<double>(jam.shortest) - 2500, static_cast<double>(jam.longest) + 1500);
  stall.evidence("unacked_bytes",
                 Json::range(kRequest, static_cast<double>(kRequest) * static_cast<double>(jam.stuck())));
  for (const int port : jam.ports) stall.connection({jam.client_addr, port}, service);
  truth.expect(stall);
}

}  // namespace

Stage loopback_stage(const std::string& addr) {
  Stage stage;
  stage.client_ns = stage.server_ns = current_netns();
  stage.server_addr = addr;
  stage.slow_device = "lo";
  return stage;
}

Stage veth_stage(bool ipv6) {
  const VethPair pair = fresh_veth_pair();
  Stage stage;
  stage.client_ns = pair.left;
  stage.server_ns = pair.right;
  stage.server_addr = ipv6 ? "fd77::2" : "10.77.0.2";
  stage.slow_device = "left0";
  return stage;
}

void accept_queue_full(Truth& truth, const Stage& stage, bool cookies) {
  add_namespaces(truth, stage);
  stage.server_ns.enter();
  sysctl("net.ipv4.tcp_syncookies", cookies ? "2" : "1");
  const Child server =
      spawn("queue-server", [&](Line& line) { queue_server(line, stage.server_addr, kBacklog, kClients); });
  const Endpoint service{stage.server_addr, std::stoi(server.line.hear())};
  const long overflows_before = mib("TcpExt", "ListenOverflows");
  stage.client_ns.enter();
  const Child client = spawn("queue-client", [&](Line& line) { queue_client(line, service, kBacklog, kClients); });
  fill_queue(client, stage, service, cookies);
  stage.server_ns.enter();
  Jam jam;
  jam.synack_retransmits = cookies ? 0 : mib("TcpExt", "TCPSynRetrans");
  jam.overflows = mib("TcpExt", "ListenOverflows") - overflows_before;
  server.line.say("accept");
  hear_report(jam, client.line.hear());
  (void)server.line.hear();
  require_jam(jam, cookies);

  truth.process("server", server);
  truth.process("client", client);
  truth.measured("stuck", jam.stuck());
  truth.measured("hang_ms", Json::range(static_cast<double>(jam.shortest), static_cast<double>(jam.longest)));
  truth.measured("listen_overflows", jam.overflows);
  truth.measured("synack_retransmits", jam.synack_retransmits);
  expect_overflow(truth, service, server);
  if (!cookies) expect_synacks(truth, jam, service, server, client);
  expect_stalls(truth, jam, service, server, client);

  client.quit();
  server.quit();
}

void close_with_unread_data(Truth& truth, const Stage& stage, int connections) {
  constexpr size_t kSent = 2000;
  constexpr size_t kRead = 100;
  add_namespaces(truth, stage);
  stage.server_ns.enter();
  const Child server = spawn("careless-server", [&](Line& line) {
    const int listener = listen_on(stage.server_addr, 128);
    line.say(std::to_string(local_of(listener).port));
    for (int i = 0; i < connections; ++i) {
      const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      char data[kSent];
      require(fd >= 0 && recv(fd, data, sizeof data, MSG_PEEK | MSG_WAITALL) == ssize_t{kSent}, "the request");
      require(read_up_to(fd, kRead) == kRead, "read");
      close(fd);
    }
    (void)line.hear();
  });
  const Endpoint service{stage.server_addr, std::stoi(server.line.hear())};
  stage.client_ns.enter();
  const Child client = spawn("owed-client", [&](Line& line) {
    (void)line.hear();
    int resets = 0;
    std::ostringstream report;
    for (int i = 0; i < connections; ++i) {
      const int fd = connect_to(service);
      report << ' ' << local_of(fd).addr << ' ' << local_of(fd).port;
      send_all(fd, kSent);
      char byte = 0;
      if (recv(fd, &byte, 1, 0) < 0 && errno == ECONNRESET) ++resets;
      close(fd);
    }
    line.say(std::to_string(resets) + report.str());
    (void)line.hear();
  });
  client.line.say("go");
  std::istringstream report(client.line.hear());
  int resets = 0;
  report >> resets;
  errno = 0;
  require(resets == connections, "only " + std::to_string(resets) + " connections were reset");
  truth.process("server", server);
  truth.process("client", client);
  Expect reset("reset", "close-with-unread-data");
  reset.severity("critical").culprit(server.pid).service(service).ends(server.pid, client.pid);
  reset.count(connections, 2 * connections).ids(1, 2).story("a");
  std::string addr;
  int port = 0;
  while (report >> addr >> port) reset.connection({addr, port}, service);
  // One finding may tell both ends, or one each.
  truth.expect(reset.evidence("reply_owed", true));
  truth.allow("reset", "close-with-unread-data");
  client.quit();
  server.quit();
}

}  // namespace cause
