// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/event_text.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace tcpwhy::core {
namespace {

using namespace std::chrono_literals;

abi::Socket socket_of(abi::TcpState state = abi::TcpState::established) {
  abi::Socket s;
  s.full = true;
  s.state = state;
  s.tuple = {{*util::parse_address("10.0.0.1"), 50000}, {*util::parse_address("10.0.0.9"), 80}, 1};
  s.snd_una = 100;
  s.write_seq = 105;
  s.rcv_nxt = 300;
  s.copied_seq = 293;
  s.rto = 208ms;
  s.retransmits = 2;
  return s;
}

abi::Owner curl() {
  abi::Owner owner;
  owner.source = abi::OwnerSource::connect;
  owner.pid = 4410;
  owner.comm = "curl";
  return owner;
}

KernelNames names() { return {{{15, "NETFILTER_DROP"}}, {{11, "TCP_ABORT_ON_CLOSE"}}}; }

std::string text(decltype(abi::Event::body) body) { return event_text({util::boot_time(1), std::move(body)}, names()); }

bool has(const std::string& line, std::string_view part) { return line.find(part) != std::string::npos; }

TEST(EventText, AStateChangeNamesBothEndsAndTheOwner) {
  abi::StateChange e;
  e.socket = socket_of();
  e.socket.err = ETIMEDOUT;
  e.owner = curl();
  e.from = abi::TcpState::established;
  e.to = abi::TcpState::close;
  const std::string line = text(e);
  for (const std::string_view part :
       {"10.0.0.1:50000 -> 10.0.0.9:80", "ESTABLISHED to CLOSE", "unacked 5", "unread 7", "curl[4410]"})
    EXPECT_TRUE(has(line, part)) << line;
  EXPECT_TRUE(has(line, std::to_string(ETIMEDOUT))) << line;
}

TEST(EventText, AnExitingOwnerSaysSo) {
  abi::StateChange e;
  e.owner = curl();
  e.owner.exiting = true;
  EXPECT_TRUE(has(text(e), "(exiting)"));
}

TEST(EventText, RetransmitsNameTheirType) {
  const std::pair<abi::RetransmitType, std::string_view> types[] = {{abi::RetransmitType::timeout, "time-out"},
                                                                    {abi::RetransmitType::fast, "fast"},
                                                                    {abi::RetransmitType::tail_loss, "tail loss"},
                                                                    {abi::RetransmitType::syn, "SYN"},
                                                                    {abi::RetransmitType::probe, "window probe"}};
  for (const auto& [type, word] : types) {
    abi::Retransmit e;
    e.socket = socket_of();
    e.type = type;
    EXPECT_TRUE(has(text(e), word)) << text(e);
  }
  abi::Retransmit failed;
  failed.socket = socket_of();
  failed.type = abi::RetransmitType::timeout;
  failed.error = -EPERM;
  EXPECT_TRUE(has(text(failed), "not sent (error 1)"));
  EXPECT_TRUE(has(text(failed), "208 ms"));
}

TEST(EventText, ASynAckSaysWhoRepeatedIt) {
  abi::SynAckRetransmit e;
  e.tuple = socket_of().tuple;
  e.by_timer = true;
  e.acked = true;
  e.listener.queue = 5;
  e.listener.limit = 4;
  EXPECT_TRUE(has(text(e), "by timer acked yes"));
  EXPECT_TRUE(has(text(e), "queue 5 of 4"));
  e.by_timer = false;
  EXPECT_TRUE(has(text(e), "by duplicate SYN"));
}

TEST(EventText, ReasonsAreTheKernelsNames) {
  abi::ResetSent sent;
  sent.socket = socket_of(abi::TcpState::close);
  sent.reason = 11;
  EXPECT_TRUE(has(text(sent), "active"));
  EXPECT_TRUE(has(text(sent), "TCP_ABORT_ON_CLOSE"));
  sent.trigger = abi::Segment{};
  EXPECT_TRUE(has(text(sent), "passive"));
  abi::Drop drop;
  drop.tuple = socket_of().tuple;
  drop.reason = 15;
  drop.segment.payload = 5;
  EXPECT_TRUE(has(text(drop), "NETFILTER_DROP payload 5"));
  // As the receiver sees it, the segment came the other way.
  EXPECT_TRUE(has(text(drop), "10.0.0.9:80 -> 10.0.0.1:50000"));
}

TEST(EventText, ASampleOfAListenerShowsItsQueue) {
  abi::Sample sample;
  sample.socket = socket_of(abi::TcpState::listen);
  sample.socket.listener = true;
  sample.socket.queue = 3;
  sample.socket.limit = 128;
  EXPECT_TRUE(has(text(sample), "queue 3 of 128"));
}

TEST(EventText, LossesSayHowManyOfWhat) {
  EXPECT_EQ(text(abi::Lost{"state", 7}), "7 events of kind state were lost");
  EXPECT_EQ(text(abi::Lost{"state", 1, abi::LossWay::recursion}),
            "1 event of kind state was lost: its program was already running on that CPU");
  EXPECT_EQ(text(abi::Lost{"sample", 12, abi::LossWay::unswept}), "12 sockets in trouble were not swept");
}

TEST(EventText, TheClockAndTheEndsOfWalksAreSilent) {
  EXPECT_EQ(text(abi::Tick{}), "");
  EXPECT_EQ(text(abi::SeedEnd{}), "");
  EXPECT_EQ(text(abi::SweepEnd{}), "");
}

}  // namespace
}  // namespace tcpwhy::core
