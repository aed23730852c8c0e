// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/script.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "bpf/tcpwhy_abi.h"
#include "user/abi/event.h"
#include "user/util/address.h"

namespace tcpwhy::source {
namespace {

using util::Duration;
using namespace std::chrono_literals;

constexpr std::uint64_t kStart = 1'000'000'000'000;  // the boot time of "at 0ms"
constexpr std::uint64_t kTick = 100'000'000;
constexpr std::uint64_t kSweep = 500'000'000;
constexpr std::uint32_t kNetns = 4026531840;
constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint8_t kAck = 16;
constexpr std::uint8_t kSyn = 2;

// include/net/dropreason-core.h, include/net/rstreason.h of 6.18.
constexpr std::pair<std::uint32_t, std::string_view> kDropReasons[] = {
    {2, "NOT_SPECIFIED"},   {3, "NO_SOCKET"},  {9, "TCP_CSUM"},
    {15, "NETFILTER_DROP"}, {20, "PROTO_MEM"}, {40, "TCP_LISTEN_OVERFLOW"}};
constexpr std::pair<std::uint32_t, std::string_view> kResetReasons[] = {{0, "NOT_SPECIFIED"},
                                                                        {1, "NO_SOCKET"},
                                                                        {2, "TCP_INVALID_ACK_SEQUENCE"},
                                                                        {3, "TCP_RFC7323_PAWS"},
                                                                        {4, "TCP_TOO_OLD_ACK"},
                                                                        {5, "TCP_ACK_UNSENT_DATA"},
                                                                        {6, "TCP_FLAGS"},
                                                                        {7, "TCP_OLD_ACK"},
                                                                        {8, "TCP_ABORT_ON_DATA"},
                                                                        {9, "TCP_TIMEWAIT_SOCKET"},
                                                                        {10, "INVALID_SYN"},
                                                                        {11, "TCP_ABORT_ON_CLOSE"},
                                                                        {12, "TCP_ABORT_ON_LINGER"},
                                                                        {13, "TCP_ABORT_ON_MEMORY"},
                                                                        {14, "TCP_STATE"},
                                                                        {15, "TCP_KEEPALIVE_TIMEOUT"},
                                                                        {16, "TCP_DISCONNECT_WITH_DATA"}};

constexpr std::pair<std::string_view, std::uint8_t> kStates[] = {
    {"ESTABLISHED", 1}, {"SYN_SENT", 2},   {"SYN_RECV", 3}, {"FIN_WAIT1", 4}, {"FIN_WAIT2", 5}, {"TIME_WAIT", 6},
    {"CLOSE", 7},       {"CLOSE_WAIT", 8}, {"LAST_ACK", 9}, {"LISTEN", 10},   {"CLOSING", 11},  {"NEW_SYN_RECV", 12}};

constexpr std::pair<std::string_view, int> kErrors[] = {{"none", 0},
                                                        {"ETIMEDOUT", ETIMEDOUT},
                                                        {"ECONNREFUSED", ECONNREFUSED},
                                                        {"ECONNRESET", ECONNRESET},
                                                        {"ECONNABORTED", ECONNABORTED},
                                                        {"EHOSTUNREACH", EHOSTUNREACH},
                                                        {"ENETUNREACH", ENETUNREACH},
                                                        {"EADDRNOTAVAIL", EADDRNOTAVAIL},
                                                        {"EPIPE", EPIPE},
                                                        {"EPERM", EPERM}};

constexpr std::pair<std::string_view, std::uint32_t> kKinds[] = {{"state", TW_KIND_STATE},
                                                                 {"retransmit", TW_KIND_RETRANSMIT},
                                                                 {"synack_retransmit", TW_KIND_SYNACK_RETRANSMIT},
                                                                 {"reset_sent", TW_KIND_RESET_SENT},
                                                                 {"reset_received", TW_KIND_RESET_RECEIVED},
                                                                 {"socket_error", TW_KIND_SOCKET_ERROR},
                                                                 {"drop", TW_KIND_DROP},
                                                                 {"seed", TW_KIND_SEED},
                                                                 {"sample", TW_KIND_SAMPLE}};
constexpr std::pair<std::string_view, std::uint32_t> kWays[] = {
    {"ring_full", TW_LOST_RING},        {"recursion", TW_LOST_RECURSION}, {"iterator_failed", TW_LOST_ITERATOR},
    {"walk_incomplete", TW_LOST_WALK},  {"table_full", TW_LOST_TABLE},    {"not_swept", TW_LOST_UNSWEPT},
    {"queue_not_shown", TW_LOST_QUEUE}, {"want_unanswered", TW_LOST_WANT}};

struct ScriptProcess {
  std::string comm;
  std::uint32_t pid = 0;
};

// A socket, and what tw_socket cannot hold: stamps instead of ages, the timer as a point in time.
struct ScriptSocket {
  tw_socket abi{};
  ScriptProcess process;
  bool connector = false;  // its process was seen to connect
  std::uint64_t request_id = 0;
  std::uint32_t isn = 0, peer_isn = 0;  // 0: nobody said
  std::uint32_t synacks_again = 0;
  std::uint64_t synack_ns = 0;
  std::uint64_t established_ns = 0;
  std::uint64_t sent_ns = 0, received_ns = 0, heard_ns = 0, first_retransmit_ns = 0, head_ns = 0;
  std::uint64_t expires_ns = 0;
  std::uint32_t base_rto_us = 0;
  // What a sample says of the service and of the sender.
  std::uint32_t usual_wait_ms = TW_NEVER;
  std::uint32_t answers = 0, unanswered = 0;
  std::uint64_t window_shut_ns = 0;
  std::uint32_t data_segments_sent = 0;
  bool watched = false;  // each sweep tells of it
  bool swept_in_trouble = false;
  std::uint32_t swept_drops = 0;
  tw_socket swept{};  // at the last sample of a sweep that confirms
};

std::uint32_t age_ms(std::uint64_t now, std::uint64_t stamp) {
  return stamp == 0 ? TW_NEVER : static_cast<std::uint32_t>((now - stamp) / kMs);
}

bool is_listener(const ScriptSocket& s) { return s.abi.state == 10; }  // LISTEN

tw_tuple mirrored(const tw_tuple& t) {
  tw_tuple m = t;
  std::memcpy(m.local, t.remote, sizeof(m.local));
  std::memcpy(m.remote, t.local, sizeof(m.remote));
  m.local_port = t.remote_port;
  m.remote_port = t.local_port;
  return m;
}

// The records, and the clock that stamps them.
class Tape {
 public:
  std::uint64_t now = kStart;
  std::vector<std::vector<std::byte>> records;

  template <typename Record>
  void put(Record record, std::uint16_t kind) {
    record.header = {now, kind, sizeof(Record), 0, 0};
    const auto bytes = std::as_bytes(std::span{&record, 1});
    records.emplace_back(bytes.begin(), bytes.end());
  }
};

using Words = std::vector<std::string>;

// Reads one line, word by word. The first thing wrong is kept, and from there on every reading gives a default.
class Reader {
 public:
  explicit Reader(Words words) : words_(std::move(words)) {}

