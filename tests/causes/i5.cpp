// SPDX-License-Identifier: GPL-2.0-only
// The backend is gone: 50 connects are refused. Or it is a worker behind a web server, killed in mid-request.
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <sstream>

#include "programs.hpp"
#include "puppet.hpp"

namespace {

using namespace cause;

enum class End { exits, killed, closes_listener, never_was };

void backend_gone(Truth& truth, End how, const std::string& addr) {
  constexpr int kAttempts = 50;
  const Puppet server("backend");
  const Puppet client("caller");
  Endpoint service{addr, 0};
  if (how == End::never_was) {
    // In this namespace nobody else can have it; nor in one of another test that had its number before.
    service.port = 7900 + static_cast<int>(::getpid() % 1000);
  } else {
    service = server.listen(addr);
    for (int i = 0; i < 3; ++i) {
      client.connect(service);
      server.accept();
      client.send(100);
      server.read(100);
      server.send(100);
      client.read(100);
      client.close();
      server.close();
    }
  }
  if (how == End::exits) server.exit(0);
  if (how == End::killed) server.die();
  if (how == End::closes_listener) server.close_listener();
  const double gone_at = epoch_now();
  const long refused = count_of(client.try_connect(service, kAttempts, 1000, 10), ECONNREFUSED);
  errno = 0;
  require(refused == kAttempts, "only " + std::to_string(refused) + " connects were refused");

  truth.process("server", server.child());
  truth.process("client", client.child());
  truth.measured("refused", refused);
  truth.measured("gone_at", gone_at);
  const bool had_one = how != End::never_was;
  Expect expect("connect-refused", had_one ? "listener-gone" : "no-listener");
  expect.severity(had_one ? "critical" : "warning").service(service).owner(client.pid()).phases({"event"});
  expect.count(refused, refused).evidence("attempts", refused);
  if (had_one) {
    expect.culprit(server.pid()).evidence("listener_pid", server.pid());
  } else {
    truth.innocent(server.child());  // it runs, and has nothing to do with it
  }
  truth.expect(expect);
  client.quit();
}

// ---------------------------------------------------------------- FastCGI

const Endpoint kWorker{"127.0.0.1", 7000};
const Endpoint kWeb{"127.0.0.1", 8080};
constexpr size_t kHeader = 8;

std::string fastcgi_record(char type, const std::string& content) {
  const auto size = content.size();
  return std::string{1, type, 0, 1, static_cast<char>(size >> 8), static_cast<char>(size & 0xff), 0, 0} + content;
}

// Reads records until the empty one that ends the request's body; how many bytes these were.
size_t read_fastcgi_request(int fd) {
  constexpr unsigned char kStdin = 5;
  size_t total = 0;
  unsigned char header[kHeader];
  while (recv(fd, header, sizeof header, MSG_WAITALL) == sizeof header) {
    const size_t content = header[4] * 256U + header[5];
    total += kHeader + read_up_to(fd, content + header[6]);
    if (header[1] == kStdin && content == 0) break;
  }
  return total;
}

// Answers `healthy` requests. Of the next it reads all, or only the first bytes; says "READ UNREAD", and is stuck.
void fastcgi_worker(Line& line, int healthy, bool reads_all) {
  const int listener = listen_on(kWorker.addr, 16, kWorker.port);
  line.say("listens");
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (healthy-- > 0) {
      (void)read_fastcgi_request(fd);
      const std::string page = "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nhello\n";
      const std::string reply = fastcgi_record(6, page) + fastcgi_record(6, "") + fastcgi_record(3, std::string(8, 0));
      (void)send(fd, reply.data(), reply.size(), MSG_NOSIGNAL);
      close(fd);
      continue;
    }
    const size_t read = reads_all ? read_fastcgi_request(fd) : read_up_to(fd, kHeader);
    int unread = 0;
    errno = 0;
    require(ioctl(fd, FIONREAD, &unread) == 0 && (unread > 0) != reads_all, "unread bytes: " + std::to_string(unread));
    line.say(std::to_string(read) + ' ' + std::to_string(unread));
    (void)line.hear();
  }
}

