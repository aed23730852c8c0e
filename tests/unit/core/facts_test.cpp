// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/facts.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace tcpwhy::core {
namespace {

using namespace std::chrono_literals;
using abi::SocketId;
using abi::TcpState;

constexpr util::BootTime kStart{1000s};

util::Endpoint at(const std::string& address, std::uint16_t port) { return {*util::parse_address(address), port}; }

abi::Owner owner_of(std::uint32_t pid, const std::string& comm, abi::OwnerSource source = abi::OwnerSource::current) {
  abi::Owner owner;
  owner.source = source;
  owner.pid = pid;
  owner.comm = comm;
  owner.start = util::boot_time(pid);
  return owner;
}

class FactsTest : public testing::Test {
 protected:
  static abi::Socket socket_of(std::uint64_t id, const util::Endpoint& local, const util::Endpoint& remote,
                               std::uint32_t netns = 1) {
    abi::Socket s;
    s.id = SocketId{id};
    s.full = true;
    s.state = TcpState::established;
    s.tuple = {local, remote, netns};
    s.rto = 208ms;
    return s;
  }
  abi::Socket client(std::uint64_t id = 1, std::uint16_t port = 50000) {
    return socket_of(id, at("127.0.0.1", port), at("127.0.0.1", 80));
  }
  abi::Socket server(std::uint64_t id = 2, std::uint16_t port = 50000) {
    return socket_of(id, at("127.0.0.1", 80), at("127.0.0.1", port));
  }
  abi::Socket listener(std::uint64_t id, const util::Endpoint& local, std::uint32_t netns = 1) {
    abi::Socket s = socket_of(id, local, {}, netns);
    s.listener = true;
    s.state = TcpState::listen;
    s.limit = 4;
    return s;
  }

  template <typename Body>
  void apply(Body body, util::Duration later = 0ms) {
    now += later;
    facts.apply({now, std::move(body)});
  }
  void state(abi::Socket s, TcpState from, TcpState to, const abi::Owner& owner = {}, util::Duration later = 0ms) {
    s.state = to;
    apply(abi::StateChange{std::move(s), owner, from, to, std::nullopt}, later);
  }
  void listen(std::uint64_t id, const util::Endpoint& local, std::uint32_t pid = 7, std::uint32_t netns = 1) {
    state(listener(id, local, netns), TcpState::close, TcpState::listen, owner_of(pid, "server"));
  }
  void timeout(abi::Socket s, std::uint8_t nth, util::Duration later) {
    s.retransmits = nth;
    s.packets_out = 1;
    s.backoff = static_cast<std::uint8_t>(nth - 1);
    s.rto = 208ms * (1 << (nth - 1));
    apply(abi::Retransmit{std::move(s), {}, abi::RetransmitType::timeout, 0}, later);
  }

