// SPDX-License-Identifier: GPL-2.0-only
#include "cause.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

namespace cause {

// ---------------------------------------------------------------- JSON

Json::Json(double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.6f", value);
  text_ = buffer;
}

Json::Json(std::string_view value) : text_("\"") {
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      text_ += '\\';
      text_ += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char buffer[8];
      std::snprintf(buffer, sizeof buffer, "\\u%04x", static_cast<unsigned>(c));
      text_ += buffer;
    } else {
      text_ += c;
    }
  }
  text_ += '"';
}

Json Json::object() {
  Json out;
  out.text_ = "{";
  out.open_ = '{';
  return out;
}

Json Json::array() {
  Json out;
  out.text_ = "[";
  out.open_ = '[';
  return out;
}

Json Json::range(double min, double max) {
  Json out = object();
  return out.set("min", min).set("max", max);
}

Json& Json::set(std::string_view key, const Json& value) {
  if (!empty_) text_ += ',';
  empty_ = false;
  text_ += Json(key).dump() + ':' + value.dump();
  return *this;
}

Json& Json::push(const Json& value) {
  if (!empty_) text_ += ',';
  empty_ = false;
  text_ += value.dump();
  return *this;
}

std::string Json::dump() const {
  if (open_ == '{') return text_ + '}';
  if (open_ == '[') return text_ + ']';
  return text_;
}

// ---------------------------------------------------------------- time

int64_t now_us() {
  timespec ts{};
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return int64_t{ts.tv_sec} * 1'000'000 + ts.tv_nsec / 1000;
}

int64_t now_ms() { return now_us() / 1000; }

double epoch_now() {
  timespec ts{};
  clock_gettime(CLOCK_REALTIME, &ts);
  return static_cast<double>(ts.tv_sec) + static_cast<double>(ts.tv_nsec) / 1e9;
}

void sleep_ms(int64_t ms) {
  timespec ts{ms / 1000, (ms % 1000) * 1'000'000};
  while (nanosleep(&ts, &ts) != 0 && errno == EINTR) {
  }
}

bool wait_until(const std::function<bool()>& done, int64_t timeout_ms, int64_t step_ms) {
  const int64_t end = now_ms() + timeout_ms;
  while (!done()) {
    if (now_ms() >= end) return false;
    sleep_ms(step_ms);
  }
  return true;
}

// ---------------------------------------------------------------- failing

void fail(const std::string& what) {
  std::cerr << "cause: " << what << std::endl;
  _exit(3);
}

void skip(const std::string& why) {
  std::cerr << "skip: " << why << std::endl;
  _exit(77);
}

void require(bool ok, const std::string& what) {
  if (ok) return;
  const int saved = errno;
  fail(saved != 0 ? what + " (last errno: " + std::strerror(saved) + ")" : what);
}

// ---------------------------------------------------------------- the host

std::string run(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  require(pipe != nullptr, "cannot start: " + command);
  std::string output;
  char buffer[4096];
  size_t got = 0;
  while ((got = fread(buffer, 1, sizeof buffer, pipe)) > 0) output.append(buffer, got);
  const int status = pclose(pipe);
  errno = 0;
  require(status == 0, "command failed: " + command + "\n" + output);
  return output;
}

