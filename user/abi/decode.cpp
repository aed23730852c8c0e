// SPDX-License-Identifier: GPL-2.0-only
#include "user/abi/decode.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "bpf/tcpwhy_abi.h"

namespace tcpwhy::abi {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

std::optional<util::Duration> age(std::uint32_t ms) {
  if (ms == TW_NEVER) return std::nullopt;
  return milliseconds{ms};
}

std::optional<util::BootTime> stamp(std::uint64_t ns) {
  if (ns == 0) return std::nullopt;
  return util::boot_time(ns);
}

template <std::size_t N>
std::string text(const char (&chars)[N]) {
  return {chars, strnlen(chars, N)};
}

util::Address address(const __u8 (&bytes)[16]) {
  util::Address result;
  std::memcpy(result.bytes.data(), bytes, sizeof(bytes));
  return result;
}

Tuple tuple(const tw_tuple& t) {
  return {{address(t.local), t.local_port}, {address(t.remote), t.remote_port}, t.netns};
}

Owner owner(const tw_owner& o) {
  Owner result;
  if (o.source > TW_OWNER_FILE || o.pid == 0) return result;
  result.source = static_cast<OwnerSource>(o.source);
  result.pid = o.pid;
  result.comm = text(o.comm);
  result.start = util::boot_time(o.start_ns);
  result.exiting = (o.flags & TW_OWNER_EXITING) != 0;
  result.exit_code = o.exit_code;
  return result;
}

TcpState state(std::uint8_t s) {
  return s <= static_cast<std::uint8_t>(TcpState::new_syn_recv) ? static_cast<TcpState>(s) : TcpState::unknown;
}

Segment segment(const tw_segment& s) {
  return {s.seq, s.ack_seq, s.payload, (s.flags & 1) != 0, (s.flags & 2) != 0, (s.flags & 4) != 0, (s.flags & 16) != 0};
}

void fill_flags(Socket& out, const tw_socket& in) {
  const auto has = [&in](std::uint32_t flag) { return (in.flags & flag) != 0; };
  out.full = has(TW_SK_FULL);
  out.mini = has(TW_SK_MINI);
  out.orphan = has(TW_SK_DEAD);
  out.has_socket = has(TW_SK_HAS_SOCKET);
  out.keepalive = has(TW_SK_KEEPALIVE);
  out.linger = has(TW_SK_LINGER);
  out.linger_zero = has(TW_SK_LINGER_ZERO);
  out.listener = has(TW_SK_LISTENER);
  out.accepted = has(TW_SK_ACCEPTED);
}

void fill_timers(Socket& out, const tw_socket& in) {
  out.srtt = microseconds{in.srtt_us};
  out.rto = microseconds{in.rto_us};
  out.rto_max = milliseconds{in.rto_max_ms};
  out.user_timeout = milliseconds{in.user_timeout_ms};
  out.timer_left = milliseconds{in.timer_ms};
  out.sent_age = age(in.sent_age_ms);
  out.received_age = age(in.received_age_ms);
  out.segment_age = age(in.segment_age_ms);
  out.retrans_age = age(in.retrans_age_ms);
  out.keepalive_time = milliseconds{in.keepalive_ms};
  out.timer = in.timer;
  out.retransmits = in.retransmits;
  out.backoff = in.backoff;
  out.probes_out = in.probes_out;
  out.retries2 = in.sysctl_retries2;
  out.syn_retries = in.sysctl_syn_retries;
  out.synack_retries = in.sysctl_synack_retries;
  out.orphan_retries = in.sysctl_orphan_retries;
  out.own_syn_retries = in.own_syn_retries;
}

void fill_queue(Socket& out, const tw_socket& in) {
  out.queue = in.queue;
  out.limit = in.limit;
  out.drops = in.drops;
  out.requests = in.requests;
  out.young = in.young;
  out.defer = in.defer;
  out.head_age = in.flags & TW_SK_LISTENER ? age(in.head_age_ms) : std::nullopt;
  out.head_port = static_cast<std::uint16_t>(in.head_port);
}

Socket socket(const tw_socket& in) {
  Socket out;
  out.id = SocketId{in.id};
  out.tuple = tuple(in.tuple);
  out.state = state(in.state);
  fill_flags(out, in);
  out.cgroup_id = in.cgroup_id;
  out.bytes_acked = in.bytes_acked;
  out.bytes_received = in.bytes_received;
  out.shutdown = in.shutdown;
  out.ca_state = in.ca_state;
  out.err = in.err;
  out.err_soft = in.err_soft;
  out.snd_una = in.snd_una;
  out.snd_nxt = in.snd_nxt;
  out.write_seq = in.write_seq;
  out.rcv_nxt = in.rcv_nxt;
  out.copied_seq = in.copied_seq;
  out.snd_wnd = in.snd_wnd;
  out.rcv_wnd = in.rcv_wnd;
  out.mss = in.mss;
  out.rcv_mss = in.rcv_mss;
  out.packets_out = in.packets_out;
  out.total_retrans = in.total_retrans;
  fill_timers(out, in);
  fill_queue(out, in);
  return out;
}

void to_body(const tw_transition& r, Event& e) {
  e.body = Transition{SocketId{r.id}, tuple(r.tuple), state(r.from), state(r.to),     r.err, r.snd_una,
                      r.snd_nxt,      r.rcv_nxt,      r.copied_seq,  r.total_retrans, r.pid, text(r.comm)};
}
void to_body(const tw_state& r, Event& e) {
  e.body = StateChange{socket(r.socket), owner(r.owner), state(r.from), state(r.to), stamp(r.last_success_ns)};
}
void to_body(const tw_retransmit& r, Event& e) {
  const auto type = r.type >= TW_RETRANSMIT_TIMEOUT && r.type <= TW_RETRANSMIT_PROBE
                        ? static_cast<RetransmitType>(r.type)
                        : RetransmitType::fast;
  Retransmit out{socket(r.socket), owner(r.owner), type, r.error};
  out.socket.in_timer = type == RetransmitType::timeout;
  e.body = std::move(out);
}
void to_body(const tw_synack_retransmit& r, Event& e) {
  SynAckRetransmit out;
  out.listener = socket(r.listener);
  out.client_owner = owner(r.client_owner);
  out.request = SocketId{r.request_id};
  out.client = SocketId{r.client_id};
  out.client_established = stamp(r.client_established_ns);
  out.tuple = tuple(r.request);
  out.client_isn = r.client_isn;
  out.server_isn = r.server_isn;
  out.since_synack = age(r.synack_age_ms).value_or(util::Duration{});
  out.acked = r.acked != 0;
  out.by_timer = r.by_timer != 0;
  out.num_timeout = r.num_timeout;
  out.num_retrans = r.num_retrans;
  e.body = std::move(out);
}
void to_body(const tw_reset_sent& r, Event& e) {
  ResetSent out{socket(r.socket), owner(r.owner), std::nullopt, r.reason};
  if (r.trigger.valid) out.trigger = segment(r.trigger);
  e.body = std::move(out);
}
void to_body(const tw_reset_received& r, Event& e) { e.body = ResetReceived{socket(r.socket), owner(r.owner)}; }
void to_body(const tw_socket_error& r, Event& e) { e.body = SocketError{socket(r.socket), owner(r.owner)}; }
void to_body(const tw_drop& r, Event& e) {
  e.body = Drop{SocketId{r.listener_id},
                tuple(r.tuple),
                segment(r.segment),
                r.reason,
                r.queue,
                r.limit,
                r.drops,
                age(r.head_age_ms),
                static_cast<std::uint16_t>(r.head_port)};
}
void to_body(const tw_seed& r, Event& e) { e.body = Seed{socket(r.socket), owner(r.owner)}; }
void to_body(const tw_sample& r, Event& e) {
  e.body = Sample{socket(r.socket), owner(r.owner),        age(r.usual_wait_ms), r.answers,
                  r.unanswered,     age(r.window_shut_ms), r.data_segments_sent};
}
void to_body(const tw_host& r, Event& e) {
  e.body = Host{r.memory_pages, r.memory_low, r.memory_pressure, r.memory_high, r.orphans, r.orphans_limit};
}
static_assert(kMibNames.size() == TW_MIB_COUNT);
void to_body(const tw_mib& r, Event& e) {
  Mib mib{r.netns, {}};
  std::copy(std::begin(r.values), std::end(r.values), mib.values.begin());
  e.body = mib;
}
void to_body(const tw_clock& r, Event& e) {
  constexpr std::int64_t kFarthest = std::int64_t{1} << 62;
  e.body = Clock{util::wall_offset(r.wall_offset_ns),
                 std::chrono::nanoseconds{std::clamp<std::int64_t>(r.moved_ns, -kFarthest, kFarthest)}};
}
void to_body(const tw_tick&, Event& e) { e.body = Tick{}; }
// One that a later version knows counts as lost in the most common way.
LossWay loss_way(std::uint32_t way) { return way < TW_LOST_WAYS ? static_cast<LossWay>(way) : LossWay::ring; }
void to_body(const tw_lost& r, Event& e) { e.body = Lost{kind_name(r.kind), r.count, loss_way(r.way)}; }
// Laid out like a loss.
bool decode_limited(std::span<const std::byte> bytes, Event& event) {
  tw_lost record;
  if (bytes.size() < sizeof(record)) return false;
  std::memcpy(&record, bytes.data(), sizeof(record));
  event.body = Limited{kind_name(record.kind), record.count};
  return true;
}
void to_body(const tw_seed_end& r, Event& e) { e.body = SeedEnd{r.initial != 0, r.complete != 0}; }
void to_body(const tw_sweep_end& r, Event& e) {
  e.body = SweepEnd{r.sockets, milliseconds{r.interval_ms}, (r.flags & TW_SWEEP_CONFIRMS) != 0, r.visited, r.still};
}
void to_body(const tw_still& r, Event& e) {
  Still still;
  const std::size_t count = std::min<std::size_t>(r.count, TW_STILL_MOST);
  still.ids.reserve(count);
  for (std::size_t i = 0; i < count; ++i) still.ids.push_back(SocketId{r.ids[i]});
  e.body = std::move(still);
}
void to_body(const tw_process& r, Event& e) {
  const auto count = [](std::uint32_t n) { return n == TW_NEVER ? std::nullopt : std::optional{n}; };
  e.body = ProcessState{r.pid,
                        util::boot_time(r.start_ns),
                        r.threads,
                        count(r.open_fds),
                        count(r.fd_limit),
                        r.state,
                        text(r.wait_channel),
                        text(r.cgroup),
                        std::chrono::nanoseconds{r.cpu_ns},
                        count(r.polling),
                        age(r.read_age_ms)};
}

// A record that has grown: recordings from before are shorter, and what they lack is zero.
template <typename Record, std::size_t kFirstBytes = sizeof(Record)>
bool decode_as(std::span<const std::byte> bytes, Event& event) {
  Record record{};
  if (bytes.size() < sizeof(record) && bytes.size() != kFirstBytes) return false;
  std::memcpy(&record, bytes.data(), std::min(bytes.size(), sizeof(record)));
  to_body(record, event);
  return true;
}

struct Row {
  std::uint32_t kind;
  std::string_view name;
  bool (*decode)(std::span<const std::byte>, Event&);
};

constexpr std::array kRows{
    Row{TW_KIND_TRANSITION, "transition", decode_as<tw_transition>},
    Row{TW_KIND_STATE, "state", decode_as<tw_state>},
    Row{TW_KIND_RETRANSMIT, "retransmit", decode_as<tw_retransmit>},
    Row{TW_KIND_SYNACK_RETRANSMIT, "synack_retransmit", decode_as<tw_synack_retransmit>},
    Row{TW_KIND_RESET_SENT, "reset_sent", decode_as<tw_reset_sent>},
    Row{TW_KIND_RESET_RECEIVED, "reset_received", decode_as<tw_reset_received>},
    Row{TW_KIND_SOCKET_ERROR, "socket_error", decode_as<tw_socket_error>},
    Row{TW_KIND_DROP, "drop", decode_as<tw_drop>},
    Row{TW_KIND_SEED, "seed", decode_as<tw_seed>},
    Row{TW_KIND_SAMPLE, "sample", decode_as<tw_sample>},
    Row{TW_KIND_STILL, "still", decode_as<tw_still>},
    Row{TW_KIND_TICK, "tick", decode_as<tw_tick>},
    Row{TW_KIND_LOST, "lost", decode_as<tw_lost>},
    Row{TW_KIND_SEED_END, "seed_end", decode_as<tw_seed_end>},
    Row{TW_KIND_SWEEP_END, "sweep_end", decode_as<tw_sweep_end, TW_SWEEP_END_BYTES_V1>},
    Row{TW_KIND_PROCESS, "process", decode_as<tw_process>},
    Row{TW_KIND_LIMITED, "limited", decode_limited},
    Row{TW_KIND_HOST, "host", decode_as<tw_host>},
    Row{TW_KIND_MIB, "mib", decode_as<tw_mib>},
    Row{TW_KIND_CLOCK, "clock", decode_as<tw_clock>},
};

const Row* row_of(std::uint32_t kind) {
  for (const Row& row : kRows)
    if (row.kind == kind) return &row;
  return nullptr;
}

}  // namespace

