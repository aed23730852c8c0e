// SPDX-License-Identifier: GPL-2.0-only
// A slow server under 200 clients: SYNs and requests are sent again, and connections that it never accepted are reset.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>

#include "cause.hpp"

namespace {

using namespace cause;

constexpr int kBacklog = 32;
constexpr int kEarly = kBacklog + 1;  // one of them is served at once
constexpr int kClients = 210;
constexpr size_t kRequest = 80;
constexpr int64_t kServiceMs = 300;
constexpr int64_t kSynBits = 8 * 94;  // at most, with its frame
constexpr int64_t kSynUs = 376;       // at 2 Mbit/s

// One request at a time. On "stop" it closes its listener, however many wait.
void slow_server(Line& line, const std::string& addr) {
  const int listener = listen_on(addr, kBacklog);
  line.say(std::to_string(local_of(listener).port));
  int served = 0;
  for (;;) {
    pollfd entries[2] = {{listener, POLLIN, 0}, {line.fd(), POLLIN, 0}};
    (void)poll(entries, 2, -1);
    if (entries[1].revents != 0) break;
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    (void)read_up_to(fd, kRequest);
    sleep_ms(kServiceMs);
    (void)send(fd, "done", 4, MSG_NOSIGNAL);
    close(fd);
    ++served;
  }
  (void)line.hear();
  close(listener);
  line.say(std::to_string(served));
  (void)line.hear();
}

struct Client {
  int fd = -1;
  bool over = false;
  int error = 0;
  bool connected = false;
  int syn_retransmits = 0;
  int64_t sent_at = 0;
  int64_t unacked_ms = 0;  // the longest that its request went unacknowledged
  bool timed_out = false;  // through two time-outs
};

struct Load {
  Endpoint service;
  std::vector<Client> clients;

  void start(int count) {
    for (int i = 0; i < count; ++i) {
      Client client;
      client.fd = tcp_socket(service.addr, true);
      (void)start_connect(client.fd, service);
      clients.push_back(client);
    }
  }