int try_run(const std::string& command) {
  const int status = std::system((command + " >/dev/null 2>&1").c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

void write_file(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  require(fd >= 0, "cannot open " + path);
  require(write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()), "cannot write " + path);
  close(fd);
}

void sysctl(const std::string& name, const std::string& value) {
  std::string path = "/proc/sys/" + name;
  for (size_t i = 10; i < path.size(); ++i)
    if (path[i] == '.') path[i] = '/';
  write_file(path, value);
}

long mib(const std::string& group, const std::string& key) {
  // /proc/net is a link to the *process's* namespace, so a child must ask for itself.
  for (const char* path : {"/proc/thread-self/net/netstat", "/proc/thread-self/net/snmp"}) {
    std::ifstream file(path);
    std::string head;
    std::string values;
    while (std::getline(file, head) && std::getline(file, values)) {
      std::istringstream names(head);
      std::istringstream numbers(values);
      std::string name;
      std::string number;
      names >> name;
      numbers >> number;
      if (name != group + ":") continue;
      while (names >> name && numbers >> number)
        if (name == key) return std::stol(number);
    }
  }
  fail("no counter " + group + "." + key);
}

void Netns::enter() const { require(setns(fd, CLONE_NEWNET) == 0, "setns"); }

namespace {
Netns host_namespace;
}  // namespace

const Netns& host_netns() { return host_namespace; }

Netns current_netns() {
  Netns out;
  out.fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  require(out.fd >= 0, "open the network namespace");
  struct stat info {};
  require(fstat(out.fd, &info) == 0, "stat the network namespace");
  out.inode = info.st_ino;
  return out;
}

Netns fresh_netns() {
  if (unshare(CLONE_NEWNET) != 0) fail("a network namespace needs root");
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  require(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0, "bring lo up");
  close(fd);
  return current_netns();
}

VethPair fresh_veth_pair() {
  VethPair pair;
  pair.left = fresh_netns();
  // ip(8) names a namespace by a process in it.
  const Child holder = spawn("netns-holder", [](Line& line) {
    fresh_netns();
    line.say("ready");
    (void)line.hear();
  });
  (void)holder.line.hear();
  const std::string pid = std::to_string(holder.pid);
  const int fd = open(("/proc/" + pid + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info {};
  require(fd >= 0 && fstat(fd, &info) == 0, "open the second namespace");
  pair.right.fd = fd;
  pair.right.inode = info.st_ino;
  run("ip link add left0 type veth peer name right0 netns " + pid);
  holder.quit();
  run("ip addr add 10.77.0.1/24 dev left0 && ip -6 addr add fd77::1/64 dev left0 nodad && ip link set left0 up");
  pair.right.enter();
  run("ip addr add 10.77.0.2/24 dev right0 && ip -6 addr add fd77::2/64 dev right0 nodad && ip link set right0 up");
  pair.left.enter();
  require(wait_until([] { return try_run("ip -o link show left0 | grep -q 'state UP'") == 0; }, 3000, 20),
          "the veth pair did not come up");
  return pair;
}

// ---------------------------------------------------------------- processes

void Line::say(const std::string& message) const {
  require(send(fd_, message.data(), message.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(message.size()),
          "the other process of this cause is gone");
}

bool Line::heard() const {
  pollfd entry{fd_, POLLIN, 0};
  return poll(&entry, 1, 0) > 0;
}

std::string Line::hear(int64_t timeout_ms) const {
  pollfd entry{fd_, POLLIN, 0};
  int got = 0;
  const int64_t end = now_ms() + timeout_ms;
  do {
    got = poll(&entry, 1, static_cast<int>(std::max<int64_t>(0, end - now_ms())));
  } while (got < 0 && errno == EINTR);
  errno = 0;
  require(got > 0, "no word from a process of this cause");
  std::string message(1 << 16, '\0');
  const ssize_t size = recv(fd_, message.data(), message.size(), 0);
  if (size <= 0 && to_parent_) _exit(0);  // the cause is over
  require(size > 0, "a process of this cause died");
  message.resize(static_cast<size_t>(size));
  return message;
}

void Child::kill_now(int signal) const { require(kill(pid, signal) == 0, "kill " + comm); }

int Child::join(int64_t timeout_ms) const {
  int status = 0;
  const bool gone = wait_until([&] { return waitpid(pid, &status, WNOHANG) == pid; }, timeout_ms, 2);
  errno = 0;
  require(gone, comm + " did not end");
  return status;
}

void Child::quit() const {
  line.say("quit");
  const int status = join();
  errno = 0;
  require(WIFEXITED(status) && WEXITSTATUS(status) == 0, comm + " failed");
}

Child spawn(const std::string& comm, const std::function<void(Line&)>& body) {
  int pair[2];
  require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
  std::cout.flush();
  const pid_t parent = getpid();
  const pid_t pid = fork();
  require(pid >= 0, "fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    prctl(PR_SET_NAME, comm.c_str());
    close(pair[0]);
    Line line(pair[1], true);
    body(line);
    _exit(0);
  }
  close(pair[1]);
  return Child{pid, comm, Line(pair[0])};
}

Child spawn_burner(const std::string& comm) {
  return spawn(comm, [](Line&) {
    volatile uint64_t sum = 0;
    for (;;) sum = sum + 1;
  });
}

Child spawn_chatter(const std::string& comm, const std::string& addr, const Netns& client_ns, const Netns& server_ns) {
  Child child = spawn(comm, [&](Line& line) {
    server_ns.enter();
    const int listener = listen_on(addr, 64);
    client_ns.enter();
    const Endpoint service = local_of(listener);
    line.say("busy");
    char data[512] = {};
    while (!line.heard()) {  // a client and a server in one: connect, ask, answer, close
      const int client = connect_to(service);
      const int server = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      for (int i = 0; i < 4; ++i) {
        if (send(client, data, sizeof data, MSG_NOSIGNAL) <= 0 || read_up_to(server, sizeof data) == 0) break;
        if (send(server, data, sizeof data, MSG_NOSIGNAL) <= 0 || read_up_to(client, sizeof data) == 0) break;
      }
      close(client);
      close(server);
      sleep_ms(1);
    }
  });
  (void)child.line.hear();
  return child;
}

// ---------------------------------------------------------------- sockets

namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

Address address_of(const std::string& addr, int port) {
  Address out;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (inet_pton(AF_INET, addr.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(port));
    out.size = sizeof *v4;
  } else {
    require(inet_pton(AF_INET6, addr.c_str(), &v6->sin6_addr) == 1, "not an address: " + addr);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<uint16_t>(port));
    out.size = sizeof *v6;
  }
  return out;
}

Endpoint endpoint_of(const sockaddr_storage& storage) {
  char text[INET6_ADDRSTRLEN] = {};
  if (storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    return {text, ntohs(v4->sin_port)};
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
  inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
  return {text, ntohs(v6->sin6_port)};
}

tcp_info info_of(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  require(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0, "TCP_INFO");
  return info;
}

}  // namespace

Json Endpoint::json() const { return Json::object().set("addr", addr).set("port", port); }

int tcp_socket(const std::string& addr, bool nonblocking) {
  const int family = addr.find(':') == std::string::npos ? AF_INET : AF_INET6;
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);
  require(fd >= 0, "socket");
  return fd;
}

int listen_on(const std::string& addr, int backlog, int port) {
  const int fd = tcp_socket(addr);
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  const Address address = address_of(addr, port);
  require(bind(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size) == 0, "bind " + addr);
  require(listen(fd, backlog) == 0, "listen");
  return fd;
}

int start_connect(int fd, const Endpoint& to) {
  const Address address = address_of(to.addr, to.port);
  return connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size) == 0 ? 0 : errno;
}

int connect_to(const Endpoint& to) {
  const int fd = tcp_socket(to.addr);
  const int error = start_connect(fd, to);
  errno = error;
  require(error == 0, "connect to " + to.addr);
  return fd;
}

Endpoint local_of(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  require(getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) == 0, "getsockname");
  return endpoint_of(storage);
}