  [[nodiscard]] bool done() const { return next_ >= words_.size() || failed(); }
  [[nodiscard]] bool failed() const { return !error_.empty(); }
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] std::string peek() const { return done() ? std::string{} : words_[next_]; }

  void expected(const std::string& what) {
    if (error_.empty()) error_ = fmt::format("expected {}, found {}", what, found());
  }
  // Takes the word if it is the next one.
  bool take(std::string_view word) {
    if (done() || words_[next_] != word) return false;
    next_ += 1;
    return true;
  }
  std::string word(const std::string& what) {
    if (done()) return expected(what), std::string{};
    return words_[next_++];
  }
  std::uint64_t number(const std::string& what) {
    const std::string text = peek();
    std::uint64_t value = 0;
    const auto [stopped, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || failure != std::errc{} || stopped != text.data() + text.size()) return expected(what), 0;
    next_ += 1;
    return value;
  }
  Duration duration(const std::string& what) {
    Duration value{};
    if (done() || !util::parse_duration(words_[next_], value))
      return expected(what + " (a time such as 200ms or 1.5s)"), 0s;
    next_ += 1;
    return value;
  }
  util::Endpoint endpoint(const std::string& what);
  ScriptProcess process();

  template <typename Value, std::size_t N>
  Value one_of(const std::pair<std::string_view, Value> (&table)[N], const std::string& what) {
    for (const auto& [name, value] : table)
      if (take(name)) return value;
    return expected(what), Value{};
  }
  template <std::size_t N>
  std::uint32_t reason(const std::pair<std::uint32_t, std::string_view> (&table)[N], const std::string& what) {
    for (const auto& [value, name] : table)
      if (take(name)) return value;
    return expected(what), 0;
  }

 private:
  [[nodiscard]] std::string found() const {
    return next_ < words_.size() ? "\"" + words_[next_] + "\"" : std::string{"the end of the line"};
  }

  Words words_;
  std::size_t next_ = 0;
  std::string error_;
};

util::Endpoint Reader::endpoint(const std::string& what) {
  std::string text = peek();
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return expected(what), util::Endpoint{};
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const auto address = util::parse_address(host);
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, failure] = std::from_chars(text.data() + colon + 1, end, port);
  if (!address || failure != std::errc{} || stopped != end) return expected(what), util::Endpoint{};
  next_ += 1;
  return {*address, port};
}

ScriptProcess Reader::process() {
  static const std::string what = "a process such as curl[4410]";
  const std::string text = peek();
  const std::size_t open = text.find('[');
  if (open == std::string::npos || open == 0 || text.back() != ']') return expected(what), ScriptProcess{};
  ScriptProcess result{text.substr(0, open), 0};
  const char* end = text.data() + text.size() - 1;
  const auto [stopped, failure] = std::from_chars(text.data() + open + 1, end, result.pid);
  if (failure != std::errc{} || stopped != end || result.pid == 0 || result.comm.size() >= TW_COMM)
    return expected(what), ScriptProcess{};
  next_ += 1;
  return result;
}

class Player {
 public:
  explicit Player(const ScriptOptions& options) : options_(options) {}

  // Empty, or what is wrong with the line.
  std::string play(Words words);
  std::vector<std::vector<std::byte>> take_records() { return std::move(tape_.records); }

 private:
  using Verb = void (Player::*)(Reader&);
  struct VerbRow {
    std::string_view name;
    Verb verb;
  };
  static const VerbRow kVerbs[];
  struct Attribute {
    std::string_view name;
    void (*set)(Reader&, ScriptSocket&, std::uint64_t now);
  };
  static const Attribute kAttributes[];

  // Clock
  void advance(std::uint64_t to, bool with_last);
  void tick();
  void sweep();
  void sweep_confirming();
  void end_walk_at_start();

  // Sockets
  ScriptSocket& declare(Reader& line, const std::string& what);
  ScriptSocket& named(Reader& line, const std::string& what);
  bool attribute(Reader& line, ScriptSocket& s);
  void attributes(Reader& line, ScriptSocket& s);
  tw_socket facts(const ScriptSocket& s) const;
  static tw_owner owner_of(const ScriptProcess& process, std::uint8_t source);
  static tw_owner connector_of(const ScriptSocket& s);
  void put_state(Reader& line, ScriptSocket& s, std::uint8_t to);
  void put_transition(const ScriptSocket& s, std::uint8_t from, std::uint8_t to, const tw_owner& owner);
  void put_sample(const ScriptSocket& s);
  void put_seed(const ScriptSocket& s, const ScriptProcess& process);
  static bool in_trouble(const ScriptSocket& s);
  static bool is_suspect(const ScriptSocket& s);
  static bool is_as_swept(const ScriptSocket& s);
  static bool is_watched(const ScriptSocket& s);

  // Verbs
  void listen(Reader& line);
  void connect(Reader& line);
  void child(Reader& line);
  void socket(Reader& line);
  void send(Reader& line);
  void receive(Reader& line);
  void read(Reader& line);
  void ack(Reader& line);
  void set(Reader& line);
  void established(Reader& line);
  void state(Reader& line);
  void close(Reader& line);
  void timeout(Reader& line);
  void syn_retransmit(Reader& line);
  void retransmit(Reader& line);
  void synack_retransmit(Reader& line);
  void overflow(Reader& line);
  void drop(Reader& line);
  void reset_sent(Reader& line);
  void reset_received(Reader& line);
  void refuse(Reader& line);
  void error(Reader& line);
  void lost(Reader& line);
  void seed(Reader& line);
  void seed_end(Reader& line);
  void seeding(Reader& line);
  void process(Reader& line);
  void host(Reader& line);
  void mib(Reader& line);
  void clock(Reader& line);
  void sample(Reader& line);
  void sweep_now(Reader& line);
  void sweeps(Reader& line);
  void tick_now(Reader& line);
  void until(Reader& line);
  void put_retransmit(Reader& line, ScriptSocket& s, std::uint8_t type);

  ScriptOptions options_;
  Tape tape_;
  std::uint64_t next_tick_ = kStart + kTick;
  std::uint64_t next_sweep_ = kStart + kSweep;
  std::int64_t clock_moved_ns_ = 0;
  bool sweeping_ = false;
  bool confirming_ = false;
  bool started_ = false;
  bool seeding_ = false;  // the walk at start goes on
  std::uint64_t next_id_ = 1;
  std::map<std::string, ScriptSocket> sockets_;
  ScriptSocket nobody_;  // what a line that is wrong writes to
};

// Attributes ----------------------------------------------------------------------------------------------------------

