// SPDX-License-Identifier: GPL-2.0-only
// Events: the records of the stream as C++ values. Everything above this layer sees these and never the ABI.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "user/util/address.h"
#include "user/util/time.h"

namespace tcpwhy::abi {

// RFC 9293 3.3.2 under the kernel's names and numbers (include/net/tcp_states.h).
enum class TcpState : std::uint8_t {
  unknown = 0,
  established = 1,
  syn_sent,
  syn_recv,
  fin_wait1,
  fin_wait2,
  time_wait,
  close,
  close_wait,
  last_ack,
  listen,
  closing,
  new_syn_recv,
};
std::string_view to_string(TcpState state);

// A socket cookie: unique while the host is up, inherited by a child from its request. 0: not known.
enum class SocketId : std::uint64_t { none = 0 };

// A connection as one end sees it. netns is the namespace's inode number.
struct Tuple {
  util::Endpoint local;
  util::Endpoint remote;
  std::uint32_t netns = 0;
  bool operator==(const Tuple&) const = default;
  [[nodiscard]] Tuple mirrored() const { return {remote, local, netns}; }
};

enum class OwnerSource : std::uint8_t { none, current, connect, file };

struct Owner {
  OwnerSource source = OwnerSource::none;
  std::uint32_t pid = 0;
  std::string comm;
  util::BootTime start{};
  bool exiting = false;
  std::uint32_t exit_code = 0;  // as wait(2) gives it
  std::string host;             // where several hosts' recordings are read together; else empty
  [[nodiscard]] bool known() const { return source != OwnerSource::none && pid != 0; }
};

// Facts of one socket at the moment of the record. An age is absent where its stamp was never set.
struct Socket {
  SocketId id = SocketId::none;
  Tuple tuple;
  TcpState state = TcpState::unknown;
  bool full = false;        // everything below is valid
  bool mini = false;        // TIME_WAIT or a request: id, tuple and state only
  bool orphan = false;      // SOCK_DEAD
  bool has_socket = false;  // a child in the accept queue has none and is no orphan
  bool keepalive = false;
  bool linger = false;
  bool linger_zero = false;
  bool listener = false;  // the accept-queue fields are valid
  bool accepted = false;  // the server's end, certainly; false proves nothing where the backlog is 0
  std::uint64_t cgroup_id = 0;
  std::uint64_t bytes_acked = 0;
  std::uint64_t bytes_received = 0;
  std::uint8_t shutdown = 0;
  std::uint8_t ca_state = 0;
  std::uint8_t timer = 0;  // icsk_pending
  std::uint8_t retransmits = 0;
  std::uint8_t backoff = 0;
  std::uint8_t probes_out = 0;
  std::uint8_t retries2 = 0;  // sysctls of its namespace
  std::uint8_t syn_retries = 0;
  std::uint8_t synack_retries = 0;
  std::uint8_t orphan_retries = 0;
  std::uint8_t own_syn_retries = 0;
  int err = 0;
  int err_soft = 0;
  std::uint32_t snd_una = 0;
  std::uint32_t snd_nxt = 0;
  std::uint32_t write_seq = 0;
  std::uint32_t rcv_nxt = 0;
  std::uint32_t copied_seq = 0;
  std::uint32_t snd_wnd = 0;
  std::uint32_t rcv_wnd = 0;
  std::uint32_t mss = 0;
  std::uint16_t rcv_mss = 0;  // of the peer's segments, as the kernel estimates it
  std::uint32_t packets_out = 0;
  std::uint32_t total_retrans = 0;
  util::Duration srtt{};
  util::Duration rto{};
  util::Duration rto_max{};
  util::Duration user_timeout{};  // zero: unset
  util::Duration timer_left{};    // until the armed timer expires; the wheel may fire it a little later
  bool in_timer = false;          // seen inside a time-out's handler, which has not yet doubled rto and armed the timer
  std::optional<util::Duration> sent_age;
  std::optional<util::Duration> received_age;
  std::optional<util::Duration> segment_age;
  std::optional<util::Duration> retrans_age;
  util::Duration keepalive_time{};
  std::uint32_t queue = 0;
  std::uint32_t limit = 0;
  std::uint32_t drops = 0;
  std::uint32_t requests = 0;
  std::uint32_t young = 0;
  std::uint32_t defer = 0;
  std::optional<util::Duration> head_age;
  std::uint16_t head_port = 0;  // the peer's port of the queue's head