Endpoint remote_of(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  require(getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) == 0, "getpeername");
  return endpoint_of(storage);
}

void send_all(int fd, size_t bytes) {
  const std::string data(bytes, 'x');
  size_t sent = 0;
  while (sent < bytes) {
    const ssize_t got = send(fd, data.data() + sent, bytes - sent, MSG_NOSIGNAL);
    require(got > 0, "send");
    sent += static_cast<size_t>(got);
  }
}

size_t read_up_to(int fd, size_t bytes) {
  std::vector<char> buffer(bytes);
  size_t total = 0;
  while (total < bytes) {
    const ssize_t got = recv(fd, buffer.data(), bytes - total, 0);
    if (got <= 0) break;
    total += static_cast<size_t>(got);
  }
  return total;
}

void set_option(int fd, int level, int name, int value) {
  require(setsockopt(fd, level, name, &value, sizeof value) == 0, "setsockopt " + std::to_string(name));
}

void linger_zero(int fd) {
  const linger value{1, 0};
  require(setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof value) == 0, "SO_LINGER");
}

int socket_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  require(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0, "SO_ERROR");
  return error;
}

int unacked_segments(int fd) { return static_cast<int>(info_of(fd).tcpi_unacked); }
int total_retransmits(int fd) { return static_cast<int>(info_of(fd).tcpi_total_retrans); }
int retransmission_timeout_ms(int fd) { return static_cast<int>(info_of(fd).tcpi_rto / 1000); }
int backoff(int fd) { return info_of(fd).tcpi_backoff; }
int tcp_state(int fd) { return info_of(fd).tcpi_state; }

int bytes_in_flight(int fd) {
  int queued = 0;
  int unsent = 0;
  require(ioctl(fd, SIOCOUTQ, &queued) == 0 && ioctl(fd, SIOCOUTQNSD, &unsent) == 0, "SIOCOUTQ");
  return queued - unsent;
}

int bytes_queued(int fd) {
  int queued = 0;
  require(ioctl(fd, SIOCOUTQ, &queued) == 0, "SIOCOUTQ");
  return queued;
}

void vanish(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on);  // a socket that is closed already refuses: fine
  close(fd);
}