  util::BootTime now = kStart;
  Facts facts{{{{15, "NETFILTER_DROP"}}, {}}, {100}};
};

// Identity ------------------------------------------------------------------------------------------------------------

TEST_F(FactsTest, TheTwoEndsFindEachOther) {
  state(client(), TcpState::syn_sent, TcpState::established, owner_of(5, "curl", abi::OwnerSource::connect));
  state(server(), TcpState::syn_recv, TcpState::established);
  const Connection* a = facts.connection(SocketId{1});
  const Connection* b = facts.connection(SocketId{2});
  ASSERT_TRUE(a && b);
  EXPECT_EQ(facts.peer_of(*a), b);
  EXPECT_EQ(facts.peer_of(*b), a);
  EXPECT_EQ(a->role, ConnectionRole::client);
  EXPECT_EQ(b->role, ConnectionRole::server);
}

TEST_F(FactsTest, AReusedTupleIsAnotherConnection) {
  state(client(1), TcpState::syn_sent, TcpState::established);
  state(server(2), TcpState::syn_recv, TcpState::established);
  state(client(1), TcpState::established, TcpState::close);
  state(server(2), TcpState::established, TcpState::close);
  state(client(3), TcpState::syn_sent, TcpState::established, {}, 1s);
  state(server(4), TcpState::syn_recv, TcpState::established);
  EXPECT_EQ(facts.connections_total(), 4U);
  EXPECT_EQ(facts.peer_of(*facts.connection(SocketId{3}))->key, SocketId{4});
  EXPECT_EQ(facts.peer_of(*facts.connection(SocketId{4}))->key, SocketId{3});
  EXPECT_EQ(facts.connection_at(client().tuple)->key, SocketId{3}) << "the newest has the addresses";
}

TEST_F(FactsTest, LoopbackEndsAreOfOneNamespace) {
  state(client(), TcpState::syn_sent, TcpState::established);
  abi::Socket elsewhere = server();
  elsewhere.tuple.netns = 2;
  state(elsewhere, TcpState::syn_recv, TcpState::established);
  EXPECT_EQ(facts.peer_of(*facts.connection(SocketId{1})), nullptr);
}

TEST_F(FactsTest, OtherAddressesPairAcrossNamespaces) {
  state(socket_of(1, at("10.0.0.1", 50000), at("10.0.0.2", 80), 1), TcpState::syn_sent, TcpState::established);
  state(socket_of(2, at("10.0.0.2", 80), at("10.0.0.1", 50000), 2), TcpState::syn_recv, TcpState::established);
  EXPECT_EQ(facts.peer_of(*facts.connection(SocketId{1}))->key, SocketId{2});
}

TEST_F(FactsTest, ARefusedSegmentAndItsLaterSocketAreOneConnection) {
  listen(9, at("127.0.0.1", 80));
  abi::Drop drop;
  drop.listener = SocketId{9};
  drop.tuple = server().tuple;
  drop.queue = 5, drop.limit = 4;
  apply(drop);
  const std::uint64_t number = facts.connection_at(server().tuple)->number;
  EXPECT_EQ(facts.connection_at(server().tuple)->overflow_drops, 1U);
  state(server(2), TcpState::syn_recv, TcpState::established);
  ASSERT_TRUE(facts.connection(SocketId{2}));
  EXPECT_EQ(facts.connection(SocketId{2})->number, number);
  EXPECT_EQ(facts.connections_total(), 1U);
}

TEST_F(FactsTest, AConnectLearnsItsPortLate) {
  abi::Socket s = client();
  s.tuple.local.port = 0;
  s.state = TcpState::syn_sent;
  apply(abi::Retransmit{s, owner_of(5, "curl", abi::OwnerSource::connect), abi::RetransmitType::syn, 0});
  state(client(), TcpState::syn_sent, TcpState::established);
  EXPECT_EQ(facts.connections_total(), 1U);
  EXPECT_EQ(facts.connection_at(client().tuple)->key, SocketId{1});
  EXPECT_EQ(facts.connection(SocketId{1})->syn_retransmits, 1U);
}

TEST_F(FactsTest, TheLeastRecentlySeenIsEvicted) {
  for (std::uint64_t id = 1; id <= 100; ++id)
    state(client(id, static_cast<std::uint16_t>(1000 + id)), TcpState::syn_sent, TcpState::established);
  state(client(1, 1001), TcpState::established, TcpState::close_wait);  // seen again
  state(client(200, 3000), TcpState::syn_sent, TcpState::established);
  EXPECT_EQ(facts.evicted(), 1U);
  EXPECT_TRUE(facts.connection(SocketId{1}));
  EXPECT_FALSE(facts.connection(SocketId{2}));
  EXPECT_EQ(facts.connection_at(client(2, 1002).tuple), nullptr);
}

TEST_F(FactsTest, AClosedConnectionIsForgottenAfterAWhile) {
  state(client(), TcpState::syn_sent, TcpState::established);
  state(client(), TcpState::established, TcpState::close);
  apply(abi::Tick{}, 10s);
  EXPECT_TRUE(facts.connection(SocketId{1}));
  apply(abi::Tick{}, 10s);
  EXPECT_FALSE(facts.connection(SocketId{1}));
  EXPECT_EQ(facts.evicted(), 0U);
}

// Owners --------------------------------------------------------------------------------------------------------------

TEST_F(FactsTest, AnAcceptedEndHasItsListenersOwnerUntilSomebodyHoldsIt) {
  listen(9, at("0.0.0.0", 80));
  state(server(), TcpState::syn_recv, TcpState::established);
  const Connection* c = facts.connection(SocketId{2});
  EXPECT_EQ(c->owner_basis, OwnerBasis::inherited);
  EXPECT_EQ(c->owner()->pid, 7U);
  apply(abi::SeedEnd{true, true});
  apply(abi::Seed{server(), owner_of(8, "worker", abi::OwnerSource::file)});
  EXPECT_EQ(c->owner_basis, OwnerBasis::observed);
  ASSERT_EQ(c->owners.size(), 1U);
  EXPECT_EQ(c->owner()->pid, 8U);
}

TEST_F(FactsTest, AClientNeverInheritsFromAListener) {
  listen(9, at("0.0.0.0", 50000));
  abi::Socket s = client();
  s.state = TcpState::syn_sent;
  apply(abi::Retransmit{s, {}, abi::RetransmitType::syn, 0});
  EXPECT_FALSE(facts.connection(SocketId{1})->owner());
}

TEST_F(FactsTest, AReusedPidIsAnotherProcess) {
  apply(abi::SeedEnd{true, true});
  abi::Owner first = owner_of(8, "worker", abi::OwnerSource::file);
  abi::Owner second = first;
  second.start = util::boot_time(999);
  apply(abi::Seed{client(), first});
  apply(abi::Seed{client(), first});
  apply(abi::Seed{client(), second});
  EXPECT_EQ(facts.connection(SocketId{1})->owners.size(), 2U);
}

TEST_F(FactsTest, WhatWasThereAtStartKnowsItsHoldersWhenItIsFirstSeen) {
  apply(abi::Seed{client(), owner_of(5, "ssh", abi::OwnerSource::file)});
  apply(abi::Seed{client(), owner_of(6, "ssh", abi::OwnerSource::file)});
  apply(abi::SeedEnd{true, true});
  EXPECT_EQ(facts.connections_total(), 0U) << "an idle connection costs nothing";
  timeout(client(), 1, 208ms);
  const Connection* c = facts.connection(SocketId{1});
  ASSERT_TRUE(c);
  EXPECT_TRUE(c->before_trace);
  EXPECT_EQ(c->owners.size(), 2U);
}

TEST_F(FactsTest, WhoDestroysASocketIsNotItsOwner) {
  state(client(), TcpState::syn_sent, TcpState::established, owner_of(5, "curl", abi::OwnerSource::connect));
  abi::Socket s = client();
  s.err = ECONNABORTED;
  state(s, TcpState::established, TcpState::close, owner_of(99, "ss"));
  const Connection* c = facts.connection(SocketId{1});
  EXPECT_EQ(c->owner()->pid, 5U);
  ASSERT_TRUE(c->destroyed_by);
  EXPECT_EQ(c->destroyed_by->pid, 99U);
}

TEST_F(FactsTest, TheExitOfTheOwnerIsRememberedAndOthersAreNot) {
  state(client(), TcpState::syn_sent, TcpState::established, owner_of(5, "curl", abi::OwnerSource::connect));
  abi::Owner dying = owner_of(5, "curl");
  dying.exiting = true;
  dying.exit_code = 9;
  state(client(), TcpState::established, TcpState::close, dying);
  EXPECT_EQ(facts.connection(SocketId{1})->owner_exit->signal, 9);
  // The connector of the record is no witness: it only says who connected once.
  abi::Owner connector = dying;
  connector.source = abi::OwnerSource::connect;
  state(client(3, 50001), TcpState::established, TcpState::close, connector);
  EXPECT_FALSE(facts.connection(SocketId{3})->owner_exit);
}

TEST(ExitOf, ReadsWhatWaitGives) {
  EXPECT_EQ(exit_of(0).code, 0);
  EXPECT_EQ(exit_of(3 << 8).code, 3);
  EXPECT_EQ(exit_of(3 << 8).signal, 0);
  EXPECT_EQ(exit_of(9).signal, 9);
  EXPECT_EQ(exit_of(0x8b).signal, 11) << "with a core dump";
}

// Listeners -----------------------------------------------------------------------------------------------------------

TEST_F(FactsTest, TheExactAddressGoesBeforeTheWildcard) {
  listen(8, at("0.0.0.0", 80));
  listen(9, at("127.0.0.1", 80));
  EXPECT_EQ(facts.listener_at(at("127.0.0.1", 80), 1)->id, SocketId{9});
  EXPECT_EQ(facts.listener_at(at("127.0.0.2", 80), 1)->id, SocketId{8});
  EXPECT_EQ(facts.listener_at(at("127.0.0.1", 81), 1), nullptr);
  EXPECT_EQ(facts.listener_at(at("127.0.0.1", 80), 2), nullptr) << "loopback of another namespace";
}

TEST_F(FactsTest, AWildcardDoesNotListenForOtherHosts) {
  listen(8, at("0.0.0.0", 80));
  EXPECT_EQ(facts.listener_at(at("10.0.0.9", 80), 1), nullptr);
}

TEST_F(FactsTest, AListenerOfExactlyOneOtherNamespaceIsFound) {
  listen(9, at("10.0.0.2", 80), 7, 2);
  EXPECT_EQ(facts.listener_at(at("10.0.0.2", 80), 1)->id, SocketId{9});
  listen(10, at("10.0.0.2", 80), 8, 3);
  EXPECT_EQ(facts.listener_at(at("10.0.0.2", 80), 1), nullptr) << "two namespaces have this address";
}

TEST_F(FactsTest, AListenerThatEndedIsGone) {
  listen(9, at("127.0.0.1", 80));
  abi::Owner dying = owner_of(7, "server");
  dying.exiting = true;
  dying.exit_code = 11;
  state(listener(9, at("127.0.0.1", 80)), TcpState::listen, TcpState::close, dying, 1s);
  EXPECT_EQ(facts.listener_at(at("127.0.0.1", 80), 1), nullptr);
  const Listener* gone = facts.gone_listener_at(at("127.0.0.1", 80), 1);
  ASSERT_TRUE(gone);
  EXPECT_EQ(*gone->ended, now);
  EXPECT_EQ(gone->ended_by->pid, 7U);
  EXPECT_EQ(gone->ended_exit->signal, 11);
  EXPECT_EQ(facts.gone_listener_at(at("127.0.0.1", 81), 1), nullptr);
}

TEST_F(FactsTest, DropsWhileTheQueueIsFullAreRefusals) {
  listen(9, at("127.0.0.1", 80));
  abi::Socket s = listener(9, at("127.0.0.1", 80));
  s.drops = 3;
  apply(abi::Sample{s}, 1s);
  EXPECT_FALSE(facts.listener(SocketId{9})->first_refusal) << "the queue is empty";
  s.queue = 5;
  s.drops = 5;
  s.head_age = 0ms;
  apply(abi::Sample{s}, 1s);
  ASSERT_TRUE(facts.listener(SocketId{9})->first_refusal);
  EXPECT_EQ(facts.listener(SocketId{9})->refused(), 2U);
  s.queue = 0;
  s.head_age.reset();
  apply(abi::Sample{s}, 3s);
  apply(abi::Tick{});
  EXPECT_FALSE(facts.listener(SocketId{9})->first_refusal) << "drained";
}

// Episodes ------------------------------------------------------------------------------------------------------------

TEST_F(FactsTest, AnEpisodeBeginsWhenTheSegmentWasSent) {
  timeout(client(), 1, 208ms);
  timeout(client(), 2, 416ms);
  const Connection* c = facts.connection(SocketId{1});
  EXPECT_TRUE(c->episode);
  EXPECT_EQ(c->episode_start, kStart);
  EXPECT_EQ(c->episode_timeouts, 2U);
  EXPECT_EQ(facts.stalled_remotes(1), 1U);
  EXPECT_EQ(facts.stalled_remotes(2), 0U);
}

TEST_F(FactsTest, AnEpisodeEndsWithAnAcknowledgment) {
  timeout(client(), 1, 208ms);
  abi::Socket acked = client();
  acked.snd_una += 5;
  apply(abi::Sample{acked}, 100ms);
  EXPECT_FALSE(facts.connection(SocketId{1})->episode);
  EXPECT_EQ(facts.stalled_remotes(1), 0U);
}

TEST_F(FactsTest, AnotherStuckSegmentIsAnotherEpisode) {
  timeout(client(), 1, 208ms);
  timeout(client(), 2, 416ms);
  abi::Socket later = client();
  later.snd_una += 100;
  timeout(later, 1, 5s);
  const Connection* c = facts.connection(SocketId{1});
  EXPECT_TRUE(c->episode);
  EXPECT_EQ(c->episode_timeouts, 1U);
  EXPECT_EQ(c->episode_start, now - 208ms);
  EXPECT_EQ(facts.stalled_remotes(1), 0U);  // one time-out may be one lost segment
}

TEST_F(FactsTest, StalledRemotesAreCountedByAddress) {
  for (std::uint64_t id = 1; id <= 6; ++id) {
    const std::string address = "10.0.0." + std::to_string(id % 3);
    timeout(socket_of(id, at("10.0.1.1", static_cast<std::uint16_t>(5000 + id)), at(address, 80)), 1, 1ms);
  }
  EXPECT_EQ(facts.stalled_remotes(1), 0U);
  for (std::uint64_t id = 1; id <= 6; ++id) {
    const std::string address = "10.0.0." + std::to_string(id % 3);
    timeout(socket_of(id, at("10.0.1.1", static_cast<std::uint16_t>(5000 + id)), at(address, 80)), 2, 1ms);
  }
  EXPECT_EQ(facts.stalled_remotes(1), 3U);
  for (std::uint64_t id : {3ULL, 6ULL})
    state(socket_of(id, at("10.0.1.1", static_cast<std::uint16_t>(5000 + id)), at("10.0.0.0", 80)),
          TcpState::established, TcpState::close);
  EXPECT_EQ(facts.stalled_remotes(1), 2U);
}

TEST_F(FactsTest, EvictionEndsAnEpisode) {
  timeout(client(), 1, 208ms);
  for (std::uint64_t id = 10; id <= 110; ++id)
    state(client(id, static_cast<std::uint16_t>(1000 + id)), TcpState::syn_sent, TcpState::established);
  EXPECT_FALSE(facts.connection(SocketId{1}));
  EXPECT_EQ(facts.stalled_remotes(1), 0U);
}

// Losses --------------------------------------------------------------------------------------------------------------

TEST_F(FactsTest, LossIsRandomWhereRetransmissionsRepairIt) {
  EXPECT_FALSE(facts.loss_is_random(at("127.0.0.1", 80)));
  for (std::uint64_t id = 1; id <= 8; ++id) {
    abi::Socket s = client(id, static_cast<std::uint16_t>(1000 + id));
    s.total_retrans = 1;
    state(s, TcpState::syn_sent, TcpState::established, owner_of(5, "curl", abi::OwnerSource::connect));
  }
  EXPECT_TRUE(facts.loss_is_random(at("127.0.0.1", 80)));
  EXPECT_FALSE(facts.loss_is_random(at("127.0.0.1", 81)));
  apply(abi::Tick{}, 30s);
  EXPECT_FALSE(facts.loss_is_random(at("127.0.0.1", 80))) << "long ago";
}

TEST_F(FactsTest, LostEventsAreKnownByTheirTime) {
  EXPECT_FALSE(facts.lost_since(kStart, 0));
  apply(abi::Lost{"state", 3}, 1s);
  apply(abi::Lost{"state", 4}, 1s);
  EXPECT_EQ(facts.lost_total(), 7U);
  EXPECT_TRUE(facts.lost_since(kStart, 0));
  EXPECT_TRUE(facts.lost_since(kStart + 2s, 0));
  EXPECT_FALSE(facts.lost_since(kStart + 3s, 0));
}

TEST_F(FactsTest, AFirewallsDropIsFoundFromEitherEnd) {
  abi::Drop drop;
  drop.reason = 15;
  drop.tuple = server().tuple;
  apply(drop);
  apply(drop, 1s);
  ASSERT_TRUE(facts.firewall_drops(client().tuple));
  EXPECT_EQ(facts.firewall_drops(client().tuple), facts.firewall_drops(server().tuple));
  EXPECT_EQ(facts.firewall_drops(client().tuple)->count, 2U);
  EXPECT_EQ(facts.firewall_drops(client().tuple)->last, now);
  EXPECT_EQ(facts.firewall_drops(client(1, 50001).tuple), nullptr);
}

TEST(RecentCount, ForgetsWhatIsOld) {
  RecentCount count;
  EXPECT_EQ(count.at(kStart), 0U);
  count.add(kStart);
  count.add(kStart + 1s);
  EXPECT_EQ(count.at(kStart + 5s), 2U);
  count.add(kStart + 12s);
  EXPECT_EQ(count.at(kStart + 13s), 3U);
  EXPECT_EQ(count.at(kStart + 60s), 0U);
}

TEST(ServiceEndpoint, IsTheListeningSides) {
  Connection c;
  c.tuple = {at("10.0.0.1", 50000), at("10.0.0.9", 60000), 1};
  c.role = ConnectionRole::client;
  EXPECT_EQ(service_endpoint(c), c.tuple.remote);
  c.role = ConnectionRole::server;
  EXPECT_EQ(service_endpoint(c), c.tuple.local);
  c.role = ConnectionRole::unknown;
  EXPECT_EQ(service_endpoint(c), c.tuple.local) << "the lower port, by custom";
}

// A silence between two recorded hosts may be the firewall's of either.
TEST(FactsOfSeveralHosts, DropsThatAreLeftOutOnAnyOfThemMayBeMissing) {
  Facts facts{{}, {}};
  facts.name_hosts({"a", "b"});
  facts.apply({kStart, abi::Tick{}, 1});
  EXPECT_TRUE(facts.has_all_drops(kStart - 1s));
  facts.apply({kStart, abi::Limited{"drop", 7}, 1});
  EXPECT_FALSE(facts.has_all_drops(kStart - 1s));
}

}  // namespace
}  // namespace tcpwhy::core
