// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/filter.h"

#include <gtest/gtest.h>

namespace tcpwhy::core {
namespace {

util::Endpoint at(const std::string& address, std::uint16_t port) { return {*util::parse_address(address), port}; }

util::Cidr cidr(const std::string& text) { return *util::parse_cidr(text); }

// A client at 10.0.0.5:40000 in one namespace and its server at 10.0.0.9:80 in another, told from the client's end.
Finding both_ends() {
  Finding finding;
  finding.connection = ConnectionView{.number = 1,
                                      .local = at("10.0.0.5", 40000),
                                      .remote = at("10.0.0.9", 80),
                                      .netns = 100,
                                      .state = "ESTABLISHED",
                                      .cgroup_id = 1001};
  finding.owner = Process{.pid = 11, .comm = "curl"};
  finding.peer = PeerView{.connection = {.number = 2,
                                         .local = at("10.0.0.9", 80),
                                         .remote = at("10.0.0.5", 40000),
                                         .netns = 200,
                                         .state = "ESTABLISHED",
                                         .cgroup_id = 1002},
                          .owner = Process{.pid = 22, .comm = "nginx"}};
  return finding;
}

Finding listener_only(const std::string& address) {
  Finding finding;
  finding.listener = ListenerView{.endpoint = at(address, 80),
                                  .netns = 200,
                                  .owners = {{.pid = 22, .comm = "nginx"}, {.pid = 23, .comm = "nginx"}},
                                  .cgroup_id = 1002};
  return finding;
}

TEST(Filter, EmptyLetsEverythingThrough) {
  EXPECT_TRUE(Filter{}.empty());
  EXPECT_TRUE(Filter{}.passes(both_ends()));
  EXPECT_TRUE(Filter{}.passes(Finding{}));
}

TEST(Filter, AnythingListedIsNotEmpty) {
  EXPECT_FALSE(Filter{.ports = {80}}.empty());
  EXPECT_FALSE(Filter{.netns = {1}}.empty());
  EXPECT_FALSE(Filter{.comms = {"x"}}.empty());
}

TEST(Filter, PortOfEitherEnd) {
  EXPECT_TRUE(Filter{.ports = {80}}.passes(both_ends()));
  EXPECT_TRUE(Filter{.ports = {40000}}.passes(both_ends()));
  EXPECT_TRUE((Filter{.ports = {1, 80}}.passes(both_ends())));
  EXPECT_FALSE(Filter{.ports = {443}}.passes(both_ends()));
  EXPECT_FALSE(Filter{.ports = {443}}.passes(Finding{}));
}

TEST(Filter, LocalAndRemoteAreSeenFromEachEnd) {
  EXPECT_TRUE(Filter{.local = {cidr("10.0.0.5")}}.passes(both_ends()));
  EXPECT_TRUE(Filter{.local = {cidr("10.0.0.9")}}.passes(both_ends()));
  EXPECT_TRUE(Filter{.remote = {cidr("10.0.0.5")}}.passes(both_ends()));
  EXPECT_FALSE(Filter{.remote = {cidr("10.1.0.0/16")}}.passes(both_ends()));
}

TEST(Filter, OneEndMustMatchAsAWhole) {
  // Each end has 10.0.0.5 on one side only.
  EXPECT_FALSE((Filter{.local = {cidr("10.0.0.5")}, .remote = {cidr("10.0.0.5")}}.passes(both_ends())));
  EXPECT_TRUE((Filter{.local = {cidr("10.0.0.5")}, .remote = {cidr("10.0.0.9")}}.passes(both_ends())));
}

TEST(Filter, WithoutAPeerOnlyItsOwnEndIsThere) {
  Finding finding = both_ends();
  finding.peer.reset();
  EXPECT_FALSE(Filter{.local = {cidr("10.0.0.9")}}.passes(finding));
}

TEST(Filter, AMappedAddressIsItsIpv4) {
  Finding finding = both_ends();
  finding.connection->local = at("::ffff:10.0.0.5", 40000);
  EXPECT_TRUE(Filter{.local = {cidr("10.0.0.0/24")}}.passes(finding));
  EXPECT_TRUE(Filter{.local = {cidr("::ffff:10.0.0.0/120")}}.passes(finding));
}

TEST(Filter, ProcessOfEitherEndListenerOrCulprit) {
  EXPECT_TRUE(Filter{.pids = {11}}.passes(both_ends()));
  EXPECT_TRUE(Filter{.pids = {22}}.passes(both_ends()));
  EXPECT_FALSE(Filter{.pids = {33}}.passes(both_ends()));
  EXPECT_TRUE(Filter{.pids = {23}}.passes(listener_only("0.0.0.0")));
  EXPECT_TRUE(Filter{.comms = {"nginx"}}.passes(both_ends()));
  EXPECT_FALSE(Filter{.comms = {"ngin"}}.passes(both_ends()));

  Finding finding;
  finding.culprit = {.kind = CulpritKind::local_process, .process = Process{.pid = 33}};
  EXPECT_TRUE(Filter{.pids = {33}}.passes(finding));
}

TEST(Filter, CgroupOfEitherEndOrTheListener) {
  EXPECT_TRUE(Filter{.cgroups = {1001}}.passes(both_ends()));
  EXPECT_TRUE((Filter{.cgroups = {7, 1002}}.passes(both_ends())));
  EXPECT_FALSE(Filter{.cgroups = {1003}}.passes(both_ends()));
  EXPECT_TRUE(Filter{.cgroups = {1002}}.passes(listener_only("0.0.0.0")));
  EXPECT_FALSE(Filter{.cgroups = {1001}}.passes(listener_only("0.0.0.0")));
  EXPECT_FALSE(Filter{.cgroups = {1001}}.passes(Finding{}));
}

TEST(Filter, NamespaceOfEitherEnd) {
  EXPECT_TRUE(Filter{.netns = {100}}.passes(both_ends()));
  EXPECT_TRUE(Filter{.netns = {200}}.passes(both_ends()));
  EXPECT_TRUE(Filter{.netns = {200}}.passes(listener_only("0.0.0.0")));
  EXPECT_FALSE(Filter{.netns = {300}}.passes(both_ends()));
}

TEST(Filter, ListsOfDifferentKindsMustAllMatch) {
  EXPECT_TRUE((Filter{.ports = {80}, .pids = {22}}.passes(both_ends())));
  EXPECT_FALSE((Filter{.ports = {80}, .pids = {33}}.passes(both_ends())));
}

TEST(Filter, AWildcardListenerHoldsEveryLocalAddress) {
  EXPECT_TRUE(Filter{.local = {cidr("10.0.0.9")}}.passes(listener_only("0.0.0.0")));
  EXPECT_TRUE(Filter{.local = {cidr("10.0.0.9")}}.passes(listener_only("::")));
  EXPECT_TRUE(Filter{.local = {cidr("10.0.0.9")}}.passes(listener_only("10.0.0.9")));
  EXPECT_FALSE(Filter{.local = {cidr("10.0.0.9")}}.passes(listener_only("10.0.0.8")));
  EXPECT_FALSE(Filter{.remote = {cidr("10.0.0.9")}}.passes(listener_only("10.0.0.9")));
  EXPECT_TRUE(Filter{.ports = {80}}.passes(listener_only("0.0.0.0")));
}

TEST(Filter, AnExampleCounts) {
  Finding finding = both_ends();
  finding.examples.push_back(
      {.number = 3, .local = at("10.0.0.6", 50000), .remote = at("10.0.0.9", 80), .state = "ESTABLISHED"});
  EXPECT_TRUE(Filter{.local = {cidr("10.0.0.6")}}.passes(finding));
}

TEST(Filter, AServiceAloneStandsForEitherEnd) {
  Finding finding;
  finding.service = at("10.0.0.9", 80);
  EXPECT_TRUE(Filter{.ports = {80}}.passes(finding));
  EXPECT_TRUE(Filter{.remote = {cidr("10.0.0.9")}}.passes(finding));
  EXPECT_TRUE(Filter{.local = {cidr("10.0.0.9")}}.passes(finding));
  EXPECT_FALSE(Filter{.ports = {81}}.passes(finding));
}

TEST(Filter, EventsPassByTheirEndsAndNamespace) {
  abi::Transition transition;
  transition.tuple = {at("10.0.0.5", 40000), at("10.0.0.9", 80), 100};
  const abi::Event event{{}, transition};
  EXPECT_TRUE(Filter{}.passes(event));
  EXPECT_TRUE((Filter{.ports = {80}}.passes(event)));
  EXPECT_FALSE((Filter{.ports = {81}}.passes(event)));
  EXPECT_TRUE((Filter{.local = {cidr("10.0.0.9")}}.passes(event)));
  EXPECT_FALSE((Filter{.local = {cidr("10.0.0.9")}, .remote = {cidr("10.0.0.9")}}.passes(event)));
  EXPECT_TRUE((Filter{.netns = {100}}.passes(event)));
  EXPECT_FALSE((Filter{.netns = {200}}.passes(event)));
  // What is about no connection is about none that was asked for; and of processes not every event tells.
  EXPECT_FALSE((Filter{.ports = {80}}.passes(abi::Event{{}, abi::Host{}})));
  EXPECT_TRUE((Filter{.pids = {11}}.passes(event)));
}

}  // namespace
}  // namespace tcpwhy::core
