// SPDX-License-Identifier: GPL-2.0-only
#include "user/abi/decode.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "bpf/tcpwhy_abi.h"

namespace tcpwhy::abi {
namespace {

using Bytes = std::vector<std::byte>;

template <typename Record>
Bytes bytes_of(Record record, std::uint16_t kind) {
  record.header.time_ns = 42;
  record.header.kind = kind;
  record.header.size = sizeof(Record);
  Bytes bytes(sizeof(Record));
  std::memcpy(bytes.data(), &record, sizeof(record));
  return bytes;
}

struct KindRow {
  std::uint16_t kind;
  Bytes bytes;
  std::size_t body;  // index in Event::body
  std::string name;
};

template <typename Body, std::size_t I = 0>
constexpr std::size_t index_of() {
  if constexpr (std::is_same_v<Body, std::variant_alternative_t<I, decltype(Event::body)>>)
    return I;
  else
    return index_of<Body, I + 1>();
}

template <typename Record, typename Body>
KindRow row(std::uint16_t kind, std::string name) {
  return {kind, bytes_of(Record{}, kind), index_of<Body>(), std::move(name)};
}

const std::vector<KindRow>& kinds() {
  static const std::vector<KindRow> rows{
      row<tw_transition, Transition>(TW_KIND_TRANSITION, "transition"),
      row<tw_state, StateChange>(TW_KIND_STATE, "state"),
      row<tw_retransmit, Retransmit>(TW_KIND_RETRANSMIT, "retransmit"),
      row<tw_synack_retransmit, SynAckRetransmit>(TW_KIND_SYNACK_RETRANSMIT, "synack_retransmit"),
      row<tw_reset_sent, ResetSent>(TW_KIND_RESET_SENT, "reset_sent"),
      row<tw_reset_received, ResetReceived>(TW_KIND_RESET_RECEIVED, "reset_received"),
      row<tw_socket_error, SocketError>(TW_KIND_SOCKET_ERROR, "socket_error"),
      row<tw_drop, Drop>(TW_KIND_DROP, "drop"),
      row<tw_seed, Seed>(TW_KIND_SEED, "seed"),
      row<tw_sample, Sample>(TW_KIND_SAMPLE, "sample"),
      row<tw_tick, Tick>(TW_KIND_TICK, "tick"),
      row<tw_lost, Lost>(TW_KIND_LOST, "lost"),
      row<tw_seed_end, SeedEnd>(TW_KIND_SEED_END, "seed_end"),
      row<tw_sweep_end, SweepEnd>(TW_KIND_SWEEP_END, "sweep_end"),
      row<tw_process, ProcessState>(TW_KIND_PROCESS, "process"),
      row<tw_lost, Limited>(TW_KIND_LIMITED, "limited"),
      row<tw_host, Host>(TW_KIND_HOST, "host"),
      row<tw_mib, Mib>(TW_KIND_MIB, "mib"),
      row<tw_clock, Clock>(TW_KIND_CLOCK, "clock"),
      row<tw_still, Still>(TW_KIND_STILL, "still"),
  };
  return rows;
}

TEST(Decode, EveryKindBecomesItsEvent) {
  EXPECT_EQ(kinds().size(), std::variant_size_v<decltype(Event::body)>) << "a kind without a row here";
  for (const KindRow& row : kinds()) {
    const auto event = decode(row.bytes);
    ASSERT_TRUE(event) << row.name;
    EXPECT_EQ(event->body.index(), row.body) << row.name;
    EXPECT_EQ(name_of(*event), row.name);
    EXPECT_EQ(kind_name(row.kind), row.name);
    EXPECT_EQ(peek_kind(row.bytes), row.name);
    EXPECT_EQ(event->time, util::boot_time(42)) << row.name;
  }
}

TEST(Decode, EveryCutRecordIsAnError) {
  for (const KindRow& row : kinds())
    for (std::size_t length = 0; length < row.bytes.size(); ++length) {
      // An exact copy, so that the address sanitizer sees a read beyond its end.
      const Bytes cut(row.bytes.begin(), row.bytes.begin() + static_cast<std::ptrdiff_t>(length));
      EXPECT_FALSE(decode(cut)) << row.name << " of " << length << " bytes";
    }
}

TEST(Decode, ASizeTooSmallForTheKindIsAnError) {
  for (const KindRow& row : kinds()) {
    Bytes bytes = row.bytes;
    tw_header header;
    std::memcpy(&header, bytes.data(), sizeof(header));
    header.size = static_cast<std::uint16_t>(header.size - 1);
    std::memcpy(bytes.data(), &header, sizeof(header));
    const auto event = decode(bytes);
    ASSERT_FALSE(event) << row.name;
    EXPECT_NE(event.error().what.find("cut short"), std::string::npos);
  }
}

TEST(Decode, ALongerRecordIsReadAsFarAsKnown) {
  for (const KindRow& row : kinds()) {
    Bytes bytes = row.bytes;
    bytes.resize(bytes.size() + 24, std::byte{0xff});
    const auto size = static_cast<std::uint16_t>(bytes.size());
    std::memcpy(bytes.data() + offsetof(tw_header, size), &size, sizeof(size));
    const auto event = decode(bytes);
    ASSERT_TRUE(event) << row.name;
    EXPECT_EQ(event->body.index(), row.body) << row.name;
  }
}

TEST(Decode, UnknownKindsAreErrorsThatNameTheNumber) {
  for (const std::uint16_t kind : std::array<std::uint16_t, 5>{0, 12, 31, 42, 65535}) {
    const auto event = decode(bytes_of(tw_tick{}, kind));
    ASSERT_FALSE(event) << kind;
    EXPECT_NE(event.error().what.find("unknown kind " + std::to_string(kind)), std::string::npos);
  }
}

TEST(Decode, NothingIsLessThanAHeader) {
  EXPECT_FALSE(decode({}));
  EXPECT_TRUE(peek_kind({}).empty());
}

tw_tuple some_tuple() {
  tw_tuple tuple{};
  const std::array<std::uint8_t, 16> local{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
  std::memcpy(tuple.local, local.data(), local.size());
  tuple.remote[15] = 1;
  tuple.local_port = 8080;
  tuple.remote_port = 49186;
  tuple.netns = 4026531840U;
  return tuple;
}

TEST(Decode, ASocketKeepsItsFacts) {
  tw_state record{};
  record.from = 1;
  record.to = 8;
  record.socket.id = 77;
  record.socket.tuple = some_tuple();
  record.socket.state = 8;
  record.socket.flags = TW_SK_FULL | TW_SK_HAS_SOCKET | TW_SK_LISTENER;
  record.socket.snd_una = 10;
  record.socket.snd_nxt = 15;
  record.socket.write_seq = 30;
  record.socket.rcv_nxt = 0;  // wrapped
  record.socket.copied_seq = 0xfffffff0U;
  record.socket.queue = 129;
  record.socket.limit = 128;
  record.socket.timer_ms = -4;
  record.socket.sent_age_ms = TW_NEVER;
  record.socket.received_age_ms = 7;
  record.socket.head_age_ms = 3600;
  const auto event = decode(bytes_of(record, TW_KIND_STATE));
  ASSERT_TRUE(event);
  const auto& change = std::get<StateChange>(event->body);
  EXPECT_EQ(change.from, TcpState::established);
  EXPECT_EQ(change.to, TcpState::close_wait);
  const Socket& socket = change.socket;
  EXPECT_EQ(socket.id, SocketId{77});
  EXPECT_EQ(util::to_string(socket.tuple.local), "127.0.0.1:8080");
  EXPECT_EQ(util::to_string(socket.tuple.remote), "[::1]:49186");
  EXPECT_EQ(socket.tuple.netns, 4026531840U);
  EXPECT_TRUE(socket.full && socket.has_socket && socket.listener);
  EXPECT_FALSE(socket.orphan || socket.mini || socket.keepalive || socket.linger);
  EXPECT_EQ(socket.unacked(), 20U);
  EXPECT_EQ(socket.in_flight(), 5U);
  EXPECT_EQ(socket.unread(), 16U);
  EXPECT_TRUE(socket.over_limit());
  EXPECT_EQ(socket.timer_left, std::chrono::milliseconds{-4});
  EXPECT_FALSE(socket.sent_age.has_value());
  EXPECT_EQ(socket.received_age, std::chrono::milliseconds{7});
  EXPECT_EQ(socket.head_age, std::chrono::milliseconds{3600});
  EXPECT_FALSE(change.last_success.has_value());
}

TEST(Decode, AnOwnerWithoutPidIsNone) {
  tw_seed record{};
  record.owner.source = TW_OWNER_FILE;
  auto event = decode(bytes_of(record, TW_KIND_SEED));
  ASSERT_TRUE(event);
  EXPECT_FALSE(std::get<Seed>(event->body).owner.known());

  record.owner.pid = 2112;
  record.owner.flags = TW_OWNER_EXITING;
  record.owner.exit_code = 9;
  std::memset(record.owner.comm, 'x', sizeof(record.owner.comm));  // no NUL: 16 bytes at most
  event = decode(bytes_of(record, TW_KIND_SEED));
  ASSERT_TRUE(event);
  const Owner& owner = std::get<Seed>(event->body).owner;
  EXPECT_TRUE(owner.known());
  EXPECT_TRUE(owner.exiting);
  EXPECT_EQ(owner.exit_code, 9U);
  EXPECT_EQ(owner.comm, std::string(16, 'x'));

  record.owner.source = 200;  // a later version's
  event = decode(bytes_of(record, TW_KIND_SEED));
  ASSERT_TRUE(event);
  EXPECT_FALSE(std::get<Seed>(event->body).owner.known());
}

TEST(Decode, AStateBeyondTheKnownOnesIsUnknown) {
  tw_transition record{};
  record.from = 13;
  record.to = 255;
  const auto event = decode(bytes_of(record, TW_KIND_TRANSITION));
  ASSERT_TRUE(event);
  EXPECT_EQ(std::get<Transition>(event->body).from, TcpState::unknown);
  EXPECT_EQ(std::get<Transition>(event->body).to, TcpState::unknown);
}

TEST(Decode, ATriggerIsThereOnlyWhereASegmentWas) {
  tw_reset_sent record{};
  record.reason = -1;
  auto event = decode(bytes_of(record, TW_KIND_RESET_SENT));
  ASSERT_TRUE(event);
  EXPECT_FALSE(std::get<ResetSent>(event->body).trigger.has_value());
  EXPECT_EQ(std::get<ResetSent>(event->body).reason, -1);

  record.trigger.valid = 1;
  record.trigger.flags = 2 | 16;
  record.trigger.payload = 5;
  event = decode(bytes_of(record, TW_KIND_RESET_SENT));
  ASSERT_TRUE(event);
  const auto& trigger = std::get<ResetSent>(event->body).trigger;
  ASSERT_TRUE(trigger.has_value());
  EXPECT_TRUE(trigger->syn && trigger->ack);
  EXPECT_FALSE(trigger->fin || trigger->rst);
  EXPECT_EQ(trigger->payload, 5U);
}

TEST(Decode, AProcessMayBeKnownInPart) {
  tw_process record{};
  record.pid = 7;
  record.state = '?';
  record.open_fds = TW_NEVER;
  record.fd_limit = 1024;
  record.polling = TW_NEVER;
  record.read_age_ms = TW_NEVER;
  record.cpu_ns = 1'500'000'000;
  std::memset(record.cgroup, 'c', sizeof(record.cgroup));
  const auto event = decode(bytes_of(record, TW_KIND_PROCESS));
  ASSERT_TRUE(event);
  const auto& process = std::get<ProcessState>(event->body);
  EXPECT_FALSE(process.open_fds.has_value());
  EXPECT_EQ(process.fd_limit, 1024U);
  EXPECT_EQ(process.cgroup.size(), sizeof(record.cgroup));
  EXPECT_TRUE(process.wait_channel.empty());
  EXPECT_FALSE(process.polling.has_value());
  EXPECT_FALSE(process.read_age.has_value());
  EXPECT_EQ(process.cpu, std::chrono::milliseconds{1500});
}

TEST(Decode, ASampleSaysWhatIsKnownOfTheService) {
  tw_sample record{};
  record.socket.flags = TW_SK_FULL | TW_SK_ACCEPTED;
  record.usual_wait_ms = TW_NEVER;
  record.window_shut_ms = TW_NEVER;
  auto event = decode(bytes_of(record, TW_KIND_SAMPLE));
  ASSERT_TRUE(event);
  const auto& unknown = std::get<Sample>(event->body);
  EXPECT_TRUE(unknown.socket.accepted);
  EXPECT_FALSE(unknown.usual_wait.has_value());
  EXPECT_FALSE(unknown.window_shut_age.has_value());

  record.socket.flags = TW_SK_FULL;
  record.usual_wait_ms = 250;
  record.answers = 7;
  record.unanswered = 2;
  record.window_shut_ms = 3000;
  record.data_segments_sent = 9;
  record.owner.source = TW_OWNER_FILE;
  record.owner.pid = 2112;
  event = decode(bytes_of(record, TW_KIND_SAMPLE));
  ASSERT_TRUE(event);
  const auto& sample = std::get<Sample>(event->body);
  EXPECT_FALSE(sample.socket.accepted);
  EXPECT_EQ(sample.usual_wait, std::chrono::milliseconds{250});
  EXPECT_EQ(sample.answers, 7U);
  EXPECT_EQ(sample.unanswered, 2U);
  EXPECT_EQ(sample.window_shut_age, std::chrono::milliseconds{3000});
  EXPECT_EQ(sample.data_segments_sent, 9U);
  EXPECT_EQ(sample.owner.source, OwnerSource::file);
  EXPECT_EQ(sample.owner.pid, 2112U);
}

TEST(Decode, TheHostsMemoryAndOrphans) {
  tw_host record{};
  record.memory_pages = 11;
  record.memory_low = 1;
  record.memory_pressure = 2;
  record.memory_high = 3;
  record.orphans = 4;
  record.orphans_limit = 5;
  const auto event = decode(bytes_of(record, TW_KIND_HOST));
  ASSERT_TRUE(event);
  const auto& host = std::get<Host>(event->body);
  EXPECT_EQ(host.memory, 11U);
  EXPECT_EQ(host.memory_low, 1U);
  EXPECT_EQ(host.memory_pressure, 2U);
  EXPECT_EQ(host.memory_high, 3U);
  EXPECT_EQ(host.orphans, 4U);
  EXPECT_EQ(host.orphans_limit, 5U);
}

TEST(Decode, CountersOfANamespace) {
  tw_mib record{};
  record.netns = 9;
  record.values[TW_MIB_ABORT_ON_CLOSE] = 7;
  const auto event = decode(bytes_of(record, TW_KIND_MIB));
  ASSERT_TRUE(event);
  const auto& mib = std::get<Mib>(event->body);
  EXPECT_EQ(mib.netns, 9U);
  EXPECT_EQ(mib.values.at(static_cast<std::size_t>(MibCounter::abort_on_close)), 7U);
  EXPECT_EQ(kMibNames.back(), "TCPAbortOnClose");
}

TEST(Decode, AClockSaysNothingThatOverflows) {
  tw_clock record{};
  record.wall_offset_ns = std::numeric_limits<std::int64_t>::max();
  record.moved_ns = std::numeric_limits<std::int64_t>::min();
  const auto event = decode(bytes_of(record, TW_KIND_CLOCK));
  ASSERT_TRUE(event);
  const auto& clock = std::get<Clock>(event->body);
  EXPECT_GT(clock.offset.nanoseconds + (std::int64_t{1} << 60), clock.offset.nanoseconds);
  EXPECT_LT(util::moved_words(clock.moved).size(), 40U);
}

TEST(Decode, ALossNamesWhatWasLost) {
  tw_lost record{};
  record.count = 5;
  record.kind = TW_KIND_STATE;
  const auto event = decode(bytes_of(record, TW_KIND_LOST));
  ASSERT_TRUE(event);
  EXPECT_EQ(std::get<Lost>(event->body).kind, "state");
  EXPECT_EQ(std::get<Lost>(event->body).count, 5U);
}

}  // namespace
}  // namespace tcpwhy::abi