std::uint32_t u32(Reader& line, const char* what) { return static_cast<std::uint32_t>(line.number(what)); }
std::uint8_t u8(Reader& line, const char* what) { return static_cast<std::uint8_t>(line.number(what)); }
std::uint32_t ms(Reader& line, const char* what) { return static_cast<std::uint32_t>(line.duration(what) / 1ms); }
std::uint64_t ago(Reader& line, std::uint64_t now, const char* what) {
  if (line.take("never")) return 0;
  return now - static_cast<std::uint64_t>(line.duration(what).count());
}

const Player::Attribute Player::kAttributes[] = {
    {"queue", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.queue = u32(l, "the depth of the accept queue"); }},
    {"limit", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.limit = u32(l, "the limit of the accept queue"); }},
    {"drops", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.drops = u32(l, "sk_drops"); }},
    {"requests", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.requests = u32(l, "a number of requests"); }},
    {"young", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.young = u32(l, "a number of requests"); }},
    {"defer", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.defer = u32(l, "retransmits to defer for"); }},
    {"head", [](Reader& l, ScriptSocket& s, std::uint64_t now) { s.head_ns = ago(l, now, "how long the head waits"); }},
    {"unacked",
     [](Reader& l, ScriptSocket& s, std::uint64_t) {
       s.abi.write_seq = s.abi.snd_nxt = s.abi.snd_una + u32(l, "bytes not acknowledged");
       s.abi.packets_out = s.abi.snd_nxt == s.abi.snd_una ? 0 : 1;
     }},
    {"purged", [](Reader&, ScriptSocket& s, std::uint64_t) { s.abi.packets_out = 0; }},  // given up: the write queue is gone
    {"unread", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.copied_seq = s.abi.rcv_nxt - u32(l, "bytes unread"); }},
    {"isns",
     [](Reader& l, ScriptSocket& s, std::uint64_t) {
       s.isn = u32(l, "its own initial sequence number");
       s.peer_isn = u32(l, "the other end's initial sequence number");
       s.abi.snd_una = s.abi.snd_nxt = s.abi.write_seq = s.isn + 1;
       s.abi.rcv_nxt = s.abi.copied_seq = s.peer_isn + 1;
     }},
    {"unsent",
     [](Reader& l, ScriptSocket& s, std::uint64_t) {
       s.abi.write_seq = s.abi.snd_nxt + u32(l, "bytes that wait to be sent");
       s.abi.flags &= ~static_cast<std::uint32_t>(TW_SK_WRITE_QUEUE);
       if (s.abi.write_seq != s.abi.snd_nxt) s.abi.flags |= TW_SK_WRITE_QUEUE;
     }},
    {"rcv-window", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.rcv_wnd = u32(l, "bytes of window"); }},
    {"segments", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.data_segments_sent = u32(l, "segments sent"); }},
    {"usual-wait",
     [](Reader& l, ScriptSocket& s, std::uint64_t) {
       s.usual_wait_ms = l.take("never") ? TW_NEVER : ms(l, "the longest wait for an answer");
     }},
    {"answers", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.answers = u32(l, "a number of answers"); }},
    {"unanswered", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.unanswered = u32(l, "a number of last words"); }},
    {"window-shut",
     [](Reader& l, ScriptSocket& s, std::uint64_t now) { s.window_shut_ns = ago(l, now, "since when it is probed"); }},
    {"watched", [](Reader&, ScriptSocket& s, std::uint64_t) { s.watched = true; }},
    {"unwatched", [](Reader&, ScriptSocket& s, std::uint64_t) { s.watched = false; }},
    {"window", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.snd_wnd = u32(l, "bytes of window"); }},
    {"bytes-acked", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.bytes_acked = l.number("bytes acknowledged"); }},
    {"bytes-received", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.bytes_received = l.number("bytes received"); }},
    {"retransmits", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.retransmits = u8(l, "a number of time-outs"); }},
    {"backoff", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.backoff = u8(l, "a back-off"); }},
    {"probes", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.probes_out = u8(l, "a number of probes"); }},
    {"retransmitted", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.total_retrans = u32(l, "segments sent again"); }},
    {"rto",
     [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.rto_us = s.base_rto_us = ms(l, "the retransmission time-out") * 1000; }},
    {"rto-max", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.rto_max_ms = ms(l, "the largest time-out"); }},
    {"user-timeout", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.user_timeout_ms = ms(l, "TCP_USER_TIMEOUT"); }},
    {"retries2", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.sysctl_retries2 = u8(l, "net.ipv4.tcp_retries2"); }},
    {"sent", [](Reader& l, ScriptSocket& s, std::uint64_t now) { s.sent_ns = ago(l, now, "how long ago"); }},
    {"received", [](Reader& l, ScriptSocket& s, std::uint64_t now) { s.received_ns = ago(l, now, "how long ago"); }},
    {"heard", [](Reader& l, ScriptSocket& s, std::uint64_t now) { s.heard_ns = ago(l, now, "how long ago"); }},
    {"err", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.err = l.one_of(kErrors, "an errno such as ETIMEDOUT"); }},
    {"soft-error",
     [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.err_soft = l.one_of(kErrors, "an errno such as EHOSTUNREACH"); }},
    {"shutdown", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.shutdown = u8(l, "1 (read), 2 (write) or 3"); }},
    {"netns", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.tuple.netns = u32(l, "a namespace's number"); }},
    {"in", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.state = l.one_of(kStates, "a state such as ESTABLISHED"); }},
    {"cookie", [](Reader& l, ScriptSocket& s, std::uint64_t) { s.abi.id = l.number("a socket cookie"); }},
    {"keepalive", [](Reader&, ScriptSocket& s, std::uint64_t) { s.abi.flags |= TW_SK_KEEPALIVE; }},
    {"linger-zero", [](Reader&, ScriptSocket& s, std::uint64_t) { s.abi.flags |= TW_SK_LINGER | TW_SK_LINGER_ZERO; }},
    {"orphan",
     [](Reader&, ScriptSocket& s, std::uint64_t) {
       s.abi.flags |= TW_SK_DEAD;
       s.abi.flags &= ~static_cast<std::uint32_t>(TW_SK_HAS_SOCKET);
     }},
    {"queued", [](Reader&, ScriptSocket& s, std::uint64_t) { s.abi.flags &= ~static_cast<std::uint32_t>(TW_SK_HAS_SOCKET); }},
    {"accepted", [](Reader&, ScriptSocket& s, std::uint64_t) { s.abi.flags |= TW_SK_HAS_SOCKET; }},
};

bool Player::attribute(Reader& line, ScriptSocket& s) {
  for (const Attribute& row : kAttributes) {
    if (!line.take(row.name)) continue;
    row.set(line, s, tape_.now);
    return true;
  }
  return false;
}

void Player::attributes(Reader& line, ScriptSocket& s) {
  while (!line.done())
    if (!attribute(line, s)) line.expected("a fact of the socket (queue, unacked, rto, err ...)");
}