SlowPort::SlowPort(std::string device, int port, bool ipv6, const std::string& rate) : device_(std::move(device)) {
  const std::string dev = "dev " + device_;
  const std::string proto = ipv6 ? "ipv6" : "ip";
  const std::string match = ipv6 ? "ip6" : "ip";
  const std::string p = std::to_string(port);
  run("tc qdisc replace " + dev + " root handle 1: htb default 10");
  run("tc class add " + dev + " parent 1: classid 1:10 htb rate 10gbit burst 1m quantum 60000");
  run("tc class add " + dev + " parent 1: classid 1:20 htb rate " + rate + " burst 1600 quantum 1600");
  for (const char* side : {"sport", "dport"})
    run("tc filter add " + dev + " parent 1: protocol " + proto + " u32 match " + match + " " + side + " " + p +
        " 0xffff flowid 1:20");
  // Empty the token bucket, so that the very first SYN has to wait: datagrams to the same port number.
  const std::string addr = device_ == "lo" ? (ipv6 ? "::1" : "127.0.0.1") : (ipv6 ? "fd77::1" : "10.77.0.1");
  const int family = ipv6 ? AF_INET6 : AF_INET;
  const std::string to = device_ == "right0"  ? (ipv6 ? "fd77::1" : "10.77.0.1")
                         : device_ == "left0" ? (ipv6 ? "fd77::2" : "10.77.0.2")
                                              : addr;
  const int filler = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const Address address = address_of(to, port);
  const char data[600] = {};
  for (int i = 0; i < 4; ++i)
    (void)sendto(filler, data, sizeof data, 0, reinterpret_cast<const sockaddr*>(&address.storage), address.size);
  close(filler);
}

void SlowPort::lift() {
  if (!active_) return;
  active_ = false;
  run("tc qdisc del dev " + device_ + " root");
}

// ---------------------------------------------------------------- the truth

Expect::Expect(const std::string& finding, const std::string& cause) : object_(Json::object()) {
  object_.set("finding", finding).set("cause", cause);
}
Expect& Expect::severity(const std::string& value) {
  object_.set("severity", value);
  return *this;
}
Expect& Expect::culprit(pid_t pid) {
  object_.set("culprit", Json::object().set("kind", "local-process").set("pid", pid));
  return *this;
}
Expect& Expect::culprit_kinds(const std::vector<std::string>& kinds) {
  object_.set("culprit", Json::object().set("kind", kinds.size() == 1 ? Json(kinds[0]) : Json::array_of(kinds)));
  return *this;
}
Expect& Expect::service(const Endpoint& endpoint) {
  object_.set("service", endpoint.json());
  return *this;
}
Expect& Expect::owner(pid_t pid) {
  object_.set("owner_pid", pid);
  return *this;
}
Expect& Expect::peer(pid_t pid) {
  object_.set("peer_pid", pid);
  return *this;
}
Expect& Expect::ends(pid_t one, pid_t other) {
  object_.set("ends_pids", Json::array().push(one).push(other));
  return *this;
}
Expect& Expect::count(long min, long max) {
  object_.set("count_total", Json::object().set("min", min).set("max", max));
  return *this;
}
Expect& Expect::ids(long min, long max) {
  object_.set("ids", Json::object().set("min", min).set("max", max));
  return *this;
}
Expect& Expect::connection(const Endpoint& local, const Endpoint& remote) {
  connections_.push(Json::object().set("local", local.json()).set("remote", remote.json()));
  has_connections_ = true;
  return *this;
}
Expect& Expect::phases(const std::vector<std::string>& names) {
  object_.set("phases", Json::array_of(names));
  return *this;
}
Expect& Expect::ended(const std::vector<std::string>& how) {
  object_.set("ended", Json::array_of(how));
  return *this;
}
Expect& Expect::duration(double min_ms, double max_ms) {
  object_.set("duration_ms", Json::range(min_ms, max_ms));
  return *this;
}
Expect& Expect::opened_by(double epoch_s) {
  object_.set("opened_by", epoch_s);
  return *this;
}
Expect& Expect::story(const std::string& letter) {
  object_.set("story", letter);
  return *this;
}
Expect& Expect::role(const std::string& value) {
  object_.set("role", value);
  return *this;
}
Expect& Expect::evidence(const std::string& key, const Json& value) {
  evidence_.set(key, value);
  has_evidence_ = true;
  return *this;
}
Json Expect::json() const {
  Json out = object_;
  if (has_connections_) out.set("connections", connections_);
  if (has_evidence_) out.set("evidence", evidence_);
  return out;
}

