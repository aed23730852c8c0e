// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/filter_matches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "user/core/host.h"

namespace tcpwhy::core {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

util::Endpoint at(const std::string& text) { return *util::parse_endpoint(text); }

abi::Event event_of(const util::Endpoint& local, const util::Endpoint& remote) {
  abi::StateChange change;
  change.socket.tuple = {local, remote, 4026531840};
  change.socket.cgroup_id = 7;
  change.owner.source = abi::OwnerSource::current;
  change.owner.pid = 11;
  change.owner.comm = "curl";
  return {util::BootTime{}, change};
}

abi::Event connection() { return event_of(at("10.0.0.1:50000"), at("10.0.0.9:80")); }

Filter everything() {
  Filter filter;
  filter.ports = {80, 8081};
  filter.local = {*util::parse_cidr("10.0.0.1"), *util::parse_cidr("192.0.2.0/24")};
  filter.remote = {*util::parse_cidr("10.0.0.0/24")};
  filter.pids = {11, 12};
  filter.comms = {"curl", "ngnix"};
  filter.cgroups = {6, 7};
  filter.netns = {4026531840, 5};
  return filter;
}

TEST(FilterMatches, EachValueWaitsForItsOwn) {
  FilterMatches matches{everything()};
  EXPECT_EQ(matches.unmatched().size(), 12U);  // the cgroups are one
  matches.note(connection());
  EXPECT_THAT(matches.unmatched(),
              ElementsAre("--port 8081", "--local 192.0.2.0/24", "--pid 12", "--comm ngnix", "--netns 5"));
  EXPECT_FALSE(matches.all());
}

TEST(FilterMatches, WithoutAFilterThereIsNothingToMeet) {
  FilterMatches matches{Filter{}};
  EXPECT_TRUE(matches.all());
  EXPECT_THAT(matches.unmatched(), IsEmpty());
  EXPECT_EQ(unmatched_words(matches.unmatched()), "");
}

TEST(FilterMatches, WhatAProcessHoldsCounts) {
  Filter filter;
  filter.ports = {22};
  filter.comms = {"sshd"};
  FilterMatches matches{filter};
  HeldSocket held;
  held.comm = "sshd";
  held.tuple.local = at("0.0.0.0:22");
  matches.note(held);
  EXPECT_TRUE(matches.all());
}

TEST(FilterMatches, AListenerAtEveryAddressMayBeAtThisOne) {
  Filter filter;
  filter.local = {*util::parse_cidr("10.0.0.1")};
  FilterMatches matches{filter};
  matches.note(event_of({}, {}));  // nothing is known of it
  EXPECT_FALSE(matches.all());
  matches.note(event_of(at("0.0.0.0:80"), {}));
  EXPECT_TRUE(matches.all());
}

TEST(FilterMatches, OneValueOfSeveralHostsIsOne) {
  Filter filter;
  filter.pids = {11, tag_pid(11, 1)};
  FilterMatches matches{filter};
  EXPECT_THAT(matches.unmatched(), ElementsAre("--pid 11"));
  matches.note(connection());
  EXPECT_TRUE(matches.all());
}

TEST(FilterMatches, TheWordsNameThem) {
  EXPECT_EQ(unmatched_words({"--port 1", "--comm x"}), "no socket was seen that --port 1 or --comm x lets through");
}

}  // namespace
}  // namespace tcpwhy::core
