// SPDX-License-Identifier: GPL-2.0-only
#include "user/host/mib.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace tcpwhy::host {
namespace {

TEST(Mib, ColumnsAreFoundByTheirNames) {
  const auto values = parse_mib(
      "TcpExt: SyncookiesSent ListenOverflows Unheard ListenDrops\n"
      "TcpExt: 7 12 9 18446744073709551615\n"
      "IpExt: ListenOverflows\n"
      "IpExt: 5\n");
  EXPECT_EQ(values[0], 12U);
  EXPECT_EQ(values[1], 18446744073709551615U);
  EXPECT_EQ(values[2], 0U);
}

TEST(Mib, DamagedTextIsNoTrouble) {
  EXPECT_EQ(parse_mib("")[0], 0U);
  EXPECT_EQ(parse_mib("TcpExt: ListenOverflows\n")[0], 0U);
  EXPECT_EQ(parse_mib("TcpExt: ListenOverflows ListenDrops\nTcpExt: 3\n")[0], 3U);
  EXPECT_EQ(parse_mib("TcpExt: ListenOverflows\nIpExt: 3\n")[0], 0U);
}

TEST(Mib, OfThisProcess) {
  const auto mib = read_mib(static_cast<std::uint32_t>(::getpid()));
  ASSERT_TRUE(mib);
  EXPECT_GT(mib->netns, 0U);
  EXPECT_EQ(mib->netns, read_netns(static_cast<std::uint32_t>(::getpid())));
}

TEST(Mib, OfNobody) { EXPECT_FALSE(read_mib(4194305)); }

}  // namespace
}  // namespace tcpwhy::host
