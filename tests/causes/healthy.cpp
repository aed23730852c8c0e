// SPDX-License-Identifier: GPL-2.0-only
// Healthy neighbours of the incidents: whatever happens here is normal, and nothing above info may be said.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>

#include "healthy_stalls.hpp"
#include "puppet.hpp"

namespace {

using namespace cause;

const char kAddr[] = "127.0.0.1";

// ---------------------------------------------------------------- one after another

struct Exchange {
  bool server_speaks_first = false;
  bool server_closes_first = false;
  bool client_aborts = false;  // linger 0 at once, like a health check
  int connections = 200;
  std::string name = "calm";
};

void serve_exchanges(Line& line, const Exchange& exchange) {
  const int listener = listen_on(kAddr, 128);
  line.say(std::to_string(local_of(listener).port));
  for (int i = 0; i < exchange.connections; ++i) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    require(fd >= 0, "accept");
    if (exchange.client_aborts) {
      (void)read_up_to(fd, 1);
      close(fd);
      continue;
    }
    if (!exchange.server_speaks_first) (void)read_up_to(fd, 100);
    send_all(fd, 200);
    if (!exchange.server_closes_first) (void)read_up_to(fd, 1);
    close(fd);
  }
  (void)line.hear();
  close(listener);
}

void do_exchanges(Line& line, const Endpoint& service, const Exchange& exchange) {
  (void)line.hear();
  for (int i = 0; i < exchange.connections; ++i) {
    const int fd = connect_to(service);
    if (exchange.client_aborts) {
      linger_zero(fd);
      close(fd);
      continue;
    }
    if (!exchange.server_speaks_first) send_all(fd, 100);
    errno = 0;
    require(read_up_to(fd, 200) == 200, "the reply did not come");
    if (exchange.server_closes_first) require(read_up_to(fd, 1) == 0, "the server did not close");
    close(fd);
  }
  line.say("done");
  (void)line.hear();
}

void exchanges(Truth& truth, const Exchange& exchange) {
  const Child server = spawn(exchange.name + "-server", [&](Line& line) { serve_exchanges(line, exchange); });
  const Endpoint service{kAddr, std::stoi(server.line.hear())};
  const Child client = spawn(exchange.name + "-client", [&](Line& line) { do_exchanges(line, service, exchange); });
  client.line.say("go");
  (void)client.line.hear();
  truth.process(server.comm, server);
  truth.process(client.comm, client);
  truth.measured(exchange.name + "_connections", exchange.connections);
  truth.silent = true;
  client.quit();
  server.quit();
}

void clean_closes(Truth& truth) {
  exchanges(truth, {.server_closes_first = false, .name = "leave"});
  exchanges(truth, {.server_closes_first = true, .name = "dismiss"});
}

void server_speaks_first(Truth& truth) { exchanges(truth, {.server_speaks_first = true, .connections = 300}); }

void health_checks(Truth& truth) { exchanges(truth, {.client_aborts = true, .connections = 50}); }

// Whatever walks over listeners meets them as they end: no tool may come to harm by it, nor the kernel by the tool.
void listeners_come_and_go(Truth& truth) {
  constexpr int kSeconds = 6, kTogether = 50;
  std::vector<Child> passing;
  for (int i = 1; i <= 3; ++i)
    passing.push_back(spawn("passing-" + std::to_string(i), [&](Line& line) {
      int closed = 0;
      for (const std::int64_t end = now_ms() + kSeconds * 1000; now_ms() < end; closed += kTogether) {
        int listeners[kTogether];
        for (int& fd : listeners) {
          fd = socket(AF_INET, SOCK_STREAM, 0);
          require(fd >= 0 && listen(fd, 5) == 0, "cannot listen");
        }
        for (const int fd : listeners) close(fd);
        sleep_ms(
            5);  // some thousands a second: more than any host, and what a tracer beside busy neighbours still reads
      }
      line.say(std::to_string(closed));
      (void)line.hear();
    }));
  int all = 0;
  for (const Child& child : passing) {
    all += std::stoi(child.line.hear());
    truth.process(child.comm, child);
  }
  truth.measured("listeners", all);
  truth.silent = true;
  for (const Child& child : passing) child.quit();
}

