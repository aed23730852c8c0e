// SPDX-License-Identifier: GPL-2.0-only
#include "user/html/activity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace tcpwhy::html {
namespace {

using namespace std::chrono_literals;
using abi::TcpState;
using testing::HasSubstr;
using testing::Not;

abi::Event at(util::Duration time, auto body) { return {util::BootTime{time}, std::move(body)}; }

TEST(Activity, CountsWhatHappensInABucket) {
  Activity activity;
  activity.on(at(1000ms, abi::Retransmit{}));
  activity.on(at(1050ms, abi::Retransmit{}));
  activity.on(at(1250ms, abi::Retransmit{}));
  activity.on(at(1250ms, abi::Drop{}));
  activity.on(at(1250ms, abi::Sample{}));
  EXPECT_EQ(activity.json({}), R"({"begins":1000000,"bucket_ms":100,"series":{"retransmit":[2,0,1],"drop":[0,0,1]}})");
}

TEST(Activity, TellsBothEndsOfANewConnection) {
  Activity activity;
  abi::Transition opened;
  opened.from = TcpState::syn_sent;
  opened.to = TcpState::established;
  activity.on(at(1s, opened));
  abi::StateChange accepted;
  accepted.from = TcpState::syn_recv;
  accepted.to = TcpState::established;
  activity.on(at(1s, accepted));
  accepted.to = TcpState::close;
  activity.on(at(1s, accepted));
  EXPECT_THAT(activity.json({}), HasSubstr(R"("series":{"connected":[1],"accepted":[1]})"));
}

TEST(Activity, ALongRunHasWiderBucketsAndTheSameSums) {
  Activity activity;
  for (int i = 0; i < 10'000; ++i) activity.on(at(1s + i * 1s, abi::Retransmit{}));
  const std::string json = activity.json({});
  EXPECT_THAT(json, HasSubstr(R"("bucket_ms":12800,)"));
  EXPECT_LE(std::count(json.begin(), json.end(), ','), static_cast<std::ptrdiff_t>(Activity::kMostBuckets) + 3);
  std::uint64_t sum = 0;
  for (std::size_t i = json.find('[') + 1; i < json.find(']'); i = json.find_first_of(",]", i) + 1)
    sum += std::stoull(json.substr(i));
  EXPECT_EQ(sum, 10'000U);
}

TEST(Activity, LossesCountAsMany) {
  Activity activity;
  activity.on(at(1s, abi::Lost{"retransmit", 41}));
  activity.on(at(1s, abi::Lost{"sample", 5, abi::LossWay::unswept}));  // loses no event
  EXPECT_THAT(activity.json({}), HasSubstr(R"("lost":[41])"));
  EXPECT_THAT(activity.json({}), Not(HasSubstr("retransmit")));
}

}  // namespace
}  // namespace tcpwhy::html