// Sockets -------------------------------------------------------------------------------------------------------------

ScriptSocket& Player::declare(Reader& line, const std::string& what) {
  const std::string name = line.word(what);
  if (line.failed()) return nobody_;
  ScriptSocket s;
  const auto id = next_id_++;
  s.abi.id = id;
  s.abi.flags = TW_SK_FULL | TW_SK_HAS_SOCKET;
  s.abi.sysctl_retries2 = 15;
  s.abi.sysctl_syn_retries = 6;
  s.abi.sysctl_synack_retries = 5;
  s.abi.snd_una = s.abi.snd_nxt = s.abi.write_seq = static_cast<std::uint32_t>(id) * 1'000'000 + 1;
  s.abi.rcv_nxt = s.abi.copied_seq = static_cast<std::uint32_t>(id) * 2'000'000 + 1;
  s.abi.snd_wnd = 65536;
  s.abi.rcv_wnd = 65536;
  s.abi.mss = 1448;
  s.abi.rcv_mss = 1448;
  s.abi.rto_us = s.base_rto_us = 208'000;
  s.abi.rto_max_ms = 120'000;
  s.abi.keepalive_ms = 7'200'000;
  s.abi.tuple.netns = kNetns;
  return sockets_[name] = s;
}

ScriptSocket& Player::named(Reader& line, const std::string& what) {
  const auto it = sockets_.find(line.peek());
  if (it == sockets_.end()) {
    line.expected("the name of " + what + " that a line above made");
    return nobody_;
  }
  line.word(what);
  return it->second;
}

void put_endpoint(__u8 (&addr)[16], std::uint16_t& port, const util::Endpoint& e) {
  std::memcpy(addr, e.addr.bytes.data(), sizeof(addr));
  port = e.port;
}

void put_ends(Reader& line, tw_tuple& tuple) {
  static const std::string what = "an address and port such as 127.0.0.1:8080";
  put_endpoint(tuple.local, tuple.local_port, line.endpoint(what));
  if (!line.take("->")) line.expected("->");
  put_endpoint(tuple.remote, tuple.remote_port, line.endpoint(what));
}

tw_socket Player::facts(const ScriptSocket& s) const {
  tw_socket a = s.abi;
  if (a.state == 6 || a.state == 12) {  // TIME_WAIT, NEW_SYN_RECV
    tw_socket mini{};
    mini.id = a.id, mini.tuple = a.tuple, mini.state = a.state, mini.flags = TW_SK_MINI;
    return mini;
  }
  a.sent_age_ms = age_ms(tape_.now, s.sent_ns);
  a.received_age_ms = age_ms(tape_.now, s.received_ns);
  a.segment_age_ms = age_ms(tape_.now, s.heard_ns);
  a.retrans_age_ms = age_ms(tape_.now, s.first_retransmit_ns);
  a.head_age_ms = age_ms(tape_.now, s.head_ns);
  a.timer = s.expires_ns ? 1 : 0;
  if (s.expires_ns)
    a.timer_ms =
        static_cast<std::int32_t>((static_cast<std::int64_t>(s.expires_ns) - static_cast<std::int64_t>(tape_.now)) /
                                  static_cast<std::int64_t>(kMs));
  if (is_listener(s)) a.flags |= TW_SK_LISTENER;
  return a;
}

tw_owner Player::owner_of(const ScriptProcess& process, std::uint8_t source) {
  tw_owner owner{};
  if (process.pid == 0) return owner;
  owner.pid = process.pid;
  owner.source = source;
  owner.start_ns = process.pid * kMs;
  std::memcpy(owner.comm, process.comm.data(), std::min<std::size_t>(process.comm.size(), TW_COMM - 1));
  return owner;
}

tw_owner Player::connector_of(const ScriptSocket& s) {
  return s.connector ? owner_of(s.process, TW_OWNER_CONNECT) : tw_owner{};
}

// The same questions as the kernel side asks (inet_sock_set_state.bpf.c).
namespace states {
constexpr std::uint8_t kEstablished = 1, kSynSent = 2, kSynRecv = 3, kFinWait1 = 4, kFinWait2 = 5, kClose = 7,
                       kCloseWait = 8, kLastAck = 9, kListen = 10, kClosing = 11;

bool by_owner(std::uint8_t from, std::uint8_t to, int err) {
  if (to == kListen || to == kSynSent || from == kListen) return true;
  if (to == kFinWait1) return from == kEstablished || from == kSynRecv;
  if (to == kLastAck) return from == kCloseWait;
  return to == kClose && (from == kSynSent || from == kEstablished || from == kCloseWait) &&
         (err == 0 || err == ECONNABORTED);
}

// This side spoke last, and all of it arrived.
bool spoke_last(const ScriptSocket& s) {
  const tw_socket& a = s.abi;
  return a.write_seq == a.snd_una && a.bytes_acked > 1 && (a.bytes_received == 0 || s.sent_ns > s.received_ns);
}

bool is_telling(std::uint8_t from, std::uint8_t to, const ScriptSocket& socket, bool exiting) {
  const tw_socket& s = socket.abi;
  if (from == kSynSent) return to == kClose || (to == kEstablished && s.total_retrans > 0);
  if (socket.watched) return true;
  if (to == kCloseWait) return !(s.flags & TW_SK_ACCEPTED) && spoke_last(socket);
  if (to == kListen || from == kListen) return true;
  if (to == kEstablished) return s.total_retrans > 0;
  if (to == kFinWait1 || to == kLastAck) return exiting || s.write_seq != s.snd_nxt;
  if (to == kClose && (from == kFinWait2 || from == kLastAck || from == kClosing))
    return s.err != 0 || s.total_retrans > 0;
  return to == kClose && from != kClose;
}
}  // namespace states

// The rest of a line about a state change, and its record.
void Player::put_state(Reader& line, ScriptSocket& s, std::uint8_t to) {
  tw_state record{};
  ScriptProcess current = s.process;
  bool telling = false;
  std::uint8_t exit_flag = 0;
  std::uint32_t exit_code = 0;
  while (!line.done()) {
    if (line.take("by")) {
      current = line.process();
    } else if (line.take("exiting")) {
      exit_flag = TW_OWNER_EXITING;
      if (line.take("signal"))
        exit_code = u32(line, "a signal's number");
      else if (line.take("status"))
        exit_code = u32(line, "an exit status") << 8;
      else
        line.expected("signal or status");
    } else if (line.take("last-success")) {
      record.last_success_ns = ago(line, tape_.now, "how long ago");
    } else if (line.take("telling")) {
      telling = true;
    } else if (!attribute(line, s)) {
      line.expected("by, exiting, last-success, telling or a fact of the socket");
    }
  }
  const std::uint8_t from = s.abi.state;
  s.abi.state = to;
  if (to == states::kEstablished) s.established_ns = s.sent_ns = s.received_ns = s.heard_ns = tape_.now;
  if (to == states::kClose) s.expires_ns = 0;
  // The peer's FIN is counted as received before the state changes; lrcvtime is not touched.
  if (from == states::kEstablished && to == states::kCloseWait) s.abi.rcv_nxt += 1, s.abi.bytes_received += 1;
  if (states::by_owner(from, to, s.abi.err)) record.owner = owner_of(current, TW_OWNER_CURRENT);
  if (record.owner.pid) {
    record.owner.flags = exit_flag;
    record.owner.exit_code = exit_code;
  } else {
    record.owner = connector_of(s);
  }
  if (!telling && !states::is_telling(from, to, s, exit_flag != 0)) return put_transition(s, from, to, record.owner);
  record.socket = facts(s);
  record.from = from;
  record.to = to;
  tape_.put(record, TW_KIND_STATE);
}

