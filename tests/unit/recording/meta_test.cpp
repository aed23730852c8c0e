// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/meta.h"

#include <gtest/gtest.h>

#include "tests/unit/recording/sample.h"

namespace tcpwhy::recording {
namespace {

using namespace std::chrono_literals;

constexpr core::FindingSpec kUnread{.slug = "stall-unread",
                                    .family = core::Family::stall,
                                    .rank = 1,
                                    .instant = false,
                                    .threshold = 1s,
                                    .causes = {},
                                    .meaning = {}};

TEST(Meta, SaysWhatItWasTold) {
  Meta m = meta();
  core::Settings& s = m.settings;
  s.names.reset_reasons = {{3, "TCP_ABORT_ON_CLOSE"}};
  s.thresholds["reset"] = std::nullopt;
  s.thresholds["stall-unread"] = 5s;
  s.thresholds.ports[443]["stall-unread"] = 7s;
  s.filter.ports = {80, 443};
  for (const char* prefix : {"10.0.0.0/8", "::1", "2001:db8::/32", "::/0", "0.0.0.0/0"})
    s.filter.local.push_back(*util::parse_cidr(prefix));
  s.filter.remote = {*util::parse_cidr("127.0.0.1")};
  s.filter.pids = {1};
  s.filter.comms = {"a \"b\""};
  s.filter.cgroups = {1ULL << 40};
  s.filter.netns = {4026531840U};
  s.max_connections = 99;
  s.window = 3s;
  m.piece = 4;
  m.started_ns = 12;
  m.begins_ns = 13;
  m.every_transition = true;
  const auto back = parse_meta(to_json(m));
  ASSERT_TRUE(back) << back.error().what;
  EXPECT_EQ(to_json(*back), to_json(m));
  EXPECT_EQ(back->settings.identity.host, "db-1");
  EXPECT_EQ(back->settings.names.drop_reason(12), "NETFILTER_DROP");
  EXPECT_EQ(back->settings.names.reset_reason(3), "TCP_ABORT_ON_CLOSE");
  EXPECT_TRUE(back->settings.thresholds.off("reset"));
  EXPECT_EQ(back->settings.thresholds.of(kUnread, 443), 7s);
  ASSERT_EQ(back->settings.filter.local.size(), 5U);
  EXPECT_TRUE(back->settings.filter.local[0].contains(*util::parse_address("10.1.2.3")));
  EXPECT_FALSE(back->settings.filter.local[0].contains(*util::parse_address("11.1.2.3")));
  EXPECT_TRUE(back->settings.filter.local[4].contains(*util::parse_address("11.1.2.3")));
  EXPECT_EQ(back->settings.window, 3s);
  EXPECT_TRUE(back->every_transition);
}

TEST(Meta, KeepsTheStepsOfTheClock) {
  Meta m;
  m.settings.identity.wall = util::WallOffset{5};
  m.settings.identity.wall.step({util::boot_time(8), {9}});
  const auto back = parse_meta(to_json(m));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->settings.identity.wall.at(util::boot_time(7)).nanoseconds, 5);
  EXPECT_EQ(back->settings.identity.wall.at(util::boot_time(8)).nanoseconds, 9);
  EXPECT_FALSE(parse_meta(R"({"host":"h","boot_id":"b","wall_offset_ns":1,"clock_steps":[[1]]})"));
}

TEST(Meta, WhatCannotBeUsedIsAnErrorThatNamesIt) {
  const auto wrong = [](const std::string& json) {
    const auto m = parse_meta(json);
    return m ? std::string{} : m.error().what;
  };
  EXPECT_NE(wrong(""), "");
  EXPECT_NE(wrong("[]"), "");
  EXPECT_NE(wrong("{}").find("host"), std::string::npos);
  const std::string good = R"({"host":"h","boot_id":"b","wall_offset_ns":1)";
  EXPECT_EQ(wrong(good + "}"), "");
  EXPECT_NE(wrong(good + R"(,"drop_reasons":{"x":"y"}})").find("drop_reasons"), std::string::npos);
  EXPECT_NE(wrong(good + R"(,"thresholds":{"base":{"reset":"soon"}}})").find("thresholds"), std::string::npos);
  EXPECT_NE(wrong(good + R"(,"thresholds":{"ports":{"70000":{}}}})").find("thresholds"), std::string::npos);
  EXPECT_NE(wrong(good + R"(,"filter":{"local":["ten"]}})").find("local"), std::string::npos);
  EXPECT_NE(wrong(good + R"(,"window_ns":0})").find("window_ns"), std::string::npos);
  EXPECT_EQ(wrong(good + R"(,"a later version's key":[1]})"), "");
}

TEST(End, SaysWhatItWasTold) {
  const auto back = parse_end(to_json(End{5, 6, 7, true, {{util::boot_time(8), {-9}}, {util::boot_time(10), {11}}}}));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->connections, 5U);
  EXPECT_EQ(back->recorder_lost, 6U);
  EXPECT_EQ(back->ended_ns, 7U);
  EXPECT_TRUE(back->next_piece);
  ASSERT_EQ(back->clock_steps.size(), 2U);
  EXPECT_EQ(back->clock_steps[0].from, util::boot_time(8));
  EXPECT_EQ(back->clock_steps[0].offset.nanoseconds, -9);
  EXPECT_EQ(back->clock_steps[1].offset.nanoseconds, 11);
  EXPECT_FALSE(parse_end("{\"connections\":\"many\"}"));
}

}  // namespace
}  // namespace tcpwhy::recording
