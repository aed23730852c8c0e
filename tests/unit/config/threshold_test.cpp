// SPDX-License-Identifier: GPL-2.0-only
#include "user/config/threshold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tcpwhy::config {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(FindFinding, SuggestsTheNearest) {
  struct Row {
    const char* word;
    const char* meant;
  };
  for (const Row& row :
       {Row{"stall-unackd", "stall-unacked"}, Row{"stall_unacked", "stall-unacked"}, Row{"timeout", "timed-out"},
        Row{"Reset", "reset"}, Row{"unread", "stall-unread"}, Row{"zero-window", "stall-zero-window"},
        Row{"synack-retransmits", "synack-retransmit"}, Row{"memory", "memory-pressure"}}) {
    const auto found = find_finding(row.word);
    ASSERT_FALSE(found) << row.word;
    EXPECT_EQ(found.error().hint, std::string{"did you mean "} + row.meant + "?") << row.word;
  }
}

TEST(FindFinding, ListsAllWhereNoneIsNear) {
  for (const std::string& word : {std::string{"stall"}, std::string{}, std::string{"xy"}, std::string(100000, 'x')}) {
    const auto found = find_finding(word);
    ASSERT_FALSE(found);
    for (const detect::FindingSpec& row : detect::catalogue()) {
      EXPECT_THAT(found.error().hint, HasSubstr(std::string{row.slug}));
    }
  }
}

TEST(ParseThreshold, OfEveryPortOrOfOne) {
  const Threshold base = *parse_threshold("stall-unread=1.5s");
  EXPECT_FALSE(base.service_port);
  EXPECT_EQ(base.slug, "stall-unread");
  EXPECT_EQ(base.limit, util::Duration{1'500ms});
  const Threshold port = *parse_threshold("5432:stall-awaiting-reply=off");
  EXPECT_EQ(port.service_port, 5432);
  EXPECT_EQ(port.slug, "stall-awaiting-reply");
  EXPECT_EQ(port.limit, std::nullopt);
}

TEST(ParseThreshold, SaysWhatIsWrong) {
  struct Row {
    const char* word;
    const char* says;
  };
  for (const Row& row :
       {Row{"", "is not a threshold: write FINDING=DURATION"}, Row{"reset", "is not a threshold"},
        Row{"=off", "there is no finding ''"}, Row{":reset=off", "'' is not a port"},
        Row{"0:reset=off", "'0' is not a port"}, Row{"65536:reset=off", "'65536' is not a port"},
        Row{"10.0.0.1:80:reset=off", "'10.0.0.1' is not a port"},
        Row{"80:80:reset=off", "there is no finding '80:reset'"},
        Row{"reset=1s", "reset does not wait for a time to pass: it can only be switched off: reset=off"},
        Row{"80:reset=on", "it can only be switched off: 80:reset=off"}, Row{"stall-unread=", "'' is not a duration"},
        Row{"stall-unread=0s", "'0s' is not a duration"},
        Row{"stall-unread=OFF",
            "'OFF' is not a duration: write a number above 0 and its unit, as in 200ms, 1.5s, 10s, "
            "3min or 2h; or off"}}) {
    const auto parsed = parse_threshold(row.word);
    ASSERT_FALSE(parsed) << row.word;
    EXPECT_THAT(parsed.error().what + ": " + parsed.error().hint, HasSubstr(row.says));
  }
}

}  // namespace
}  // namespace tcpwhy::config
