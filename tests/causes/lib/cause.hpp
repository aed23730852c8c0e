// SPDX-License-Identifier: GPL-2.0-only
// What every cause needs: a namespace of its own, processes with names, sockets, and the truth as JSON.
// A cause makes one incident with real sockets and prints, as its last line, what really happened,
// measured on its own sockets. Single threaded; every wait is bounded.
#pragma once

#include <sys/types.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cause {

// ---------------------------------------------------------------- JSON

// A JSON value, built in order. Objects keep the order in which keys were set.
class Json {
 public:
  Json() : text_("null") {}
  Json(bool value) : text_(value ? "true" : "false") {}
  Json(int value) : text_(std::to_string(value)) {}
  Json(unsigned value) : text_(std::to_string(value)) {}
  Json(long value) : text_(std::to_string(value)) {}
  Json(unsigned long value) : text_(std::to_string(value)) {}
  Json(double value);
  Json(const char* value) : Json(std::string_view(value)) {}
  Json(const std::string& value) : Json(std::string_view(value)) {}
  Json(std::string_view value);

  static Json object();
  static Json array();
  template <typename Container>
  static Json array_of(const Container& values) {
    Json out = array();
    for (const auto& value : values) out.push(Json(value));
    return out;
  }
  static Json range(double min, double max);

  Json& set(std::string_view key, const Json& value);
  Json& push(const Json& value);
  [[nodiscard]] std::string dump() const;

 private:
  std::string text_;  // for an object or an array: without its closing bracket
  char open_ = 0;     // '{' or '[' while it can still grow
  bool empty_ = true;
};

// ---------------------------------------------------------------- time

int64_t now_ms();  // monotonic
int64_t now_us();
double epoch_now();  // wall clock, seconds
void sleep_ms(int64_t ms);
bool wait_until(const std::function<bool()>& done, int64_t timeout_ms, int64_t step_ms = 5);

// ---------------------------------------------------------------- failing

[[noreturn]] void fail(const std::string& what);  // the incident did not happen: exit 3
[[noreturn]] void skip(const std::string& why);   // this kernel cannot make it: exit 77
void require(bool ok, const std::string& what);   // fail() unless ok; says errno when it is set

// ---------------------------------------------------------------- the host

std::string run(const std::string& command);  // by /bin/sh; must succeed; its output
int try_run(const std::string& command);      // its exit status
void write_file(const std::string& path, const std::string& text);
void sysctl(const std::string& name, const std::string& value);  // "net.ipv4.tcp_retries2"
long mib(const std::string& group, const std::string& key);      // of this namespace: ("TcpExt", "ListenOverflows")

// A network namespace held open by a file descriptor.
struct Netns {
  int fd = -1;
  ino_t inode = 0;
  void enter() const;
};
Netns current_netns();
Netns fresh_netns();        // enters it, with lo up
const Netns& host_netns();  // where the cause was started: some sysctls are only there

// Two fresh namespaces joined by a veth pair: left has 10.77.0.1 and fd77::1 on "left0",
// right has 10.77.0.2 and fd77::2 on "right0". The caller stays in `left`.
struct VethPair {
  Netns left;
  Netns right;
};
VethPair fresh_veth_pair();

// ---------------------------------------------------------------- processes

