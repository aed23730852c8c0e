// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/translate.h"

#include <gtest/gtest.h>

#include "user/core/host.h"

namespace tcpwhy::core {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kNetns = 4026532177;

TEST(HostNumbers, ComeOffAgainAndLeaveTheFirstHostAlone) {
  for (std::uint32_t host = 0; host < kMostHosts; ++host) {
    for (const std::uint32_t pid : {1U, 4194303U}) {
      EXPECT_EQ(plain_pid(tag_pid(pid, host)), pid);
      EXPECT_EQ(host_of_pid(tag_pid(pid, host)), host);
    }
    // The initial namespace's stands below all others.
    for (const std::uint32_t netns : {kNetns, 0xEFFFFFF9U, 0xF0FFFFFFU}) {
      EXPECT_EQ(plain_netns(tag_netns(netns, host)), netns);
      EXPECT_EQ(host_of_netns(tag_netns(netns, host)), host);
    }
    EXPECT_EQ(tag_socket(tag_socket(abi::SocketId{7}, host), host), abi::SocketId{7});
    // Keys of the facts' own making have bit 63.
    EXPECT_EQ(static_cast<std::uint64_t>(tag_socket(abi::SocketId{7}, host)) >> 63, 0U);
    EXPECT_EQ(host_of_stand_in(stand_in(host, 2)), host);
  }
  EXPECT_EQ(tag_pid(7, 0), 7U);
  EXPECT_EQ(tag_netns(kNetns, 0), kNetns);
  EXPECT_EQ(tag_socket(abi::SocketId{7}, 0), abi::SocketId{7});
  EXPECT_EQ(tag_pid(0, 3), 0U);
  EXPECT_EQ(tag_netns(0, 3), 0U);
  EXPECT_EQ(tag_socket(abi::SocketId::none, 3), abi::SocketId::none);
  EXPECT_NE(tag_socket(abi::SocketId{7}, 1), tag_socket(abi::SocketId{7}, 2));
}

abi::Owner owner() {
  abi::Owner o;
  o.source = abi::OwnerSource::current;
  o.pid = 12;
  o.comm = "nginx";
  o.start = util::BootTime{5s};
  return o;
}

abi::Event translated(abi::Event event, const KernelNames& own = {}, KernelNames joined = {}) {
  Translator{2, "web-3", 100s, own, joined}.translate(event);
  return event;
}

TEST(Translator, BringsTimesToTheFirstHostsClockAndNamesTheHost) {
  abi::StateChange change;
  change.socket.id = abi::SocketId{9};
  change.socket.tuple.netns = kNetns;
  change.owner = owner();
  change.last_success = util::BootTime{7s};
  const abi::Event e = translated({util::BootTime{10s}, change});
  EXPECT_EQ(e.time, util::BootTime{110s});
  EXPECT_EQ(e.host, 2U);
  const auto& told = std::get<abi::StateChange>(e.body);
  EXPECT_EQ(told.socket.id, tag_socket(abi::SocketId{9}, 2));
  EXPECT_EQ(told.socket.tuple.netns, tag_netns(kNetns, 2));
  EXPECT_EQ(told.owner.pid, tag_pid(12, 2));
  EXPECT_EQ(told.owner.start, util::BootTime{105s});
  EXPECT_EQ(told.owner.host, "web-3");
  EXPECT_EQ(told.last_success, util::BootTime{107s});
}

TEST(Translator, WhatIsNotKnownStaysSo) {
  abi::StateChange change;
  change.owner.start = {};
  const abi::Event event = translated({util::BootTime{10s}, change});
  const auto& told = std::get<abi::StateChange>(event.body);
  EXPECT_EQ(told.socket.id, abi::SocketId::none);
  EXPECT_EQ(told.owner.pid, 0U);
  EXPECT_TRUE(told.owner.host.empty());
  EXPECT_EQ(told.owner.start, util::BootTime{});
  EXPECT_FALSE(told.last_success);
}

TEST(Translator, ASynAckHasAllItsSocketsTagged) {
  abi::SynAckRetransmit synack;
  synack.listener.id = abi::SocketId{1};
  synack.request = abi::SocketId{2};
  synack.client = abi::SocketId{3};
  synack.client_owner = owner();
  synack.client_established = util::BootTime{1s};
  synack.tuple.netns = kNetns;
  const abi::Event event = translated({util::BootTime{10s}, synack});
  const auto& told = std::get<abi::SynAckRetransmit>(event.body);
  EXPECT_EQ(told.listener.id, tag_socket(abi::SocketId{1}, 2));
  EXPECT_EQ(told.request, tag_socket(abi::SocketId{2}, 2));
  EXPECT_EQ(told.client, tag_socket(abi::SocketId{3}, 2));
  EXPECT_EQ(told.client_owner.host, "web-3");
  EXPECT_EQ(told.client_established, util::BootTime{101s});
  EXPECT_EQ(told.tuple.netns, tag_netns(kNetns, 2));
}

TEST(Translator, ReasonsGoByName) {
  KernelNames first;
  first.drop_reasons = {{5, "NETFILTER_DROP"}, {6, "NO_SOCKET"}};
  first.reset_reasons = {{1, "NO_SOCKET"}};
  KernelNames own;
  own.drop_reasons = {{6, "NETFILTER_DROP"}, {5, "PROTO_MEM"}, {9, "OTHER"}};
  own.reset_reasons = {{2, "NO_SOCKET"}};
  KernelNames joined = first;
  const Translator translator{1, "b", 0ns, own, joined};
  const auto dropped = [&](std::uint32_t reason) {
    abi::Event event{{}, abi::Drop{.reason = reason}};
    translator.translate(event);
    return std::string{joined.drop_reason(std::get<abi::Drop>(event.body).reason)};
  };
  EXPECT_EQ(dropped(6), "NETFILTER_DROP");
  EXPECT_EQ(dropped(5), "PROTO_MEM");
  EXPECT_EQ(dropped(9), "OTHER");
  // A number that its kernel had no name for does not get another's.
  EXPECT_EQ(dropped(77), "");
  EXPECT_EQ(joined.drop_reason(5), "NETFILTER_DROP");
  EXPECT_EQ(joined.drop_reason(6), "NO_SOCKET");
  abi::Event reset{{}, abi::ResetSent{.reason = 2}};
  translator.translate(reset);
  EXPECT_EQ(joined.reset_reason(std::get<abi::ResetSent>(reset.body).reason), "NO_SOCKET");
  abi::Event none{{}, abi::ResetSent{}};
  translator.translate(none);
  EXPECT_EQ(std::get<abi::ResetSent>(none.body).reason, -1);
}

TEST(Translator, WhereOneKernelDoesNotTellItsFirewallsDropsNobodyIsRuledOut) {
  KernelNames joined;
  joined.drop_reasons = {{5, "NETFILTER_DROP"}};
  const KernelNames tells = joined;
  (void)Translator{0, "a", 0ns, tells, joined};
  EXPECT_TRUE(joined.tells_firewall_drops());
  (void)Translator{1, "b", 0ns, KernelNames{}, joined};
  EXPECT_FALSE(joined.tells_firewall_drops());
}

TEST(HostFilters, ARunsOwnMeansItsHostAReportsAnyHost) {
  Filter filter;
  filter.pids = {12};
  filter.netns = {kNetns};
  EXPECT_EQ(of_host(filter, 1).pids, std::vector{tag_pid(12, 1)});
  EXPECT_EQ(of_host(filter, 1).netns, std::vector{tag_netns(kNetns, 1)});
  EXPECT_EQ(of_any_host(filter, 2).pids, (std::vector{12U, tag_pid(12, 1)}));
  EXPECT_EQ(of_any_host(filter, 1).netns, std::vector{kNetns});
}

}  // namespace
}  // namespace tcpwhy::core
