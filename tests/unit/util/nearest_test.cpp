// SPDX-License-Identifier: GPL-2.0-only
#include "user/util/nearest.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace tcpwhy::util {
namespace {

constexpr std::array<std::string_view, 3> kKnown = {"stall-unacked", "stall-unread", "reset"};

TEST(Nearest, AFewLettersAwayOrTheOnlyOneWithIt) {
  EXPECT_EQ(nearest("stall-unackd", kKnown), "stall-unacked");
  EXPECT_EQ(nearest("resett", kKnown), "reset");
  EXPECT_EQ(nearest("unread", kKnown), "stall-unread");
}

TEST(Nearest, NothingWhereNoneOrSeveralAreMeant) {
  EXPECT_EQ(nearest("stall", kKnown), "");
  EXPECT_EQ(nearest("nonsense", kKnown), "");
  EXPECT_EQ(nearest(std::string(1000, 'x'), kKnown), "");
  EXPECT_EQ(nearest("reset", {}), "");
}

}  // namespace
}  // namespace tcpwhy::util
