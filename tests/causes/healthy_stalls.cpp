// SPDX-License-Identifier: GPL-2.0-only
#include "healthy_stalls.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "programs.hpp"
#include "puppet.hpp"

namespace cause {

namespace {

const char kAddr[] = "127.0.0.1";
constexpr int kTogether = 6;  // connections: from 5 on, a wait that they share would be a warning

// Accepts `count` connections at a new listener, whose port it says first.
std::vector<int> accept_clients(const Line& line, int count) {
  const int listener = listen_on(kAddr, 64);
  line.say(std::to_string(local_of(listener).port));
  std::vector<int> fds;
  while (fds.size() < static_cast<size_t>(count)) fds.push_back(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  close(listener);
  return fds;
}

std::vector<int> connect_clients(const Endpoint& service, int count) {
  std::vector<int> fds;
  while (fds.size() < static_cast<size_t>(count)) fds.push_back(connect_to(service));
  return fds;
}

void send_to_all(const std::vector<int>& fds, size_t bytes) {
  for (const int fd : fds) send_all(fd, bytes);
}

void read_from_all(const std::vector<int>& fds, size_t bytes) {
  errno = 0;
  for (const int fd : fds) require(read_up_to(fd, bytes) == bytes, "what was to come did not come");
}

void close_all(const std::vector<int>& fds) {
  for (const int fd : fds) close(fd);
}

struct Ends {
  std::string server;
  std::string client;
  std::function<void(const std::vector<int>&)> serve;  // with the server's ends
  std::function<void(const std::vector<int>&)> use;    // with the client's ends, which close first
  int connections = kTogether;
};

void play(Truth& truth, const Ends& ends) {
  const Child server = spawn(ends.server, [&](Line& line) {
    const std::vector<int> fds = accept_clients(line, ends.connections);
    ends.serve(fds);
    for (const int fd : fds) (void)read_up_to(fd, 1);
    close_all(fds);
    line.say("served");
    (void)line.hear();
  });
  const Endpoint service{kAddr, std::stoi(server.line.hear())};
  const Child client = spawn(ends.client, [&](Line& line) {
    const std::vector<int> fds = connect_clients(service, ends.connections);
    ends.use(fds);
    close_all(fds);
    line.say("done");
    (void)line.hear();
  });
  (void)client.line.hear();
  (void)server.line.hear();
  truth.process("server", server);
  truth.process("client", client);
  truth.silent = true;
  client.quit();
  server.quit();
}

// A stream that comes as fast as it can, and is read at `rate` bytes a second, ten times a second, for 9 s.
void slow_reader(Truth& truth, size_t rate) {
  const auto stream = [](const std::vector<int>& fds) {
    const std::string block(65536, 's');
    const int64_t end = now_ms() + 9000;
    while (now_ms() < end) {
      pollfd entry{fds[0], POLLOUT, 0};
      if (poll(&entry, 1, 100) > 0) (void)send(fds[0], block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    shutdown(fds[0], SHUT_WR);
  };
  const auto read_slowly = [rate](const std::vector<int>& fds) {
    for (const int64_t end = now_ms() + 9000; now_ms() < end; sleep_ms(100)) (void)read_up_to(fds[0], rate / 10);
    while (read_up_to(fds[0], 1 << 20) > 0) {  // the rest at once
    }
  };
  play(truth, {"streamer", "slow-reader", stream, read_slowly, 1});
}

// What a TLS server says before it closes (close_notify, 25 bytes) lies unread in connections of a pool.
void pooled_close_wait(Truth& truth) {
  const auto close_most = [](const std::vector<int>& fds) {
    read_from_all(fds, 100);
    send_to_all(fds, 200);
    sleep_ms(300);
    for (size_t i = 1; i < fds.size(); ++i) {
      send_all(fds[i], 25);
      shutdown(fds[i], SHUT_WR);
    }
    while (read_up_to(fds[0], 100) == 100) send_all(fds[0], 200);
  };
  const auto pool = [](const std::vector<int>& fds) {
    send_to_all(fds, 100);
    read_from_all(fds, 200);
    for (const int64_t end = now_ms() + 6000; now_ms() < end; sleep_ms(100)) {
      send_all(fds[0], 100);
      read_from_all({fds[0]}, 200);
    }
    read_from_all({fds.begin() + 1, fds.end()}, 25);  // found closed when it is to be used again
  };
  play(truth, {"tls-server", "pool-client", close_most, pool});
}

// Lines to a log server, which never answers; now and then there is nothing to log.
void one_way(Truth& truth) {
  const auto receive = [](const std::vector<int>& fds) { read_from_all(fds, 200 * 7); };
  const auto log = [](const std::vector<int>& fds) {
    for (const int64_t pause : {300, 300, 4000, 300, 300, 3000, 100}) {
      send_to_all(fds, 200);
      sleep_ms(pause);
    }
  };
  play(truth, {"log-server", "log-client", receive, log});
}

// One request, and then messages whenever there are any. With `acknowledged` the client answers each, and speaks last.
void server_push(Truth& truth, bool acknowledged) {
  static constexpr int64_t kPauses[] = {200, 300, 300, 4000, 300, 300, 3500, 100};
  const auto push = [acknowledged](const std::vector<int>& fds) {
    read_from_all(fds, 100);
    for (const int64_t pause : kPauses) {
      send_to_all(fds, 300);
      if (acknowledged) read_from_all(fds, 20);
      sleep_ms(pause);
    }
  };
  const auto subscribe = [acknowledged](const std::vector<int>& fds) {
    send_to_all(fds, 100);
    for (size_t i = 0; i < std::size(kPauses); ++i) {
      read_from_all(fds, 300);
      if (acknowledged) send_to_all(fds, 20);
    }
    sleep_ms(200);
  };
  play(truth, {"push-server", "subscriber", push, subscribe});
}

// Replies that usually take 1 s, and once 6 s.
void long_poll(Truth& truth) {
  static constexpr int64_t kWaits[] = {1000, 1000, 1000, 1000, 6000, 200};
  const auto answer = [](const std::vector<int>& fds) {
    for (const int64_t wait : kWaits) {
      read_from_all(fds, 100);
      sleep_ms(wait);
      send_to_all(fds, 200);
    }
  };
  const auto ask = [](const std::vector<int>& fds) {
    for (size_t i = 0; i < std::size(kWaits); ++i) {
      send_to_all(fds, 100);
      read_from_all(fds, 200);
    }
  };
  play(truth, {"poll-server", "poll-client", answer, ask});
}

// Nothing is said for 5 s; keepalive on both ends sees to it that somebody would notice.
void idle_keepalive(Truth& truth) {
  const VethPair pair = fresh_veth_pair();
  truth.netns = {pair.left, pair.right};
  const Puppet server("quiet-server", &pair.left);
  const Puppet client("quiet-client", &pair.right);
  const Endpoint service = server.listen("10.77.0.1");
  client.connect(service);
  server.accept();
  client.send(100);
  server.read(100);
  server.send(200);
  client.read(200);
  client.keepalive(1, 1, 3);
  server.keepalive(1, 1, 3);
  sleep_ms(5000);
  client.send(100);
  server.read(100);
  client.close();
  server.close();
  truth.process("server", server.child());
  truth.process("client", client.child());
  truth.silent = true;
  truth.never("half-open-risk");
  client.quit();
  server.quit();
}

// Node.js with half a second of work in a handler now and then, while 50 clients upload.
void busy_loop(Truth& truth) {
  if (try_run("ab -V") != 0) skip("ab (apache2-utils) is not installed");
  const Endpoint service{kAddr, 3000};
  const ScratchFolder folder;
  folder.sparse("body", 300'000);
  const Child node = spawn_node(folder, service, 511);
  const Child ab = spawn_program({"ab", "-q", "-k", "-n", "5000", "-c", "50", "-p", folder.path() + "/body", "-T",
                                  "image/png", "http://127.0.0.1:3000/"},
                                 folder.path() + "/ab.log");
  const Child spinner = spawn("spinner", [&](Line& line) {
    for (int i = 0; i < 3; ++i) {
      sleep_ms(1000);
      errno = 0;
      require(http_get(service, "/spin?500") == 200, "node did not answer");
    }
    line.say("spun");
    (void)line.hear();
  });
  (void)spinner.line.hear();
  const int status = ab.join();
  errno = 0;
  require(status == 0, "ab failed: " + run("cat " + folder.path() + "/ab.log"));
  truth.process("node", node);
  truth.process("ab", ab);
  truth.process("spinner", spinner);
  truth.silent = true;
  spinner.quit();
  sleep_ms(300);
  node.kill_now(SIGTERM);
  (void)node.join();
}

}  // namespace

std::vector<Variant> healthy_stalls() {
  const auto soon = [](const std::string& slug) { return std::vector<std::string>{"--threshold", slug + "=2s"}; };
  return {
      {"slow-reader-1mb", "a stream that is read at 1 MB/s", [](Truth& t) { slow_reader(t, 1'000'000); }, 40},
      {"slow-reader-100kb", "a stream that is read at 100 KB/s", [](Truth& t) { slow_reader(t, 100'000); }, 40},
      {"pooled-close-wait", "5 pooled connections that the server has closed", pooled_close_wait, 40,
       soon("close-wait-leak")},
      {"one-way", "a log server never answers", one_way, 40, soon("stall-awaiting-reply")},
      {"server-push", "one request, then messages now and then", [](Truth& t) { server_push(t, false); }, 40,
       soon("stall-awaiting-reply")},
      {"server-push-acked", "the same, and the client answers each", [](Truth& t) { server_push(t, true); }, 40,
       soon("stall-awaiting-reply")},
      {"long-poll", "replies that take 1 s, and once 6 s", long_poll, 40, soon("stall-awaiting-reply")},
      {"idle-keepalive", "idle for 5 s, with keepalive", idle_keepalive, 40, soon("half-open-risk")},
      {"busy-loop", "an event loop that is busy for 0.5 s now and then", busy_loop, 60},
  };
}

}  // namespace cause