// The line between a child and its parent: whole messages.
class Line {
 public:
  explicit Line(int fd = -1, bool to_parent = false) : fd_(fd), to_parent_(to_parent) {}
  void say(const std::string& message) const;
  [[nodiscard]] std::string hear(int64_t timeout_ms = 60'000) const;  // fails on timeout
  [[nodiscard]] bool heard() const;                                   // is a message waiting?
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
  bool to_parent_;
};

struct Child {
  pid_t pid = 0;
  std::string comm;
  Line line;
  void kill_now(int signal) const;
  int join(int64_t timeout_ms = 60'000) const;  // wait status
  void quit() const;                            // says "quit" and joins
};
// The child dies with its parent, and leaves with exit code 0 when the body returns.
Child spawn(const std::string& comm, const std::function<void(Line&)>& body);
// Bystanders: processes that are busy and have nothing to do with the incident.
Child spawn_burner(const std::string& comm);
// Both ends in one process; on "quit" it ends between two connections, without a reset.
Child spawn_chatter(const std::string& comm, const std::string& addr, const Netns& client_ns, const Netns& server_ns);

// ---------------------------------------------------------------- sockets

struct Endpoint {
  std::string addr;
  int port = 0;
  [[nodiscard]] Json json() const;
};
int listen_on(const std::string& addr, int backlog, int port = 0);
int tcp_socket(const std::string& addr, bool nonblocking = false);
int start_connect(int fd, const Endpoint& to);  // 0 or errno
int connect_to(const Endpoint& to);             // connected blocking socket, or fails
Endpoint local_of(int fd);
Endpoint remote_of(int fd);
void send_all(int fd, size_t bytes);
size_t read_up_to(int fd, size_t bytes);  // blocking; stops at EOF or error
void set_option(int fd, int level, int name, int value);
void linger_zero(int fd);
int socket_error(int fd);
int unacked_segments(int fd);
int bytes_in_flight(int fd);  // sent, not acknowledged
int bytes_queued(int fd);     // and not sent yet
int total_retransmits(int fd);
int retransmission_timeout_ms(int fd);
int backoff(int fd);
int tcp_state(int fd);
void vanish(int fd);  // closes without a packet (TCP_REPAIR): no FIN, no RST

// Makes packets of one port on one device slow, so that SYNs are in flight together; others are not touched.
class SlowPort {
 public:
  SlowPort(std::string device, int port, bool ipv6, const std::string& rate = "200kbit");
  ~SlowPort() { lift(); }
  SlowPort(const SlowPort&) = delete;
  SlowPort& operator=(const SlowPort&) = delete;
  void lift();

 private:
  std::string device_;
  bool active_ = true;
};

// ---------------------------------------------------------------- the truth

class Expect {
 public:
  Expect(const std::string& finding, const std::string& cause);  // "a|b": either
  Expect& severity(const std::string& value);
  Expect& culprit(pid_t pid);
  Expect& culprit_kinds(const std::vector<std::string>& kinds);
  Expect& service(const Endpoint& endpoint);
  Expect& owner(pid_t pid);
  Expect& peer(pid_t pid);
  Expect& ends(pid_t one, pid_t other);  // owner and peer, whichever way round
  Expect& count(long min, long max);
  Expect& ids(long min, long max);  // how many separate findings may tell it; one unless said
  Expect& connection(const Endpoint& local, const Endpoint& remote);  // the end named, either way round
  Expect& phases(const std::vector<std::string>& names);
  Expect& ended(const std::vector<std::string>& how);
  Expect& duration(double min_ms, double max_ms);
  Expect& opened_by(double epoch_s);  // each finding's first line
  Expect& story(const std::string& letter);
  Expect& role(const std::string& value);
  // A value, {min,max}, {epoch_min,epoch_max}, or {contains}: a word or a number somewhere in it.
  Expect& evidence(const std::string& key, const Json& value);
  [[nodiscard]] Json json() const;

 private:
  Json object_;
  Json connections_ = Json::array();
  Json evidence_ = Json::object();
  bool has_connections_ = false;
  bool has_evidence_ = false;
};

struct Truth {
  std::vector<Netns> netns;
  bool silent = false;
  void process(const std::string& role, const Child& child);
  void innocent(const Child& child);
  void expect(const Expect& expectation);
  // May truthfully appear as well. Empty: any.
  void allow(const std::string& finding, const std::string& cause = "", const std::string& severity = "");
  // Never, not even as info.
  void never(const std::string& finding);
  // Where a process is the culprit of a condition (not of an ending), it is this one, or another that this was said of.
  void only_culprit(pid_t pid);
  // By this time every condition is over: no finding of one is open after it, or updated.
  void over_by(double epoch_s);
  void measured(const std::string& key, const Json& value);
  [[nodiscard]] std::string line(const std::string& program, const std::string& variant) const;

 private:
  Json processes_ = Json::object();
  std::vector<long> innocents_;
  Json expect_ = Json::array();
  Json allow_ = Json::array();
  std::vector<std::string> never_;
  std::vector<long> only_culprits_;
  double over_by_ = 0;  // 0: not known
  Json measured_ = Json::object();
};

struct Variant {
  std::string name;
  std::string about;
  std::function<void(Truth&)> make;
  unsigned limit_s = 60;                    // hard limit
  std::vector<std::string> arguments = {};  // that the tool needs to see it in time
};

// --variant NAME, --arguments NAME, --list, --help. Starts in a fresh network namespace of its own.
int main_of(int argc, char** argv, const std::string& program, const std::string& about,
            const std::vector<Variant>& variants);

}  // namespace cause
