// SPDX-License-Identifier: GPL-2.0-only
#include "puppet.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <sstream>

namespace cause {

namespace {

struct Strings {
  int listener = -1;
  std::vector<int> fds;
  [[nodiscard]] int last() const { return fds.back(); }
};

int timed_connect(int fd, const Endpoint& to, int give_up_ms) {
  const int error = start_connect(fd, to);
  if (error != EINPROGRESS) return error;
  pollfd entry{fd, POLLOUT, 0};
  if (poll(&entry, 1, give_up_ms) == 0) return EINPROGRESS;
  return socket_error(fd);
}

int error_of_recv(int fd, int timeout_ms) {
  pollfd entry{fd, POLLIN, 0};
  if (poll(&entry, 1, timeout_ms) == 0) return EAGAIN;
  char byte = 0;
  const ssize_t got = ::recv(fd, &byte, 1, MSG_DONTWAIT);
  if (got > 0) return -1;
  return got == 0 ? 0 : errno;
}

using Reply = std::string;
using Words = std::istringstream;

Reply do_listen(Strings& s, Words& words) {
  std::string addr;
  int backlog = 0;
  words >> addr >> backlog;
  s.listener = listen_on(addr, backlog);
  return std::to_string(local_of(s.listener).port);
}

Reply do_accept(Strings& s, Words&) {
  const int fd = ::accept4(s.listener, nullptr, nullptr, SOCK_CLOEXEC);
  require(fd >= 0, "accept");
  s.fds.push_back(fd);
  return "ok";
}

Reply do_connect(Strings& s, Words& words) {
  Endpoint to;
  words >> to.addr >> to.port;
  s.fds.push_back(connect_to(to));
  const Endpoint own = local_of(s.last());
  return own.addr + ' ' + std::to_string(own.port);
}

Reply do_try_connect(Strings& s, Words& words) {
  Endpoint to;
  int times = 0;
  int give_up_ms = 0;
  int pause_ms = 0;
  words >> to.addr >> to.port >> times >> give_up_ms >> pause_ms;
  std::ostringstream out;
  for (int i = 0; i < times; ++i) {
    const int fd = tcp_socket(to.addr, give_up_ms >= 0);  // less than 0: a blocking connect
    const int error = timed_connect(fd, to, give_up_ms);
    out << error << ' ';
    if (error == 0)
      s.fds.push_back(fd);
    else
      ::close(fd);
    sleep_ms(pause_ms);
  }
  return out.str();
}

Reply do_send(Strings& s, Words& words) {
  size_t bytes = 0;
  words >> bytes;
  send_all(s.last(), bytes);
  return "ok";
}

Reply do_read(Strings& s, Words& words) {
  size_t bytes = 0;
  words >> bytes;
  errno = 0;
  require(read_up_to(s.last(), bytes) == bytes, "less to read than expected");
  return "ok";
}

Reply do_peek(Strings& s, Words& words) {
  size_t bytes = 0;
  words >> bytes;
  std::vector<char> buffer(bytes);
  require(::recv(s.last(), buffer.data(), bytes, MSG_PEEK | MSG_WAITALL) == static_cast<ssize_t>(bytes), "peek");
  return "ok";
}

Reply do_recv_errors(Strings& s, Words& words) {
  int timeout_ms = 0;
  std::string which;
  words >> timeout_ms >> which;
  if (which == "last") return std::to_string(error_of_recv(s.last(), timeout_ms));
  std::ostringstream out;
  for (const int fd : s.fds) out << error_of_recv(fd, timeout_ms) << ' ';
  return out.str();
}

Reply do_close(Strings& s, Words& words) {
  int zero = 0;
  words >> zero;
  if (zero != 0) linger_zero(s.last());
  ::close(s.last());
  s.fds.pop_back();
  return "ok";
}

Reply do_shutdown(Strings& s, Words& words) {
  int how = 0;
  words >> how;
  require(::shutdown(s.last(), how) == 0, "shutdown");
  return "ok";
}

Reply do_disconnect(Strings& s, Words&) {
  sockaddr address{};
  address.sa_family = AF_UNSPEC;
  require(::connect(s.last(), &address, sizeof address) == 0, "connect(AF_UNSPEC)");
  return "ok";
}

Reply do_keepalive(Strings& s, Words& words) {
  int idle = 0;
  int interval = 0;
  int probes = 0;
  words >> idle >> interval >> probes;
  set_option(s.last(), IPPROTO_TCP, TCP_KEEPIDLE, idle);
  set_option(s.last(), IPPROTO_TCP, TCP_KEEPINTVL, interval);
  set_option(s.last(), IPPROTO_TCP, TCP_KEEPCNT, probes);
  set_option(s.last(), SOL_SOCKET, SO_KEEPALIVE, 1);
  return "ok";
}

Reply do_in_flight(Strings& s, Words&) { return std::to_string(bytes_in_flight(s.last())); }
Reply do_retransmits(Strings& s, Words&) { return std::to_string(total_retransmits(s.last())); }
Reply do_backoffs(Strings& s, Words&) { return std::to_string(backoff(s.last())); }

Reply do_acked_after(Strings& s, Words& words) {
  int timeout_ms = 0;
  words >> timeout_ms;
  const int64_t start = now_ms();
  errno = 0;
  require(wait_until([&] { return unacked_segments(s.last()) == 0; }, timeout_ms, 2), "still unacknowledged");
  return std::to_string(now_ms() - start);
}

Reply do_locals(Strings& s, Words&) {
  std::ostringstream out;
  for (const int fd : s.fds) {
    const Endpoint own = local_of(fd);
    out << own.addr << ' ' << own.port << ' ';
  }
  return out.str();
}

Reply do_close_all(Strings& s, Words&) {
  for (const int fd : s.fds) ::close(fd);
  s.fds.clear();
  return "ok";
}

Reply do_vanish_all(Strings& s, Words&) {
  for (const int fd : s.fds) vanish(fd);
  s.fds.clear();
  return "ok";
}

Reply do_close_listener(Strings& s, Words&) {
  ::close(s.listener);
  s.listener = -1;
  return "ok";
}

void perform(Line& line) {
  static const std::map<std::string, Reply (*)(Strings&, Words&)> commands = {
      {"listen", do_listen},
      {"accept", do_accept},
      {"connect", do_connect},
      {"try-connect", do_try_connect},
      {"send", do_send},
      {"read", do_read},
      {"peek", do_peek},
      {"recv-errors", do_recv_errors},
      {"close", do_close},
      {"shutdown", do_shutdown},
      {"disconnect", do_disconnect},
      {"keepalive", do_keepalive},
      {"in-flight", do_in_flight},
      {"retransmits", do_retransmits},
      {"backoffs", do_backoffs},
      {"acked-after", do_acked_after},
      {"locals", do_locals},
      {"close-all", do_close_all},
      {"vanish-all", do_vanish_all},
      {"close-listener", do_close_listener},
  };
  Strings strings;
  for (;;) {
    Words words(line.hear(120'000));
    std::string command;
    words >> command;
    if (command == "quit") return;
    if (command == "exit") {
      int code = 0;
      words >> code;
      _exit(code);
    }
    line.say(commands.at(command)(strings, words));
  }
}

std::vector<int> numbers_in(const std::string& text) {
  std::istringstream words(text);
  std::vector<int> out;
  int value = 0;
  while (words >> value) out.push_back(value);
  return out;
}

}  // namespace

Puppet::Puppet(const std::string& comm, const Netns* ns)
    : child_(spawn(comm, [ns](Line& line) {
        if (ns != nullptr) ns->enter();
        perform(line);
      })) {}

std::string Puppet::ask(const std::string& command, int64_t timeout_ms) const {
  child_.line.say(command);
  return child_.line.hear(timeout_ms);
}

Endpoint Puppet::listen(const std::string& addr, int backlog) const {
  return {addr, std::stoi(ask("listen " + addr + ' ' + std::to_string(backlog)))};
}
void Puppet::accept() const { ask("accept"); }
Endpoint Puppet::connect(const Endpoint& to) const {
  std::istringstream words(ask("connect " + to.addr + ' ' + std::to_string(to.port)));
  Endpoint own;
  words >> own.addr >> own.port;
  return own;
}
std::vector<int> Puppet::try_connect(const Endpoint& to, int times, int give_up_ms, int pause_ms) const {
  std::ostringstream command;
  command << "try-connect " << to.addr << ' ' << to.port << ' ' << times << ' ' << give_up_ms << ' ' << pause_ms;
  return numbers_in(ask(command.str()));
}
void Puppet::send(size_t bytes) const { ask("send " + std::to_string(bytes)); }
void Puppet::read(size_t bytes) const { ask("read " + std::to_string(bytes)); }
void Puppet::peek(size_t bytes) const { ask("peek " + std::to_string(bytes)); }
int Puppet::recv_error(int timeout_ms) const {
  return std::stoi(ask("recv-errors " + std::to_string(timeout_ms) + " last"));
}
void Puppet::close(bool zero_linger) const { ask(zero_linger ? "close 1" : "close 0"); }
void Puppet::shutdown(int how) const { ask("shutdown " + std::to_string(how)); }
void Puppet::disconnect() const { ask("disconnect"); }
void Puppet::keepalive(int idle_s, int interval_s, int probes) const {
  std::ostringstream command;
  command << "keepalive " << idle_s << ' ' << interval_s << ' ' << probes;
  ask(command.str());
}
int Puppet::in_flight() const { return std::stoi(ask("in-flight")); }
int Puppet::retransmits() const { return std::stoi(ask("retransmits")); }
int Puppet::backoffs() const { return std::stoi(ask("backoffs")); }
int Puppet::acked_after(int timeout_ms) const { return std::stoi(ask("acked-after " + std::to_string(timeout_ms))); }
std::vector<int> Puppet::recv_errors(int timeout_ms) const {
  return numbers_in(ask("recv-errors " + std::to_string(timeout_ms) + " all"));
}
std::vector<Endpoint> Puppet::locals() const {
  std::istringstream words(ask("locals"));
  std::vector<Endpoint> out;
  Endpoint one;
  while (words >> one.addr >> one.port) out.push_back(one);
  return out;
}
void Puppet::close_all() const { ask("close-all"); }
void Puppet::vanish_all() const { ask("vanish-all"); }
void Puppet::close_listener() const { ask("close-listener"); }
void Puppet::exit(int code) const {
  child_.line.say("exit " + std::to_string(code));
  (void)child_.join();
}
void Puppet::die() const {
  child_.kill_now(SIGKILL);
  (void)child_.join();
}
void Puppet::quit() const { child_.quit(); }

long count_of(const std::vector<int>& values, int value) { return std::count(values.begin(), values.end(), value); }

}  // namespace cause