void Player::put_transition(const ScriptSocket& s, std::uint8_t from, std::uint8_t to, const tw_owner& owner) {
  if (!options_.ordinary) return;
  tw_transition record{};
  record.id = s.abi.id;
  record.tuple = s.abi.tuple;
  record.from = from;
  record.to = to;
  record.snd_una = s.abi.snd_una;
  record.snd_nxt = s.abi.snd_nxt;
  record.rcv_nxt = s.abi.rcv_nxt;
  record.copied_seq = s.abi.copied_seq;
  record.total_retrans = s.abi.total_retrans;
  if (owner.source == TW_OWNER_CURRENT) {
    record.pid = owner.pid;
    std::memcpy(record.comm, owner.comm, sizeof(record.comm));
  }
  tape_.put(record, TW_KIND_TRANSITION);
}

// The walk over the processes' files finds whoever holds it: not what waits in an accept queue, and no orphan.
void Player::put_sample(const ScriptSocket& s) {
  tw_sample record{};
  record.socket = facts(s);
  if (s.abi.flags & TW_SK_HAS_SOCKET) record.owner = owner_of(s.process, TW_OWNER_FILE);
  record.usual_wait_ms = s.usual_wait_ms;
  record.answers = s.answers;
  record.unanswered = s.unanswered;
  record.window_shut_ms = age_ms(tape_.now, s.window_shut_ns);
  record.data_segments_sent = s.data_segments_sent;
  tape_.put(record, TW_KIND_SAMPLE);
}

void Player::put_seed(const ScriptSocket& s, const ScriptProcess& process) {
  tw_seed record{};
  record.socket = facts(s);
  record.owner = owner_of(process, TW_OWNER_FILE);
  tape_.put(record, TW_KIND_SEED);
}

bool Player::in_trouble(const ScriptSocket& s) {
  if (is_listener(s)) return s.abi.queue > s.abi.limit || s.abi.drops != s.swept_drops;
  return s.abi.state != states::kClose && s.abi.retransmits > 0 && s.abi.packets_out > 0;
}

bool Player::is_watched(const ScriptSocket& s) {
  return s.watched && !is_listener(s) && s.abi.state != states::kClose && s.abi.state != 6;  // TIME_WAIT
}

// Clock ---------------------------------------------------------------------------------------------------------------

void Player::tick() {
  tw_seed_end walked{};
  walked.complete = 1;
  tape_.put(walked, TW_KIND_SEED_END);
  tape_.put(tw_tick{}, TW_KIND_TICK);
}

// Wider than any finding, as on the kernel side (bpf/suspect.bpf.h).
bool Player::is_suspect(const ScriptSocket& s) {
  const tw_socket& a = s.abi;
  if (a.state == states::kClose || a.state == 6) return false;  // TIME_WAIT
  const bool waits = a.bytes_acked > 1 && a.write_seq == a.snd_una && s.sent_ns > s.received_ns;
  return in_trouble(s) || a.rcv_nxt != a.copied_seq || (a.write_seq != a.snd_nxt && a.snd_wnd < a.mss) ||
         a.state == 8 || waits;  // CLOSE_WAIT
}

bool Player::is_as_swept(const ScriptSocket& s) {
  const tw_socket &a = s.abi, &b = s.swept;
  return a.snd_una == b.snd_una && a.snd_nxt == b.snd_nxt && a.write_seq == b.write_seq && a.snd_wnd == b.snd_wnd &&
         a.rcv_nxt == b.rcv_nxt && a.copied_seq == b.copied_seq && a.state == b.state && a.backoff == b.backoff;
}

// A sample where something changed, and once more when the trouble is over; of the others the ids.
void Player::sweep_confirming() {
  tw_sweep_end end{};
  tw_still still{};
  for (auto& [name, s] : sockets_) {
    if (!s.watched && !is_listener(s)) continue;
    end.visited += 1;
    const bool trouble = is_suspect(s);
    if (!trouble && !s.swept_in_trouble) continue;
    if (trouble && s.swept_in_trouble && is_as_swept(s) && s.abi.retransmits == 0 && still.count < TW_STILL_MOST) {
      still.ids[still.count++] = s.abi.id;
      continue;
    }
    s.swept_in_trouble = trouble;
    s.swept = s.abi;
    put_sample(s);
    end.sockets += 1;
  }
  if (still.count > 0) tape_.put(still, TW_KIND_STILL);
  end.still = still.count;
  end.flags = TW_SWEEP_CONFIRMS;
  tape_.put(end, TW_KIND_SWEEP_END);
}

void Player::sweep() {
  if (confirming_) return sweep_confirming();
  std::uint64_t count = 0;
  for (auto& [name, s] : sockets_) {
    const bool trouble = in_trouble(s);
    if (!trouble && !s.swept_in_trouble && !is_watched(s)) continue;
    s.swept_in_trouble = trouble;
    s.swept_drops = s.abi.drops;
    put_sample(s);
    count += 1;
  }
  tw_sweep_end end{};
  end.sockets = count;
  tape_.put(end, TW_KIND_SWEEP_END);
}

// A tick of the very moment of a line comes after the line.
void Player::advance(std::uint64_t to, bool with_last) {
  while (next_tick_ < to || (with_last && next_tick_ == to)) {
    tape_.now = next_tick_;
    if (tape_.now >= next_sweep_) {
      next_sweep_ += kSweep;
      if (sweeping_)
        sweep();
      else
        tape_.put(tw_sweep_end{}, TW_KIND_SWEEP_END);
    }
    tick();
    next_tick_ += kTick;
  }
  tape_.now = to;
}

// What was there before is told first, then the walk at start ends.
void Player::end_walk_at_start() {
  if (started_) return;
  started_ = true;
  tw_seed_end end{};
  end.initial = end.complete = 1;
  tape_.put(end, TW_KIND_SEED_END);
}

// Verbs ---------------------------------------------------------------------------------------------------------------

