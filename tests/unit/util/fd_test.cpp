// SPDX-License-Identifier: GPL-2.0-only
#include "user/util/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <utility>

namespace tcpwhy::util {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }
Fd open_null() { return Fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)}; }

TEST(Fd, ClosesWithItsHolder) {
  int number = -1;
  {
    const Fd fd = open_null();
    number = fd.get();
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(Fd, AMoveTakesIt) {
  Fd from = open_null();
  const int number = from.get();
  Fd to;
  EXPECT_FALSE(to.is_open());
  to = std::move(from);
  EXPECT_EQ(to.get(), number);
  const Fd third{std::move(to)};
  EXPECT_EQ(third.get(), number);
  EXPECT_TRUE(is_open(number));
}

TEST(Fd, ReleasedItStaysOpen) {
  int number = -1;
  {
    Fd fd = open_null();
    number = fd.release();
  }
  EXPECT_TRUE(is_open(number));
  EXPECT_EQ(Fd{number}.close(), 0);
  EXPECT_FALSE(is_open(number));
}

}  // namespace
}  // namespace tcpwhy::util
