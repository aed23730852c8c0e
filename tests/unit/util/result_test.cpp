// SPDX-License-Identifier: GPL-2.0-only
#include "user/util/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace tcpwhy::util {
namespace {

TEST(Result, HoldsAValueOrAnError) {
  const Result<int> good = 7;
  const Result<int> bad = Error{"no number", 5, "write one"};
  EXPECT_TRUE(good);
  EXPECT_EQ(*good, 7);
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.error().code, 5);
}

TEST(Result, HoldsWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(3);
  EXPECT_EQ(**result, 3);
}

TEST(Error, GainsContextFromTheInsideOut) {
  const Error error = Error{"not a number", 22, "write one"}.within("--port");
  EXPECT_EQ(error.what, "--port: not a number");
  EXPECT_EQ(error.code, 22);
  EXPECT_EQ(error.hint, "write one");
}

}  // namespace
}  // namespace tcpwhy::util