void Player::listen(Reader& line) {
  ScriptSocket& s = declare(line, "a name for the listener");
  put_endpoint(s.abi.tuple.local, s.abi.tuple.local_port, line.endpoint("an address and port such as 0.0.0.0:80"));
  std::memset(s.abi.tuple.remote, 0, sizeof(s.abi.tuple.remote));
  s.abi.limit = 128;
  s.abi.state = states::kClose;
  if (line.take("by")) s.process = line.process();
  put_state(line, s, states::kListen);
}

void Player::connect(Reader& line) {
  ScriptSocket& s = declare(line, "a name for the connection");
  put_ends(line, s.abi.tuple);
  if (line.take("by")) {
    s.process = line.process();
    s.connector = true;
  }
  s.abi.state = states::kClose;
  s.abi.rto_us = s.base_rto_us = 1'000'000;
  s.synack_ns = tape_.now;
  put_state(line, s, states::kSynSent);
}

void Player::child(Reader& line) {
  const std::string name = line.word("a name for the accepted end");
  if (!line.take("of")) line.expected("of");
  ScriptSocket& client = named(line, "the client");
  if (!client.request_id) client.request_id = next_id_++;
  const tw_tuple tuple = mirrored(client.abi.tuple);
  Reader declared{{name}};
  ScriptSocket& s = declare(declared, "a name");
  if (line.failed()) return;
  s.abi.id = client.request_id;
  s.abi.total_retrans = client.synacks_again;  // net/ipv4/tcp_minisocks.c tcp_create_openreq_child()
  s.abi.tuple = tuple;
  s.abi.flags |= TW_SK_ACCEPTED;
  s.abi.state = states::kSynRecv;
  if (line.take("on")) s.abi.tuple.netns = named(line, "the listener").abi.tuple.netns;
  if (line.take("by")) s.process = line.process();
  put_state(line, s, states::kEstablished);
}

void Player::socket(Reader& line) {
  ScriptSocket& s = declare(line, "a name for the socket");
  put_ends(line, s.abi.tuple);
  s.abi.state = states::kEstablished;
  s.sent_ns = s.received_ns = s.heard_ns = tape_.now;
  if (line.take("by")) s.process = line.process();
  attributes(line, s);
}

void Player::send(Reader& line) {
  ScriptSocket& s = named(line, "the sender");
  const std::uint32_t bytes = u32(line, "a number of bytes");
  s.abi.write_seq += bytes;
  s.abi.snd_nxt += bytes;
  s.abi.packets_out += 1;
  s.data_segments_sent += 1;
  s.sent_ns = tape_.now;
  attributes(line, s);
}

void Player::receive(Reader& line) {
  ScriptSocket& s = named(line, "the receiver");
  const std::uint32_t bytes = u32(line, "a number of bytes");
  s.abi.rcv_nxt += bytes;
  s.abi.bytes_received += bytes;
  s.received_ns = s.heard_ns = tape_.now;
  attributes(line, s);
}

void Player::read(Reader& line) {
  ScriptSocket& s = named(line, "the reader");
  s.abi.copied_seq = s.abi.rcv_nxt;
  attributes(line, s);
}

void Player::ack(Reader& line) {
  ScriptSocket& s = named(line, "the sender");
  s.abi.bytes_acked += s.abi.snd_nxt - s.abi.snd_una;
  s.abi.snd_una = s.abi.snd_nxt;
  s.abi.packets_out = s.abi.retransmits = s.abi.backoff = s.abi.ca_state = 0;
  s.abi.rto_us = s.base_rto_us;
  s.expires_ns = s.first_retransmit_ns = 0;
  s.heard_ns = tape_.now;
  attributes(line, s);
}

void Player::set(Reader& line) { attributes(line, named(line, "a socket")); }

void Player::established(Reader& line) {
  ScriptSocket& s = named(line, "a socket");
  s.abi.retransmits = s.abi.backoff = 0;
  s.abi.rto_us = s.base_rto_us = 208'000;
  s.expires_ns = s.first_retransmit_ns = 0;
  put_state(line, s, states::kEstablished);
}

void Player::state(Reader& line) {
  ScriptSocket& s = named(line, "a socket");
  const std::uint8_t to = line.one_of(kStates, "a state such as CLOSE_WAIT");
  put_state(line, s, to);
}

void Player::close(Reader& line) {
  ScriptSocket& s = named(line, "a socket");
  put_state(line, s, states::kClose);
}

void Player::put_retransmit(Reader& line, ScriptSocket& s, std::uint8_t type) {
  tw_retransmit record{};
  attributes(line, s);
  record.type = type;
  record.socket = facts(s);
  record.owner = connector_of(s);
  tape_.put(record, TW_KIND_RETRANSMIT);
  s.abi.total_retrans += 1;
}

// icsk_retransmits is counted up before the event, the time-out is doubled and the timer armed after it.
void Player::timeout(Reader& line) {
  ScriptSocket& s = named(line, "the sender");
  s.abi.retransmits += 1;
  s.abi.ca_state = 4;
  s.expires_ns = tape_.now;
  put_retransmit(line, s, s.abi.state == states::kSynSent ? TW_RETRANSMIT_SYN : TW_RETRANSMIT_TIMEOUT);
  if (!s.first_retransmit_ns) s.first_retransmit_ns = tape_.now;
  s.abi.backoff += 1;
  s.abi.rto_us = std::min(s.abi.rto_us * 2, s.abi.rto_max_ms * 1000);
  s.expires_ns = tape_.now + s.abi.rto_us * 1000ULL;
}

void Player::syn_retransmit(Reader& line) {
  if (const auto it = sockets_.find(line.peek()); it != sockets_.end() && it->second.abi.state != states::kSynSent)
    return line.expected("a socket in SYN_SENT");
  timeout(line);
}

void Player::retransmit(Reader& line) {
  static constexpr std::pair<std::string_view, std::uint8_t> kTypes[] = {
      {"fast", TW_RETRANSMIT_FAST}, {"tail-loss", TW_RETRANSMIT_TAIL_LOSS}, {"probe", TW_RETRANSMIT_PROBE}};
  ScriptSocket& s = named(line, "the sender");
  const std::uint8_t type = line.one_of(kTypes, "fast, tail-loss or probe");
  put_retransmit(line, s, type);
}

void Player::synack_retransmit(Reader& line) {
  ScriptSocket& l = named(line, "the listener");
  if (!line.take("from")) line.expected("from");
  ScriptSocket& client = named(line, "the client");
  if (line.failed()) return;
  if (!client.request_id) client.request_id = next_id_++;
  tw_synack_retransmit record{};
  record.by_timer = 1;
  bool remote = false;
  while (!line.done()) {
    if (line.take("timer"))
      record.by_timer = 1;
    else if (line.take("duplicate"))
      record.by_timer = 0;
    else if (line.take("acked"))
      record.acked = 1;
    else if (line.take("timeouts"))
      record.num_timeout = record.num_retrans = u8(line, "time-outs before this one");
    else if (line.take("retrans"))
      record.num_retrans = u8(line, "SYN-ACKs sent again before this one");
    else if (line.take("remote"))
      remote = true;  // the client's socket is not on this host
    else if (!attribute(line, l))
      line.expected("timer, duplicate, acked, timeouts, retrans, remote or a fact of the listener");
  }
  client.synacks_again += 1;
  record.listener = facts(l);
  record.request = mirrored(client.abi.tuple);
  record.request.netns = l.abi.tuple.netns;
  record.request_id = client.request_id;
  record.client_isn = client.isn;
  record.server_isn = client.peer_isn;
  record.synack_age_ms = age_ms(tape_.now, client.synack_ns ? client.synack_ns : tape_.now);
  if (client.established_ns && !remote) {
    record.client_id = client.abi.id;
    record.client_established_ns = client.established_ns;
    record.client_owner = connector_of(client);
  }
  tape_.put(record, TW_KIND_SYNACK_RETRANSMIT);
}

