// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/place.h"

#include <gtest/gtest.h>

namespace tcpwhy::core {
namespace {

constexpr std::uint32_t kHost = 4026531833;
constexpr std::uint32_t kElsewhere = 4026532201;

Finding finding_in(std::uint32_t netns, const std::string& advice) {
  Finding f;
  f.connection = ConnectionView{.netns = netns};
  f.owner = Process{.pid = 4410, .comm = "curl"};
  f.words.advice = {advice};
  return f;
}

std::string placed(Finding f) {
  place_commands(f, RunIdentity{.netns = kHost});
  return f.words.advice.front();
}

TEST(PlaceCommands, InAnotherNamespaceTheOwnerLeadsThere) {
  EXPECT_EQ(placed(finding_in(kElsewhere, "nft list ruleset: which counter grows?")),
            "in its namespace (nsenter -t 4410 -n): nft list ruleset: which counter grows?");
}

TEST(PlaceCommands, InTheToolsOwnNamespaceNothingIsSaid) {
  const std::string advice = "nft list ruleset: which counter grows?";
  EXPECT_EQ(placed(finding_in(kHost, advice)), advice);
  EXPECT_EQ(placed(finding_in(0, advice)), advice);
  Finding f = finding_in(kElsewhere, advice);
  place_commands(f, RunIdentity{});  // of an old recording, say
  EXPECT_EQ(f.words.advice.front(), advice);
}

TEST(PlaceCommands, OnlyCommandsNeedAPlace) {
  for (const char* advice : {"ping and traceroute to 10.0.0.9", "ip route get 10.0.0.9", "(ip neigh show)",
                             "ss -ltn 'sport = :80'", "ss -tan | wc -l", "iptables -L -v", "nstat -az"})
    EXPECT_TRUE(placed(finding_in(kElsewhere, advice)).starts_with("in its namespace")) << advice;
  for (const char* advice : {"is its shopping loop blocked?", "who runs ss -K here?", "restart worker[33]",
                             "a shift of load; net.core.somaxconn only hides it", "the aft nfts"})
    EXPECT_EQ(placed(finding_in(kElsewhere, advice)), advice);
}

TEST(PlaceCommands, WhoIsGoneLeadsNowhere) {
  Finding f = finding_in(kElsewhere, "nft list ruleset");
  f.owner->exit = ProcessExit{.signal = 9};
  EXPECT_EQ(placed(f), "in its namespace (lsns 4026532201 lists who is there; nsenter -t PID -n): nft list ruleset");

  f.listener = ListenerView{.netns = kElsewhere, .owners = {{.pid = 12, .exit = ProcessExit{}}, {.pid = 13}}};
  EXPECT_EQ(placed(f), "in its namespace (nsenter -t 13 -n): nft list ruleset");

  f.peer = PeerView{.connection = {.netns = kHost}, .owner = Process{.pid = 7}};
  EXPECT_EQ(placed(f), "in its namespace (nsenter -t 13 -n): nft list ruleset");
  f.peer->connection.netns = kElsewhere;
  EXPECT_EQ(placed(f), "in its namespace (nsenter -t 7 -n): nft list ruleset");
}

TEST(PlaceCommands, AListenersOwnNamespaceCounts) {
  Finding f;
  f.listener = ListenerView{.netns = kElsewhere, .owners = {{.pid = 13}}};
  f.words.advice = {"ss -ltn"};
  EXPECT_EQ(placed(f), "in its namespace (nsenter -t 13 -n): ss -ltn");
}

}  // namespace
}  // namespace tcpwhy::core
