// SPDX-License-Identifier: GPL-2.0-only
// The parts of the live source that need no kernel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "bpf/tcpwhy_abi.h"
#include "user/source/live_checks.h"
#include "user/source/live_iterator.h"
#include "user/source/live_pace.h"
#include "user/source/live_wants.h"

namespace tcpwhy::source {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const util::BootTime kStart = util::boot_time(1'000'000'000'000);

TEST(SweepPace, ACheapSweepRunsEachHalfSecond) {
  SweepPace pace{"a sweep"};
  EXPECT_TRUE(pace.is_due(kStart));
  EXPECT_THAT(pace.swept(kStart, milliseconds{1}), IsEmpty());
  EXPECT_FALSE(pace.is_due(kStart + milliseconds{400}));
  EXPECT_TRUE(pace.is_due(kStart + milliseconds{499})) << "a tick that comes a little early is in time";
}

TEST(SweepPace, AnExpensiveSweepStretchesAndSaysSoOnce) {
  SweepPace pace{"a sweep"};
  EXPECT_THAT(pace.swept(kStart, milliseconds{9}), IsEmpty());  // 0.9 s
  EXPECT_EQ(pace.interval(), milliseconds{900});
  EXPECT_THAT(pace.swept(kStart, milliseconds{100}), HasSubstr("10 s"));
  EXPECT_EQ(pace.interval(), seconds{10});
  EXPECT_THAT(pace.swept(kStart, milliseconds{120}), IsEmpty());
  EXPECT_THAT(pace.swept(kStart, seconds{5}), IsEmpty());
  EXPECT_EQ(pace.interval(), seconds{30}) << "never less often than that";
  EXPECT_THAT(pace.swept(kStart, milliseconds{1}), IsEmpty());
  EXPECT_EQ(pace.interval(), milliseconds{500}) << "and often again once it is cheap";
}

TEST(SweepPace, WhatOthersTakeIsLeftToThem) {
  SweepPace pace{"a walk"};
  (void)pace.swept(kStart, milliseconds{50});
  EXPECT_EQ(pace.interval(), seconds{5});
  EXPECT_EQ(pace.began(), kStart);
  pace.leave(0.005);
  (void)pace.swept(kStart + seconds{5}, milliseconds{50});
  EXPECT_EQ(pace.interval(), seconds{10});
  EXPECT_DOUBLE_EQ(pace.of_one_cpu(), 0.005);
  (void)pace.swept(kStart + seconds{15}, milliseconds{5});
  EXPECT_EQ(pace.interval(), milliseconds{500}) << "where it may run each time, nobody else looks";
  pace.leave(1);
  (void)pace.swept(kStart + seconds{15}, milliseconds{50});
  EXPECT_LE(pace.interval(), seconds{30}) << "it never ends altogether";
}

TEST(CpuCredit, ItComesAtItsRateAndIsKeptUpToItsLimit) {
  CpuCredit credit{0.02, milliseconds{80}};
  credit.earn(kStart);
  EXPECT_EQ(credit.left(), milliseconds{80});
  credit.spend(milliseconds{100});
  credit.earn(kStart + seconds{1});
  EXPECT_EQ(credit.left(), milliseconds{0}) << "a debt is paid first";
  credit.earn(kStart + seconds{2});
  EXPECT_EQ(credit.left(), milliseconds{20});
  credit.earn(kStart + std::chrono::hours{24});
  EXPECT_EQ(credit.left(), milliseconds{80});
  credit.earn(kStart);
  EXPECT_EQ(credit.left(), milliseconds{80}) << "no time goes back";
}

TEST(WalkRation, CheapWalksAreFreeAndOthersWait) {
  WalkRation ration;
  EXPECT_TRUE(ration.allows(kStart));
  ration.walked(kStart, milliseconds{9});
  EXPECT_TRUE(ration.allows(kStart));
  ration.walked(kStart, milliseconds{20});
  EXPECT_FALSE(ration.allows(kStart + milliseconds{1999}));
  EXPECT_TRUE(ration.allows(kStart + seconds{2}));
}

std::vector<std::byte> records_of(const std::vector<std::uint16_t>& sizes) {
  std::vector<std::byte> bytes;
  for (const std::uint16_t size : sizes) {
    tw_header header{};
    header.size = size;
    const std::size_t at = bytes.size();
    bytes.resize(at + std::max<std::size_t>(size, sizeof(header)));
    std::memcpy(bytes.data() + at, &header, sizeof(header));
  }
  return bytes;
}

struct Split {
  std::vector<std::size_t> sizes;
  std::uint64_t records = 0;
  util::Result<std::size_t> used{std::size_t{0}};
};

Split split(std::span<const std::byte> bytes) {
  Split result;
  result.used = split_records(
      bytes, [&result](std::span<const std::byte> record) { result.sizes.push_back(record.size()); }, result.records);
  return result;
}

TEST(SplitRecords, WholeRecordsAreHandedOver) {
  const auto bytes = records_of({16, 40, 264});
  const Split result = split(bytes);
  ASSERT_TRUE(result.used);
  EXPECT_EQ(*result.used, bytes.size());
  EXPECT_EQ(result.records, 3U);
  EXPECT_THAT(result.sizes, ElementsAre(16U, 40U, 264U));
}

TEST(SplitRecords, ACutRecordWaitsForItsRest) {
  const auto bytes = records_of({16, 40});
  for (std::size_t length = 16; length < bytes.size(); ++length) {
    const Split result = split(std::span{bytes}.first(length));
    ASSERT_TRUE(result.used);
    EXPECT_EQ(*result.used, 16U) << length;
  }
}

TEST(SplitRecords, AnImpossibleSizeIsAnErrorAndNoEndlessLoop) { EXPECT_FALSE(split(records_of({16, 0, 16})).used); }

TEST(SplitRecords, NothingIsNothing) {
  const Split result = split({});
  ASSERT_TRUE(result.used);
  EXPECT_EQ(*result.used, 0U);
}

abi::Tuple tuple(const char* local, std::uint16_t local_port, const char* remote, std::uint16_t remote_port) {
  return {{*util::parse_address(local), local_port}, {*util::parse_address(remote), remote_port}, 4026531840U};
}

TEST(WantedKeys, AConnectionIsLookedForAsItIs) {
  const auto keys = wanted_keys(tuple("127.0.0.1", 8080, "127.0.0.1", 40000));
  ASSERT_EQ(keys.size(), 1U);
  EXPECT_EQ(keys[0].tuple.netns, 0U);
  EXPECT_EQ(keys[0].tuple.local_port, 8080);
  EXPECT_EQ(keys[0].tuple.remote_port, 40000);
  EXPECT_EQ(keys[0].tuple.local[12], 127);
}

TEST(WantedKeys, AListenerHasTwoSpellingsOfNoRemote) {
  const auto keys = wanted_keys(tuple("127.0.0.1", 8080, "0.0.0.0", 0));
  ASSERT_EQ(keys.size(), 2U);
  EXPECT_NE(keys[0].tuple.remote[10], keys[1].tuple.remote[10]);
}

TEST(WantedKeys, AWildcardListenerHasTwoSpellingsOfEach) {
  EXPECT_EQ(wanted_keys(tuple("0.0.0.0", 80, "0.0.0.0", 0)).size(), 4U);
  EXPECT_EQ(wanted_keys(tuple("::", 80, "::", 0)).size(), 4U);
  // All that one address has with a service.
  const auto all = wanted_keys(tuple("127.0.0.1", 80, "127.0.0.2", 0));
  for (const auto& key : all) EXPECT_EQ(key.tuple.remote[15], 2);
  EXPECT_EQ(all.size(), 1U);
}

TEST(PendingWants, EachIsAskedForOnce) {
  PendingWants pending;
  EXPECT_FALSE(pending.any_socket());
  pending.add({tuple("127.0.0.1", 1, "127.0.0.1", 2), tuple("127.0.0.1", 1, "127.0.0.1", 2)});
  EXPECT_TRUE(pending.any_socket());
  const auto sockets = pending.take_sockets();
  EXPECT_EQ(sockets.keys.size(), 1U);
  EXPECT_TRUE(sockets.all);
  EXPECT_FALSE(pending.any_socket());
}

TEST(PendingWants, MoreThanAWalkCanLookForIsNotComplete) {
  PendingWants pending;
  std::vector<abi::Tuple> wanted;
  for (std::uint32_t i = 0; i <= Programs::kMostWanted; ++i)
    wanted.push_back(tuple("10.0.0.1", static_cast<std::uint16_t>(i + 1), "10.0.0.2", 80));
  pending.add(wanted);
  const auto sockets = pending.take_sockets();
  EXPECT_EQ(sockets.keys.size(), Programs::kMostWanted);
  EXPECT_FALSE(sockets.all);
  EXPECT_FALSE(pending.any_socket());
}

TEST(ProcessRecord, WhatIsNotKnownAndWhatIsTooLong) {
  host::Process process;
  process.pid = 7;
  process.cgroup = std::string(500, 'c');
  process.wait_channel = "pipe_read";
  const tw_process record = to_record(process);
  EXPECT_EQ(record.pid, 7U);
  EXPECT_EQ(record.open_fds, TW_NEVER);
  EXPECT_EQ(record.fd_limit, TW_NEVER);
  EXPECT_EQ(record.state, '?');
  EXPECT_STREQ(record.wait_channel, "pipe_read");
  EXPECT_EQ(std::strlen(record.cgroup), sizeof(record.cgroup) - 1);
}

TEST(CheckBuffer, OnlyPowersOfTwoOfPages) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  EXPECT_TRUE(check_buffer(8U << 20));
  EXPECT_TRUE(check_buffer(page));
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, page / 2, page * 3, std::size_t{1} << 40}) {
    const auto status = check_buffer(bytes);
    ASSERT_FALSE(status) << bytes;
    EXPECT_THAT(status.error().what, HasSubstr(std::to_string(bytes)));
    EXPECT_THAT(status.error().hint, HasSubstr("power of two"));
  }
}

}  // namespace
}  // namespace tcpwhy::source