  [[nodiscard]] std::uint32_t unacked() const { return write_seq - snd_una; }
  [[nodiscard]] std::uint32_t in_flight() const { return snd_nxt - snd_una; }
  [[nodiscard]] std::uint32_t unread() const { return rcv_nxt - copied_seq; }
  [[nodiscard]] std::uint32_t unsent() const { return write_seq - snd_nxt; }
  [[nodiscard]] bool over_limit() const { return listener && queue > limit; }
};

struct Segment {
  std::uint32_t seq = 0;
  std::uint32_t ack_seq = 0;
  std::uint32_t payload = 0;
  bool fin = false, syn = false, rst = false, ack = false;
};

// A state change of ordinary life. Detectors never see it: findings are the same with and without.
struct Transition {
  SocketId id = SocketId::none;
  Tuple tuple;
  TcpState from{}, to{};
  int err = 0;
  std::uint32_t snd_una = 0, snd_nxt = 0, rcv_nxt = 0, copied_seq = 0;
  std::uint32_t total_retrans = 0;
  std::uint32_t pid = 0;
  std::string comm;
  std::string host;  // as in Owner
};
struct StateChange {
  Socket socket;
  Owner owner;
  TcpState from{}, to{};
  std::optional<util::BootTime> last_success;  // SYN_SENT to CLOSE: the destination's last successful connect
};
enum class RetransmitType : std::uint8_t { timeout = 1, fast, tail_loss, syn, probe };
std::string_view to_string(RetransmitType type);
struct Retransmit {
  Socket socket;
  Owner owner;
  RetransmitType type{};
  int error = 0;
};
struct SynAckRetransmit {
  Socket listener;
  Owner client_owner;
  SocketId request = SocketId::none;
  SocketId client = SocketId::none;  // the client's socket, where it is on this host
  std::optional<util::BootTime> client_established;
  Tuple tuple;  // of the request
  std::uint32_t client_isn = 0, server_isn = 0;
  util::Duration since_synack{};
  bool acked = false, by_timer = false;
  std::uint8_t num_timeout = 0, num_retrans = 0;  // before this one
  std::optional<std::uint32_t> client_netns;      // where the client is on another host that was recorded, too
};
struct ResetSent {
  Socket socket;  // full, a listener, a TIME_WAIT minisocket, or only a tuple
  Owner owner;
  std::optional<Segment> trigger;  // present: a passive reset
  int reason = -1;                 // enum sk_rst_reason of the kernel that ran; -1 it had none
};
struct ResetReceived {
  Socket socket;
  Owner owner;
};
struct SocketError {
  Socket socket;
  Owner owner;
};
struct Drop {
  SocketId listener = SocketId::none;
  Tuple tuple;  // as the receiver would see it
  Segment segment;
  std::uint32_t reason = 0;  // enum skb_drop_reason of the kernel that ran
  std::uint32_t queue = 0, limit = 0, drops = 0;
  std::optional<util::Duration> head_age;
  std::uint16_t head_port = 0;
};
struct Seed {
  Socket socket;
  Owner owner;
};
// A socket as a sweep found it. Of one that is no listener: what it tells of the service, as the kernel side has seen it
// answer, is told of a client's end only.
struct Sample {
  Socket socket;
  Owner owner;
  std::optional<util::Duration> usual_wait;  // for an answer, by the slow ones; it ages; absent: never seen
  std::uint32_t answers = 0;                 // connections seen at rest with the answer there
  std::uint32_t unanswered = 0;              // ... with this side the last to speak, and it went on all the same
  std::optional<util::Duration> window_shut_age;
  std::uint32_t data_segments_sent = 0;
};
struct Tick {};
// Ways to lose, in the order of TW_LOST_ (bpf/tcpwhy_abi.h).
enum class LossWay : std::uint8_t { ring, recursion, iterator, walk, table, unswept, queue, want };
inline constexpr std::size_t kLossWays = 8;
// "ring buffer full", "table full", ...: keys of the summary's losses.
std::string_view to_string(LossWay way);
// The first two lose events; the others leave unseen what a sweep or an answer would have shown.
constexpr bool loses_events(LossWay way) { return way == LossWay::ring || way == LossWay::recursion; }
struct Lost {
  std::string_view kind;
  std::uint64_t count = 0;
  LossWay way = LossWay::ring;
};
// Events that a rate limit of the kernel side left out: not lost unawares, yet not seen one by one.
struct Limited {
  std::string_view kind;
  std::uint64_t count = 0;
};
struct SeedEnd {
  bool initial = false;
  bool complete = false;
};
// Sockets in trouble that a sweep found as their last sample showed them.
struct Still {
  std::vector<SocketId> ids;
};
struct SweepEnd {
  std::uint64_t sockets = 0;  // samples of this sweep
  util::Duration interval{};  // until the next
  bool confirms = false;  // each socket in trouble came as a Sample or in a Still; else a silent one was not looked at
  std::uint64_t visited = 0;  // tracked sockets that the sweep passed
  std::uint64_t still = 0;    // ids in this sweep's Still events
};
// TCP as a whole, in pages and sockets; told while one of them is near its limit, and once more after.
struct Host {
  std::uint64_t memory = 0, memory_low = 0, memory_pressure = 0, memory_high = 0;
  std::uint64_t orphans = 0, orphans_limit = 0;
};
struct ProcessState {
  std::uint32_t pid = 0;
  util::BootTime start{};
  std::uint32_t threads = 0;
  std::optional<std::uint32_t> open_fds;
  std::optional<std::uint32_t> fd_limit;
  char state = '?';  // R S D T t Z X
  std::string wait_channel;
  std::string cgroup;
  util::Duration cpu{};                    // of all its threads, since it started
  std::optional<std::uint32_t> polling;    // threads that wait for sockets (poll, epoll, select, accept, recv)
  std::optional<util::Duration> read_age;  // it read from a TCP socket not longer ago; absent: not seen to
};

// Counters of one network namespace since it was made, in the order of kMibNames.
inline constexpr std::array<std::string_view, 10> kMibNames{
    "ListenOverflows", "ListenDrops",        "TCPRcvQDrop",      "PruneCalled",    "RcvPruned",
    "TCPRcvCollapsed", "TCPMemoryPressures", "TCPAbortOnMemory", "TCPAbortOnData", "TCPAbortOnClose"};
enum class MibCounter : std::uint8_t {
  listen_overflows,
  listen_drops,
  rcvq_drop,
  prune_called,
  rcv_pruned,
  rcv_collapsed,
  memory_pressures,
  abort_on_memory,
  abort_on_data,
  abort_on_close,
};
struct Mib {
  std::uint32_t netns = 0;
  std::array<std::uint64_t, kMibNames.size()> values{};
};

// The wall clock was set (settimeofday, a step of NTP, a leap second). Slewing moves boot time alike and is none.
struct Clock {
  util::WallOffset offset;  // from here on
  util::Duration moved{};   // ahead, where it is more than before
};

struct Event {
  util::BootTime time{};
  std::variant<Tick, Transition, StateChange, Retransmit, SynAckRetransmit, ResetSent, ResetReceived, SocketError, Drop,
               Seed, Sample, Lost, SeedEnd, SweepEnd, ProcessState, Limited, Host, Mib, Clock, Still>
      body;
  std::uint32_t host = 0;  // its number, where several hosts' recordings are read together
};

// Of the connection, or the listener, that an event is about, seen from the end that it happened to (a drop: from its
// receiver); absent where it is about none.
std::optional<Tuple> tuple_of(const Event& event);

inline constexpr std::size_t kEventKinds = std::variant_size_v<decltype(Event::body)>;
inline constexpr std::size_t kTransitionIndex = 1;  // in Event::body
static_assert(std::is_same_v<std::variant_alternative_t<kTransitionIndex, decltype(Event::body)>, Transition>);

// "state", "retransmit", ...: the names of kinds in the summary, the events and the losses.
std::string_view name_of(const Event& event);
std::string_view name_of(std::size_t index);  // in Event::body
std::string_view kind_name(std::uint32_t kind);

}  // namespace tcpwhy::abi