void Player::overflow(Reader& line) {
  ScriptSocket& l = named(line, "the listener");
  if (!line.take("from")) line.expected("from");
  ScriptSocket& client = named(line, "the client");
  tw_drop record{};
  record.reason = 40;
  record.segment = {0, 0, 0, kAck, 1, 0};
  l.abi.drops += 2;
  while (!line.done()) {
    if (line.take("reason"))
      record.reason = line.reason(kDropReasons, "a drop reason such as NO_SOCKET");
    else if (line.take("payload"))
      record.segment.payload = u32(line, "a number of bytes");
    else if (!attribute(line, l))
      line.expected("reason, payload or a fact of the listener");
  }
  const tw_socket a = facts(l);
  record.listener_id = a.id;
  record.tuple = mirrored(client.abi.tuple);
  record.tuple.netns = a.tuple.netns;
  record.queue = a.queue, record.limit = a.limit, record.drops = a.drops, record.head_age_ms = a.head_age_ms;
  tape_.put(record, TW_KIND_DROP);
}

void Player::drop(Reader& line) {
  ScriptSocket& s = named(line, "the sender");
  tw_drop record{};
  record.reason = line.reason(kDropReasons, "a drop reason such as NETFILTER_DROP");
  record.segment = {s.abi.snd_una, s.abi.rcv_nxt, 0, s.abi.state == states::kSynSent ? kSyn : kAck, 1, 0};
  if (line.take("payload")) record.segment.payload = u32(line, "a number of bytes");
  record.tuple = mirrored(s.abi.tuple);
  record.head_age_ms = TW_NEVER;
  attributes(line, s);
  tape_.put(record, TW_KIND_DROP);
}

void Player::reset_sent(Reader& line) {
  tw_reset_sent record{};
  record.reason = 14;  // TCP_STATE
  ScriptSocket ghost;
  const bool none = line.take("none");
  ScriptSocket& s = none ? ghost : named(line, "the sender");
  const bool for_segment = none || is_listener(s);
  if (for_segment) {
    if (!line.take("to")) line.expected("to");
    const ScriptSocket& client = named(line, "the other end");
    record.socket = none ? tw_socket{} : facts(s);
    record.socket.tuple = mirrored(client.abi.tuple);
    record.reason = none ? 1 : 6;  // NO_SOCKET, TCP_FLAGS
    record.trigger = {0, 0, 0, kAck, 1, 0};
  }
  while (!line.done()) {
    if (line.take("reason"))
      record.reason = line.take("none")
                          ? -1
                          : static_cast<__s32>(line.reason(kResetReasons, "a reset reason such as TCP_ABORT_ON_CLOSE"));
    else if (line.take("trigger"))
      record.trigger = line.take("syn") ? tw_segment{0, 0, 0, kSyn, 1, 0}
                                        : tw_segment{0, 0, u32(line, "syn or a number of bytes"), kAck, 1, 0};
    else if (!attribute(line, s))
      line.expected("reason, trigger or a fact of the sender");
  }
  if (!for_segment) {
    record.socket = facts(s);
    record.owner = connector_of(s);
  } else if (!none) {
    const tw_tuple tuple = record.socket.tuple;
    record.socket = facts(s);
    record.socket.tuple = tuple;
  }
  tape_.put(record, TW_KIND_RESET_SENT);
}

void Player::reset_received(Reader& line) {
  ScriptSocket& s = named(line, "the receiver");
  attributes(line, s);
  tw_reset_received record{};
  record.socket = facts(s);
  record.owner = connector_of(s);
  tape_.put(record, TW_KIND_RESET_RECEIVED);
}

// An RST answers a SYN: the stack's own, or (silently) one that no socket of this host sent.
void Player::refuse(Reader& line) {
  ScriptSocket& s = named(line, "the client");
  const bool silently = line.take("silently");
  if (!silently) {
    tw_reset_sent answer{};
    answer.socket.tuple = mirrored(s.abi.tuple);
    answer.reason = 1;
    answer.trigger = {0, 0, 0, kSyn, 1, 0};
    tape_.put(answer, TW_KIND_RESET_SENT);
  }
  tw_reset_received record{};
  record.socket = facts(s);
  record.owner = connector_of(s);
  tape_.put(record, TW_KIND_RESET_RECEIVED);
  s.abi.err = ECONNREFUSED;
  put_state(line, s, states::kClose);
}

void Player::error(Reader& line) {
  ScriptSocket& s = named(line, "a socket");
  s.abi.err = line.one_of(kErrors, "an errno such as ETIMEDOUT");
  attributes(line, s);
  tw_socket_error record{};
  record.socket = facts(s);
  record.owner = connector_of(s);
  tape_.put(record, TW_KIND_SOCKET_ERROR);
}

void Player::lost(Reader& line) {
  tw_lost record{};
  record.count = line.number("how many events were lost");
  record.kind = line.one_of(kKinds, "a kind of record such as state or retransmit");
  if (!line.done()) record.way = line.one_of(kWays, "a way to lose such as not_swept");
  tape_.put(record, TW_KIND_LOST);
}

void Player::seed(Reader& line) {
  ScriptSocket& s = named(line, "a socket");
  ScriptProcess holder = s.process;
  if (line.take("by")) holder = line.process();
  attributes(line, s);
  put_seed(s, holder);
}

void Player::seeding(Reader&) { started_ = seeding_ = true; }

void Player::seed_end(Reader&) {
  tw_seed_end end{};
  end.complete = 1;
  end.initial = std::exchange(seeding_, false) ? 1 : 0;
  tape_.put(end, TW_KIND_SEED_END);
}