void address_fallback(Truth& truth) {
  const Puppet server("fallback-server");
  const Puppet client("fallback-client");
  const Endpoint service = server.listen(kAddr);
  for (int i = 0; i < 5; ++i) {
    const int refused = client.try_connect({"::1", service.port}, 1, 1000).at(0);
    errno = 0;
    require(refused == ECONNREFUSED, "::1 was not refused");
    client.connect(service);
    server.accept();
    client.send(100);
    server.read(100);
    server.send(100);
    client.read(100);
    client.close();
    server.close();
    sleep_ms(100);
  }
  truth.process("server", server.child());
  truth.process("client", client.child());
  truth.silent = true;
  client.quit();
  server.quit();
}

// ---------------------------------------------------------------- many together

struct Burst {
  int clients = 0;
  int backlog = 128;
  int defer_accept_s = 0;
  int accept_after_ms = 0;
  int send_after_ms = 0;       // the first half of the clients
  int send_late_after_ms = 0;  // the second half
};

void burst_client(Line& line, const Endpoint& service, const Burst& burst) {
  (void)line.hear();
  std::vector<int> fds;
  for (int i = 0; i < burst.clients; ++i) {
    fds.push_back(tcp_socket(service.addr, true));
    (void)start_connect(fds.back(), service);
  }
  const auto half = static_cast<size_t>(burst.clients) / 2;
  for (size_t i = 0; i < fds.size(); ++i) {
    if (i == 0) sleep_ms(burst.send_after_ms);
    if (i == half) sleep_ms(burst.send_late_after_ms - burst.send_after_ms);
    pollfd entry{fds[i], POLLOUT, 0};
    require(poll(&entry, 1, 3000) > 0, "not connected");
    send_all(fds[i], 5);
  }
  for (const int fd : fds) {
    pollfd entry{fd, POLLIN, 0};
    require(poll(&entry, 1, 10'000) > 0 && read_up_to(fd, 5) == 5, "no reply");
    close(fd);
  }
  line.say("done");
  (void)line.hear();
}

void burst_server(Line& line, const Burst& burst) {
  const int listener = listen_on(kAddr, burst.backlog);
  if (burst.defer_accept_s > 0) set_option(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, burst.defer_accept_s);
  line.say(std::to_string(local_of(listener).port));
  sleep_ms(burst.accept_after_ms);
  std::vector<int> fds;
  std::vector<pollfd> entries{{listener, POLLIN, 0}};
  int served = 0;
  while (served < burst.clients) {
    require(poll(entries.data(), entries.size(), 20'000) > 0, "no client");
    if (entries[0].revents != 0) entries.push_back({accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), POLLIN, 0});
    for (size_t i = 1; i < entries.size(); ++i) {
      if (entries[i].revents == 0) continue;
      if (read_up_to(entries[i].fd, 5) == 5) {
        send_all(entries[i].fd, 5);
        continue;
      }
      close(entries[i].fd);
      entries[i].fd = -1;
      ++served;
    }
  }
  (void)line.hear();
  close(listener);
}

void burst(Truth& truth, const Burst& burst) {
  const Child server = spawn("burst-server", [&](Line& line) { burst_server(line, burst); });
  const Endpoint service{kAddr, std::stoi(server.line.hear())};
  const Child client = spawn("burst-client", [&](Line& line) { burst_client(line, service, burst); });
  client.line.say("go");
  (void)client.line.hear();
  const long overflows = mib("TcpExt", "ListenOverflows");
  errno = 0;
  require(overflows == 0, "the accept queue overflowed");
  const long deferred = mib("TcpExt", "TCPDeferAcceptDrop");
  const long synacks = mib("TcpExt", "TCPSynRetrans");
  require(burst.defer_accept_s == 0 || (deferred > 0 && synacks > 0), "TCP_DEFER_ACCEPT did not do its work");
  truth.process("server", server);
  truth.process("client", client);
  truth.measured("deferred", deferred);
  truth.measured("synack_retransmits", synacks);
  truth.silent = true;
  client.quit();
  server.quit();
}

// ---------------------------------------------------------------- a server for thousands

// Answers each `request` bytes (or a whole HTTP head) with `reply`; or speaks first. Ends with its parent's word.
struct Service {
  bool speaks_first = false;
  bool http = false;
  size_t request = 100;
  std::string reply = std::string(200, 'r');
};

void accept_all(int listener, int poller, const Service& service) {
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    if (service.speaks_first) (void)send(fd, service.reply.data(), service.reply.size(), MSG_NOSIGNAL);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
  }
}

void answer(int fd, const Service& service, std::vector<size_t>& got) {
  char data[4096];
  const ssize_t size = recv(fd, data, sizeof data, 0);
  if (size < 0 && errno == EAGAIN) return;
  const auto index = static_cast<size_t>(fd);
  if (got.size() <= index) got.resize(index + 1024);
  if (size <= 0) {
    got[index] = 0;
    close(fd);
    return;
  }
  got[index] += static_cast<size_t>(size);
  const bool whole = service.http
                         ? std::string_view(data, static_cast<size_t>(size)).find("\r\n\r\n") != std::string_view::npos
                         : got[index] >= service.request;
  if (!whole || service.speaks_first) return;
  got[index] = 0;
  (void)send(fd, service.reply.data(), service.reply.size(), MSG_NOSIGNAL);
  if (service.http) close(fd);
}

void serve_many(Line& line, const Service& service) {
  const int listener = listen_on(kAddr, 4096);
  const int poller = epoll_create1(EPOLL_CLOEXEC);
  for (const int fd : {listener, line.fd()}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
  }
  const int nonblocking = 1;
  require(ioctl(listener, FIONBIO, &nonblocking) == 0, "FIONBIO");
  line.say(std::to_string(local_of(listener).port));
  std::vector<size_t> got(4096);
  epoll_event events[256];
  for (;;) {
    const int count = epoll_wait(poller, events, 256, -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == line.fd()) {
        (void)line.hear();
        return;
      }
      if (fd == listener)
        accept_all(listener, poller, service);
      else
        answer(fd, service, got);
    }
  }
}

void ab(Truth& truth) {
  if (try_run("ab -V") != 0) skip("ab (apache2-utils) is not installed");
  sysctl("net.ipv4.ip_local_port_range", "10000 65000");
  const Child server = spawn("static-server", [](Line& line) {
    serve_many(line, {.http = true,
                      .reply = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n"
                               "Connection: close\r\n\r\n" +
                               std::string(100, 'b')});
  });
  const std::string port = server.line.hear();
  const std::string output = run("ab -q -t 3 -c 50 -n 10000000 http://127.0.0.1:" + port + "/");
  const size_t at = output.find("Complete requests:");
  errno = 0;
  require(at != std::string::npos, "ab did not report:\n" + output);
  const long requests = std::stol(output.substr(at + 18));
  require(requests > 1000, "ab made only " + std::to_string(requests) + " requests");
  require(mib("TcpExt", "ListenOverflows") == 0, "the accept queue overflowed");
  truth.process("server", server);
  truth.measured("requests", requests);
  truth.silent = true;
  server.quit();
}

// ---------------------------------------------------------------- loss

// What the clients of a lossy network measured on their own sockets.
struct Seen {
  long done = 0;
  long failed = 0;
  long syn_twice = 0;  // the SYN was sent again two times or more
  long syn_thrice = 0;
  long slow_1s = 0;  // a phase after the handshake took 1 s or more
  long slow_3s = 0;
  [[nodiscard]] std::string text() const {
    std::ostringstream out;
    out << done << ' ' << failed << ' ' << syn_twice << ' ' << syn_thrice << ' ' << slow_1s << ' ' << slow_3s;
    return out.str();
  }
  void add(const std::string& text) {
    std::istringstream in(text);
    Seen other;
    in >> other.done >> other.failed >> other.syn_twice >> other.syn_thrice >> other.slow_1s >> other.slow_3s;
    done += other.done;
    failed += other.failed;
    syn_twice += other.syn_twice;
    syn_thrice += other.syn_thrice;
    slow_1s += other.slow_1s;
    slow_3s += other.slow_3s;
  }
};

class Storm {
 public:
  Storm(Endpoint service, bool asks, int total, int together)
      : service_(std::move(service)),
        asks_(asks),
        left_(total),
        together_(together),
        poller_(epoll_create1(EPOLL_CLOEXEC)) {}

  Seen run() {
    epoll_event events[256];
    while (left_ > 0 || open_ > 0) {
      while (left_ > 0 && open_ < together_) start();
      const int count = epoll_wait(poller_, events, 256, 30'000);
      require(count > 0, "the storm stands still");
      for (int i = 0; i < count; ++i) step(events[i].data.fd);
    }
    return seen_;
  }

 private:
  enum class Phase { connecting, reading, closing };
  struct Client {
    Phase phase = Phase::connecting;
    size_t got = 0;
    int64_t since = 0;
  };

  void start() {
    const int fd = tcp_socket(service_.addr, true);
    --left_;
    ++open_;
    if (clients_.size() <= static_cast<size_t>(fd)) clients_.resize(static_cast<size_t>(fd) + 64);
    clients_[static_cast<size_t>(fd)] = {Phase::connecting, 0, now_ms()};
    (void)start_connect(fd, service_);
    epoll_event event{};
    event.events = EPOLLOUT;
    event.data.fd = fd;
    epoll_ctl(poller_, EPOLL_CTL_ADD, fd, &event);
  }

  void phase_over(Client& client) {
    const int64_t took = now_ms() - client.since;
    if (took >= 1000) ++seen_.slow_1s;
    if (took >= 2900) ++seen_.slow_3s;
    client.since = now_ms();
  }

  void finish(int fd, bool well) {
    (well ? seen_.done : seen_.failed)++;
    close(fd);
    --open_;
  }

  void connected(int fd, Client& client) {
    if (socket_error(fd) != 0) return finish(fd, false);
    const int again = total_retransmits(fd);
    if (again >= 2) ++seen_.syn_twice;
    if (again >= 3) ++seen_.syn_thrice;
    client.phase = Phase::reading;
    client.since = now_ms();
    if (asks_) send_all(fd, 100);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(poller_, EPOLL_CTL_MOD, fd, &event);
  }

  void step(int fd) {
    Client& client = clients_[static_cast<size_t>(fd)];
    if (client.phase == Phase::connecting) return connected(fd, client);
    char data[1024];
    const ssize_t size = recv(fd, data, sizeof data, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
      phase_over(client);
      return finish(fd, size == 0 && client.phase == Phase::closing);
    }
    client.got += static_cast<size_t>(size);
    if (client.got < 200 || client.phase == Phase::closing) return;
    phase_over(client);
    client.phase = Phase::closing;
    shutdown(fd, SHUT_WR);
  }

  Endpoint service_;
  bool asks_;
  int left_;
  int together_;
  int poller_;
  int open_ = 0;
  std::vector<Client> clients_;
  Seen seen_;
};

void lose_2_percent() {
  run("nft add table inet loss && nft 'add chain inet loss input { type filter hook input priority 0; }' && "
      "nft 'add rule inet loss input meta l4proto tcp numgen random mod 100 < 2 counter drop'");
}

void loss_short(Truth& truth) {
  constexpr int kTotal = 40'000;
  constexpr int kProcesses = 8;
  constexpr int kTogether = 64;
  sysctl("net.ipv4.ip_local_port_range", "10000 65000");
  const Child asked = spawn("asked-server", [](Line& line) { serve_many(line, {}); });
  const Child first = spawn("first-server", [](Line& line) { serve_many(line, {.speaks_first = true}); });
  const Endpoint asked_at{kAddr, std::stoi(asked.line.hear())};
  const Endpoint first_at{kAddr, std::stoi(first.line.hear())};
  lose_2_percent();
  const int64_t start = now_ms();
  std::vector<Child> clients;
  for (int i = 0; i < kProcesses; ++i)
    clients.push_back(spawn("storm-client-" + std::to_string(i), [&, i](Line& line) {
      const bool asks = i % 2 == 0;
      line.say(Storm(asks ? asked_at : first_at, asks, kTotal / kProcesses, kTogether).run().text());
      (void)line.hear();
    }));
  Seen seen;
  for (const Child& client : clients) seen.add(client.line.hear(90'000));
  const long dropped = std::stol(run("nft list chain inet loss input | sed -n 's/.*packets \\([0-9]*\\).*/\\1/p'"));
  run("nft delete table inet loss");
  errno = 0;
  require(seen.done + seen.failed == kTotal, "not all connections were made");
  require(dropped > kTotal / 20, "only " + std::to_string(dropped) + " packets were lost");
  require(mib("TcpExt", "ListenOverflows") == 0, "the accept queue overflowed");
  truth.process("asked", asked);
  truth.process("first", first);
  truth.measured("took_ms", static_cast<long>(now_ms() - start));
  truth.measured("lost_packets", dropped);
  truth.measured("done", seen.done);
  truth.measured("failed", seen.failed);
  truth.measured("syn_retransmitted_twice", seen.syn_twice);
  truth.measured("syn_retransmitted_thrice", seen.syn_thrice);
  truth.measured("phases_of_1s", seen.slow_1s);
  truth.measured("phases_of_3s", seen.slow_3s);
  truth.silent = true;
  for (const Child& client : clients) client.quit();
  sleep_ms(300);  // the last ACKs
  asked.quit();
  first.quit();
}

void loss_bulk(Truth& truth) {
  const Child server = spawn("bulk-server", [](Line& line) {
    const int listener = listen_on(kAddr, 8);
    line.say(std::to_string(local_of(listener).port));
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    size_t total = 0;
    std::vector<char> block(1 << 18);
    for (ssize_t got = 0; (got = recv(fd, block.data(), block.size(), 0)) > 0;) total += static_cast<size_t>(got);
    close(fd);
    line.say(std::to_string(total));
    (void)line.hear();
  });
  const Endpoint service{kAddr, std::stoi(server.line.hear())};
  lose_2_percent();
  const Child client = spawn("bulk-client", [&](Line& line) {
    const int fd = connect_to(service);
    const std::string block(1 << 16, 'x');
    const int64_t end = now_ms() + 10'000;
    int worst = 0;
    while (now_ms() < end) {
      pollfd entry{fd, POLLOUT, 0};
      if (poll(&entry, 1, 10) > 0) (void)send(fd, block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      worst = std::max(worst, backoff(fd));
    }
    (void)wait_until(
        [&] {
          worst = std::max(worst, backoff(fd));
          return unacked_segments(fd) == 0;
        },
        20'000);
    const int again = total_retransmits(fd);
    close(fd);
    line.say(std::to_string(again) + ' ' + std::to_string(worst));
    (void)line.hear();
  });
  std::istringstream report(client.line.hear());
  int again = 0;
  int worst = 0;
  report >> again >> worst;
  const std::string bytes = server.line.hear();
  run("nft delete table inet loss");
  errno = 0;
  require(again > 0, "nothing was sent again");
  truth.process("server", server);
  truth.process("client", client);
  truth.measured("bytes", std::stol(bytes));
  truth.measured("retransmits", again);
  truth.measured("worst_backoff", worst);
  truth.silent = true;
  client.quit();
  server.quit();
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  std::vector<cause::Variant> variants = {
      {"defer-accept", "TCP_DEFER_ACCEPT: SYN-ACKs are sent again by design",
       [](Truth& t) {
         burst(t, {.clients = 10, .defer_accept_s = 2, .send_after_ms = 300, .send_late_after_ms = 4000});
       },
       30},
      {"burst-held-by-backlog", "100 clients wait 1.5 s in the accept queue",
       [](Truth& t) { burst(t, {.clients = 100, .accept_after_ms = 1500}); }, 30},
      {"clean-closes", "either end closes first", clean_closes, 30},
      {"server-speaks-first", "the client only listens", server_speaks_first, 30},
      {"health-checks-linger0", "connect and abort at once", health_checks, 30},
      {"listeners-come-and-go", "thousands of listeners are opened and closed", listeners_come_and_go, 30},
      {"ab", "ab -t 3 -c 50 to its end", ab, 40},
      {"address-fallback", "::1 is refused, 127.0.0.1 answers", address_fallback, 30},
      {"loss-short", "2% random loss on 40,000 short connections", loss_short, 110},
      {"loss-bulk", "2% random loss on a busy transfer", loss_bulk, 60},
  };
  for (const cause::Variant& variant : cause::healthy_stalls()) variants.push_back(variant);
  return cause::main_of(argc, argv, "healthy", "healthy neighbours of the incidents: nothing above info", variants);
}