Tuple to_tuple(const tw_tuple& t) { return tuple(t); }

std::string_view kind_name(std::uint32_t kind) {
  const Row* row = row_of(kind);
  return row ? row->name : "unknown";
}

std::string_view peek_kind(std::span<const std::byte> record) {
  tw_header header;
  if (record.size() < sizeof(header)) return {};
  std::memcpy(&header, record.data(), sizeof(header));
  return kind_name(header.kind);
}

std::string_view name_of(const Event& event) { return name_of(event.body.index()); }

std::string_view name_of(std::size_t index) {
  // In the order of Event::body.
  static constexpr std::array<std::string_view, kEventKinds> kNames{
      "tick", "transition", "state",  "retransmit", "synack_retransmit", "reset_sent", "reset_received", "socket_error",
      "drop", "seed",       "sample", "lost",       "seed_end",          "sweep_end",  "process",        "limited",
      "host", "mib",        "clock",  "still"};
  return kNames.at(index);
}

util::Result<Event> decode(std::span<const std::byte> record) {
  tw_header header;
  if (record.size() < sizeof(header)) return util::Error{"a record is shorter than its header"};
  std::memcpy(&header, record.data(), sizeof(header));
  if (header.size > record.size()) return util::Error{"a record is longer than what is left of its buffer"};
  const Row* row = row_of(header.kind);
  if (!row) return util::Error{"a record has the unknown kind " + std::to_string(header.kind)};
  Event event;
  event.time = util::boot_time(header.time_ns);
  if (!row->decode(record.first(header.size), event))
    return util::Error{"a record of kind " + std::string{row->name} + " is cut short"};
  return event;
}

std::string_view to_string(TcpState s) {
  static constexpr std::array<std::string_view, 13> kNames{
      "CLOSE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2",   "TIME_WAIT",
      "CLOSE", "CLOSE_WAIT",  "LAST_ACK", "LISTEN",   "CLOSING",   "NEW_SYN_RECV"};
  return kNames[static_cast<std::size_t>(s)];
}

}  // namespace tcpwhy::abi