void Player::process(Reader& line) {
  tw_process record{};
  record.pid = u32(line, "a process id");
  record.start_ns = record.pid * kMs;
  record.threads = 1;
  record.open_fds = record.fd_limit = record.polling = record.read_age_ms = TW_NEVER;
  record.state = '?';
  const auto copy = [](std::span<char> to, const std::string& text) {
    std::copy_n(text.begin(), std::min(text.size(), to.size() - 1), to.begin());
  };
  while (!line.done()) {
    if (line.take("state")) {
      const std::string state = line.word("R, S, D, T or Z");
      if (!state.empty()) record.state = state.front();
    } else if (line.take("threads"))
      record.threads = u32(line, "a number of threads");
    else if (line.take("fds"))
      record.open_fds = u32(line, "a number of descriptors");
    else if (line.take("fd-limit"))
      record.fd_limit = u32(line, "a number of descriptors");
    else if (line.take("in"))
      copy(record.wait_channel, line.word("a wait channel"));
    else if (line.take("cgroup"))
      copy(record.cgroup, line.word("a path"));
    else if (line.take("cpu"))
      record.cpu_ns = static_cast<std::uint64_t>(line.duration("the time that it computed").count());
    else if (line.take("polling"))
      record.polling = u32(line, "a number of threads");
    else if (line.take("read"))
      record.read_age_ms = line.take("never") ? TW_NEVER : ms(line, "how long ago it read");
    else
      line.expected("state, threads, fds, fd-limit, in, cgroup, cpu, polling or read");
  }
  tape_.put(record, TW_KIND_PROCESS);
}

void Player::host(Reader& line) {
  tw_host record{};
  const auto expect = [&line](const char* word) {
    if (!line.take(word)) line.expected(word);
  };
  expect("memory");
  record.memory_pages = line.number("pages in use");
  expect("of");
  record.memory_low = line.number("the lowest mark of tcp_mem");
  record.memory_pressure = line.number("the middle mark of tcp_mem");
  record.memory_high = line.number("the highest mark of tcp_mem");
  expect("orphans");
  record.orphans = line.number("a number of orphans");
  expect("of");
  record.orphans_limit = line.number("tcp_max_orphans");
  if (!line.failed()) tape_.put(record, TW_KIND_HOST);
}

void Player::mib(Reader& line) {
  tw_mib record{};
  record.netns = kNetns;
  while (!line.done()) {
    const auto known = std::find(abi::kMibNames.begin(), abi::kMibNames.end(), line.peek());
    if (known == abi::kMibNames.end()) return line.expected("the name of a counter");
    line.take(std::string{*known});
    record.values[known - abi::kMibNames.begin()] = line.number("its value");
  }
  tape_.put(record, TW_KIND_MIB);
}

void Player::clock(Reader& line) {
  const bool back = line.take("back");
  if (!back && !line.take("ahead")) return line.expected("ahead or back");
  tw_clock record{};
  record.moved_ns = line.duration("how far").count() * (back ? -1 : 1);
  if (line.failed()) return;
  clock_moved_ns_ += record.moved_ns;
  record.wall_offset_ns = clock_moved_ns_;
  tape_.put(record, TW_KIND_CLOCK);
}

void Player::sample(Reader& line) {
  ScriptSocket& s = named(line, "a socket");
  attributes(line, s);
  put_sample(s);
}

void Player::sweep_now(Reader&) { sweep(); }

void Player::sweeps(Reader& line) {
  confirming_ = line.take("confirm");
  sweeping_ = confirming_ || line.take("on");
  if (!sweeping_ && !line.take("off")) line.expected("on, confirm or off");
}

void Player::tick_now(Reader&) { tick(); }

void Player::until(Reader& line) {
  const std::uint64_t to = kStart + static_cast<std::uint64_t>(line.duration("a time").count());
  if (!line.failed() && to < tape_.now) return line.expected("a time that is not before the line above");
  if (!line.failed()) advance(to, true);
}

const Player::VerbRow Player::kVerbs[] = {
    {"listen", &Player::listen},
    {"connect", &Player::connect},
    {"child", &Player::child},
    {"socket", &Player::socket},
    {"send", &Player::send},
    {"receive", &Player::receive},
    {"read", &Player::read},
    {"ack", &Player::ack},
    {"set", &Player::set},
    {"established", &Player::established},
    {"state", &Player::state},
    {"close", &Player::close},
    {"timeout", &Player::timeout},
    {"syn-retransmit", &Player::syn_retransmit},
    {"retransmit", &Player::retransmit},
    {"synack-retransmit", &Player::synack_retransmit},
    {"overflow", &Player::overflow},
    {"drop", &Player::drop},
    {"reset-sent", &Player::reset_sent},
    {"reset-received", &Player::reset_received},
    {"refuse", &Player::refuse},
    {"error", &Player::error},
    {"lost", &Player::lost},
    {"seed", &Player::seed},
    {"seed-end", &Player::seed_end},
    {"seeding", &Player::seeding},
    {"process", &Player::process},
    {"host", &Player::host},
    {"mib", &Player::mib},
    {"clock", &Player::clock},
    {"sample", &Player::sample},
    {"sweep", &Player::sweep_now},
    {"sweeps", &Player::sweeps},
    {"tick", &Player::tick_now},
    {"until", &Player::until},
};

std::string Player::play(Words words) {
  Reader line{std::move(words)};
  if (line.take("at")) {
    const std::uint64_t to = kStart + static_cast<std::uint64_t>(line.duration("a time").count());
    if (line.failed()) return line.error();
    if (to < tape_.now) return "expected a time that is not before the line above";
    if (to > tape_.now) end_walk_at_start();
    advance(to, false);
  }
  const auto* row =
      std::find_if(std::begin(kVerbs), std::end(kVerbs), [&](const VerbRow& r) { return r.name == line.peek(); });
  if (row == std::end(kVerbs)) {
    line.expected("a verb (listen, connect, timeout, reset-sent, until ...)");
    return line.error();
  }
  const std::string verb = line.word("a verb");
  if (verb != "seed" && verb != "socket" && verb != "seeding") end_walk_at_start();
  (this->*row->verb)(line);
  if (!line.done()) line.expected("the end of the line");
  return line.error();
}

Words words_of(std::string_view text) {
  Words words;
  std::size_t at = 0;
  while (true) {
    at = text.find_first_not_of(" \t\r", at);
    if (at == std::string_view::npos || text[at] == '#') return words;
    const std::size_t end = std::min(text.find_first_of(" \t\r", at), text.size());
    words.emplace_back(text.substr(at, end - at));
    at = end;
  }
}

}  // namespace

util::Result<Script> parse_script(std::string_view text, const ScriptOptions& options) {
  Player player{options};
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    Words words = words_of(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    number += 1;
    if (words.empty()) continue;
    if (std::string error = player.play(std::move(words)); !error.empty())
      return util::Error{fmt::format("line {}: {}", number, error)};
  }
  return Script{player.take_records()};
}

core::KernelNames script_names() {
  core::KernelNames names;
  for (const auto& [number, name] : kDropReasons) names.drop_reasons.emplace(number, name);
  for (const auto& [number, name] : kResetReasons) names.reset_reasons.emplace(number, name);
  return names;
}

util::BootTime script_time(Duration since_start) { return util::boot_time(kStart) + since_start; }

}  // namespace tcpwhy::source