Child spawn_worker(int healthy, bool reads_all) {
  Child worker = spawn("fcgi-worker", [&](Line& line) { fastcgi_worker(line, healthy, reads_all); });
  (void)worker.line.hear();
  return worker;
}

void must_answer(int status, int wanted) {
  errno = 0;
  require(status == wanted, "the web server answered " + std::to_string(status));
}

void fastcgi(Truth& truth, bool reads_all) {
  const ScratchFolder folder;
  const Child web = spawn_lighttpd(folder, kWeb,
                                   "server.modules = (\"mod_fastcgi\")\n"
                                   "fastcgi.server = (\"/app\" => ((\"host\" => \"127.0.0.1\", \"port\" => 7000, "
                                   "\"check-local\" => \"disable\", \"disable-time\" => 0)))\n");
  const Child worker = spawn_worker(2, reads_all);
  for (int i = 0; i < 2; ++i) must_answer(http_get(kWeb, "/app", 900), 200);
  const Child browser = spawn("browser", [](Line& line) {
    line.say(std::to_string(http_get(kWeb, "/app", 900)));
    (void)line.hear();
  });
  std::istringstream words(worker.line.hear());
  int read = 0;
  int unread = 0;
  words >> read >> unread;
  sleep_ms(300);
  worker.kill_now(SIGKILL);
  (void)worker.join();
  must_answer(std::stoi(browser.line.hear()), 500);
  const long before = mib("Tcp", "AttemptFails");
  // The web server tries a dead worker again every second or two, and has no other.
  const auto refusals = [&] { return mib("Tcp", "AttemptFails") - before; };
  errno = 0;
  require(wait_until([&] { return http_get(kWeb, "/app") == 503 && refusals() >= 4; }, 12'000, 300), "no 4 refusals");
  const Child next = spawn_worker(100, true);
  require(wait_until([&] { return http_get(kWeb, "/app") == 200; }, 5000, 300), "the web server did not recover");
  const long refused = refusals();
  truth.process("worker", worker);
  truth.process("web", web);
  truth.process("browser", browser);
  truth.process("next_worker", next);
  truth.only_culprit(worker.pid);
  truth.measured("request_bytes", read + unread);
  truth.measured("refused", refused);
  Expect ending(reads_all ? "closed-mid-request" : "reset", "process-exit");
  ending.severity(reads_all ? "warning" : "critical").culprit(worker.pid).service(kWorker).ends(web.pid, worker.pid);
  ending.count(1, reads_all ? 1 : 2).ids(1, reads_all ? 1 : 2).phases({"event"}).story("a");
  ending.evidence("exit_signal", SIGKILL).evidence("reply_owed", true);
  if (!reads_all) ending.evidence("unread_bytes", unread);
  truth.expect(ending);
  truth.allow("reset", "process-exit");
  Expect gone("connect-refused", "listener-gone");
  gone.severity("critical").culprit(worker.pid).service(kWorker).owner(web.pid).phases({"event"}).story("a");
  gone.count(refused, refused).evidence("attempts", refused).evidence("listener_pid", worker.pid);
  truth.expect(gone);
  browser.quit();
  for (const Child& child : {next, web}) {
    child.kill_now(SIGTERM);
    (void)child.join();
  }
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  return cause::main_of(
      argc, argv, "i5", "the backend is gone and 50 connects are refused",
      {
          {"exit", "it exits", [](Truth& t) { backend_gone(t, End::exits, "127.0.0.1"); }, 30},
          {"sigkill", "it is killed", [](Truth& t) { backend_gone(t, End::killed, "127.0.0.1"); }, 30},
          {"ipv6", "it is killed, over IPv6", [](Truth& t) { backend_gone(t, End::killed, "::1"); }, 30},
          {"listener-closed", "it closes its listener and lives on",
           [](Truth& t) { backend_gone(t, End::closes_listener, "127.0.0.1"); }, 30},
          {"no-listener", "there never was one", [](Truth& t) { backend_gone(t, End::never_was, "127.0.0.1"); }, 30},
          {"fastcgi", "a FastCGI worker is killed when it has read a request, and started again later",
           [](Truth& t) { fastcgi(t, true); }, 30},
          {"fastcgi-unread", "the same when it has read only the beginning", [](Truth& t) { fastcgi(t, false); }, 30},
      });
}