  void look(Client& client) const {
    if (client.over) return;
    pollfd entry{client.fd, POLLIN, 0};
    if (!client.connected) entry.events = POLLIN | POLLOUT;
    if (!client.connected) client.syn_retransmits = total_retransmits(client.fd);
    const int ready = poll(&entry, 1, 0);
    if (ready > 0 && !client.connected) {
      client.error = socket_error(client.fd);
      if (client.error != 0) {
        client.over = true;
        return;
      }
      client.connected = true;
      client.syn_retransmits = total_retransmits(client.fd);
      const std::string request(kRequest, 'g');
      (void)send(client.fd, request.data(), request.size(), MSG_NOSIGNAL);
      client.sent_at = now_ms();
      return;
    }
    if (client.connected && unacked_segments(client.fd) > 0) {
      client.unacked_ms = now_ms() - client.sent_at;
      client.timed_out = client.timed_out || backoff(client.fd) >= 2;
    }
    if (ready > 0 && (entry.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      char data[16];
      const ssize_t got = recv(client.fd, data, sizeof data, 0);
      if (got < 0 && errno == EAGAIN) return;
      client.error = got < 0 ? errno : 0;
      client.over = true;
      if (got >= 0) close(client.fd);
    }
  }

  void watch(int64_t ms, const Line* until = nullptr) {
    const int64_t end = now_ms() + ms;
    while (now_ms() < end && (until == nullptr || !until->heard())) {
      const int64_t began = now_ms();
      for (Client& client : clients) look(client);
      // On an emulated processor these looks would take it all.
      sleep_ms(std::max<int64_t>(2, 3 * (now_ms() - began)));
    }
  }

  [[nodiscard]] long count(const std::function<bool(const Client&)>& which) const {
    return std::count_if(clients.begin(), clients.end(), which);
  }
};

void many_clients(Line& line, const Endpoint& service) {
  Load load{service, {}};
  (void)line.hear();
  const int64_t began = now_us();
  load.start(kEarly);
  const int64_t each_us = (now_us() - began) / kEarly;
  load.watch(100);
  line.say(std::to_string(each_us));
  (void)line.hear();
  load.start(kClients - kEarly);
  load.watch(60'000, &line);  // "lifted"
  (void)line.hear();
  load.watch(700);
  const long in_handshake = load.count([](const Client& c) { return c.connected && !c.over && c.unacked_ms >= 400; });
  load.watch(60'000, &line);  // "closed"
  (void)line.hear();
  load.watch(1600);
  const long resets = load.count([](const Client& c) { return c.over && c.error == ECONNRESET; });
  const long refused = load.count([](const Client& c) { return c.over && c.error == ECONNREFUSED; });
  const long served = load.count([](const Client& c) { return c.over && c.error == 0; });
  const long syn_again = load.count([](const Client& c) { return c.syn_retransmits > 0; });
  const long unacked = load.count([](const Client& c) { return c.unacked_ms >= 1500 && c.timed_out; });
  std::ostringstream report;
  report << resets << ' ' << refused << ' ' << served << ' ' << syn_again << ' ' << unacked << ' ' << in_handshake;
  line.say(report.str());
  (void)line.hear();
  for (const Client& client : load.clients)
    if (!client.over || client.error != 0) close(client.fd);
}

// What the clients saw, in the order of their report.
struct Outcome {
  long resets = 0;
  long refused = 0;
  long served = 0;
  long syn_again = 0;
  long unacked = 0;       // requests that went unacknowledged for 1.5 s and two time-outs
  long in_handshake = 0;  // connected, while the server still repeated its SYN-ACK
};

Outcome overload(const Child& client, const Child& server, const Endpoint& service, bool ipv6, long& served_by) {
  client.line.say("go");
  // A SYN must wait longer in the queue than the next connect() takes, or the first ACK overtakes the last SYN.
  const int64_t syn_us = std::max<int64_t>(kSynUs, 3 * std::stol(client.line.hear()));
  {
    const SlowPort slow_port("lo", service.port, ipv6, std::to_string(kSynBits * 1'000'000 / syn_us) + "bit");
    client.line.say("go");
    sleep_ms(std::max<int64_t>(400, 2 * kClients * syn_us / 1000));
  }
  client.line.say("lifted");
  sleep_ms(6600);
  server.line.say("stop");
  served_by = std::stol(server.line.hear());
  client.line.say("closed");
  Outcome out;
  std::istringstream(client.line.hear()) >> out.resets >> out.refused >> out.served >> out.syn_again >> out.unacked >>
      out.in_handshake;
  return out;
}

void measure(Truth& truth, const Outcome& out, long served_by) {
  const long overflows = mib("TcpExt", "ListenOverflows");
  truth.measured("resets", out.resets);
  truth.measured("refused", out.refused);
  truth.measured("served", out.served);
  truth.measured("served_by_server", served_by);
  truth.measured("syn_sent_again", out.syn_again);
  truth.measured("request_unacknowledged_1500ms", out.unacked);
  truth.measured("connected_but_in_handshake", out.in_handshake);
  truth.measured("listen_overflows", overflows);
  errno = 0;
  require(out.resets >= kBacklog && out.syn_again >= 100 && out.unacked >= 5 && out.in_handshake >= 5 && overflows > 0,
          "too little happened: " + truth.line("i2", ""));
}

void expect_all(Truth& truth, const Outcome& out, const Endpoint& service, const Child& client, const Child& server) {
  const auto about = [](Expect& expect, long count, double most) -> Expect& {
    return expect.count(static_cast<long>(0.8 * static_cast<double>(count)),
                        static_cast<long>(most * static_cast<double>(count)) + 5);
  };
  const auto common = [&](const char* finding, const char* cause) {
    Expect expect(finding, cause);
    return expect.culprit(server.pid).service(service).story("a");
  };
  // The queue's head waits for long although the server does accept, so either word is true.
  truth.expect(common("accept-queue-overflow", "too-slow|not-accepting").evidence("limit", kBacklog).ids(1, 2));
  Expect connect = common("connect-stalled", "accept-queue-full");
  truth.expect(about(connect, out.syn_again, 1.1).severity("critical").owner(client.pid).role("symptom"));
  Expect stall = common("stall-unacked", "accept-queue-full");
  truth.expect(about(stall, out.unacked, 1.4).owner(client.pid).peer(server.pid).role("symptom"));
  Expect synack = common("synack-retransmit-unexpected", "accept-queue-full");
  // When the first requests expire, others take their places.
  synack.count(out.in_handshake - out.in_handshake / 5, kClients).ids(1, 3);
  truth.expect(synack.severity("critical").owner(server.pid).role("symptom"));
  Expect reset = common("reset", "never-accepted");
  truth.expect(about(reset, out.resets, 2.1).severity("critical").ids(1, 2));
  truth.allow("accept-queue-overflow", "backlog-too-small", "warning");
  truth.allow("accept-queue-overflow", "too-slow", "warning");
  truth.allow("stall-unread", "never-accepted", "warning");
  truth.allow("connect-refused", "listener-gone");
  truth.allow("connect-timeout", "accept-queue-full");
}

void slow(Truth& truth, const std::string& addr) {
  const bool ipv6 = addr.find(':') != std::string::npos;
  sysctl("net.ipv4.tcp_synack_retries", "1");
  sysctl("net.ipv4.tcp_syncookies", "0");
  const Child server = spawn("slow-server", [&](Line& line) { slow_server(line, addr); });
  const Endpoint service{addr, std::stoi(server.line.hear())};
  const Child client = spawn("many-clients", [&](Line& line) { many_clients(line, service); });
  long served_by = 0;
  const Outcome out = overload(client, server, service, ipv6, served_by);
  truth.process("server", server);
  truth.process("client", client);
  measure(truth, out, served_by);
  expect_all(truth, out, service, client, server);
  client.quit();
  server.quit();
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  return cause::main_of(argc, argv, "i2", "a slow server under 210 clients",
                        {
                            {"ipv4", "over IPv4", [](Truth& t) { slow(t, "127.0.0.1"); }, 60},
                            {"ipv6", "over IPv6", [](Truth& t) { slow(t, "::1"); }, 60},
                        });
}