void Truth::process(const std::string& role, const Child& child) {
  processes_.set(role, Json::object().set("pid", child.pid).set("comm", child.comm));
}
void Truth::innocent(const Child& child) {
  processes_.set(child.comm, Json::object().set("pid", child.pid).set("comm", child.comm));
  innocents_.push_back(child.pid);
}
void Truth::expect(const Expect& expectation) { expect_.push(expectation.json()); }
void Truth::allow(const std::string& finding, const std::string& cause, const std::string& severity) {
  Json entry = Json::object();
  entry.set("finding", finding);
  if (!cause.empty()) entry.set("cause", cause);
  if (!severity.empty()) entry.set("severity", severity);
  allow_.push(entry);
}
void Truth::never(const std::string& finding) { never_.push_back(finding); }
void Truth::only_culprit(pid_t pid) { only_culprits_.push_back(pid); }
void Truth::over_by(double epoch_s) { over_by_ = epoch_s; }
void Truth::measured(const std::string& key, const Json& value) { measured_.set(key, value); }

std::string Truth::line(const std::string& program, const std::string& variant) const {
  Json inodes = Json::array();
  for (const Netns& ns : netns) inodes.push(static_cast<unsigned long>(ns.inode));
  Json out = Json::object();
  if (over_by_ > 0) out.set("over_by", over_by_);
  return out.set("cause_program", program)
      .set("variant", variant)
      .set("netns", inodes)
      .set("processes", processes_)
      .set("never_culprits", Json::array_of(innocents_))
      .set("silent", silent)
      .set("expect", expect_)
      .set("allow", allow_)
      .set("never", Json::array_of(never_))
      .set("only_culprits", Json::array_of(only_culprits_))
      .set("measured", measured_)
      .dump();
}

namespace {

void print_help(const std::string& program, const std::string& about, const std::vector<Variant>& variants) {
  std::cout << program << ": " << about << "\n\nusage: " << program
            << " --variant NAME | --arguments NAME | --list | --help\n\n"
               "Makes the incident in network namespaces of its own (needs root) and prints, as the last line,\n"
               "what truly happened, as one JSON object. Exit code: 0 made, 2 wrong usage, 3 it did not happen,\n"
               "77 this kernel cannot make it. --arguments prints, one a line, what `tcpwhy trace` needs to see a\n"
               "variant in its short time.\n\nvariants:\n";
  for (const Variant& variant : variants) {
    std::string name = variant.name;
    name.resize(std::max<size_t>(name.size(), 24), ' ');
    std::cout << "  " << name << " " << variant.about << "\n";
  }
}

}  // namespace

namespace {

// A namespace's inode is what findings are told apart by, and the next namespace may get it: these stay for a while after us.
// What else is open is closed before we go on, so that nothing but the namespaces outlives us.
constexpr unsigned kHoldS = 15;

void hold(const std::vector<Netns>& namespaces) {
  int closed[2];
  require(pipe(closed) == 0, "pipe");
  const pid_t child = fork();
  require(child >= 0, "fork");
  if (child == 0) {
    for (int fd = 0; fd < 1024; ++fd) {
      const bool held =
          std::any_of(namespaces.begin(), namespaces.end(), [fd](const Netns& ns) { return ns.fd == fd; });
      if (!held && fd != closed[1]) close(fd);
    }
    close(closed[1]);
    sleep(kHoldS);
    _exit(0);
  }
  close(closed[1]);
  char none;
  (void)!read(closed[0], &none, 1);
  close(closed[0]);
}

}  // namespace

int main_of(int argc, char** argv, const std::string& program, const std::string& about,
            const std::vector<Variant>& variants) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() == 1 && args[0] == "--help") {
    print_help(program, about, variants);
    return 0;
  }
  if (args.size() == 1 && args[0] == "--list") {
    for (const Variant& variant : variants) std::cout << variant.name << "\n";
    return 0;
  }
  for (const Variant& variant : variants) {
    if (args.size() != 2 || args[1] != variant.name) continue;
    if (args[0] == "--arguments") {
      for (const std::string& argument : variant.arguments) std::cout << argument << "\n";
      return 0;
    }
    if (args[0] != "--variant") continue;
    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
    signal(SIGPIPE, SIG_IGN);
    alarm(variant.limit_s);
    host_namespace = current_netns();
    fresh_netns();
    Truth truth;
    variant.make(truth);
    if (truth.netns.empty()) truth.netns.push_back(current_netns());
    std::cout << truth.line(program, variant.name) << std::endl;
    hold(truth.netns);
    return 0;
  }
  std::cerr << program << ": needs --variant NAME with a name that --list prints (see --help)\n";
  return 2;
}

}  // namespace cause
