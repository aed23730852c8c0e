// SPDX-License-Identifier: GPL-2.0-only
// Names and features, as the BTF of the running kernel has them.
#include "user/kernel/btf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <string>

#include "user/kernel/btf_names.h"
#include "user/kernel/features.h"

namespace tcpwhy::kernel {
namespace {

using testing::HasSubstr;

class RunningKernel : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (::access(kKernelBtf, R_OK) != 0) return;
    auto opened = Btf::open("");
    ASSERT_TRUE(opened) << opened.error().what;
    btf_ = new Btf{std::move(*opened)};
  }
  static void TearDownTestSuite() {
    delete btf_;
    btf_ = nullptr;
  }
  void SetUp() override {
    if (!btf_) GTEST_SKIP() << kKernelBtf << " cannot be read here";
  }
  static const Btf* btf_;
};
const Btf* RunningKernel::btf_ = nullptr;

TEST(BtfFile, AFileThatIsNotThereIsNamed) {
  const auto btf = Btf::open("/nonexistent/vmlinux");
  ASSERT_FALSE(btf);
  EXPECT_THAT(btf.error().what, HasSubstr("/nonexistent/vmlinux"));
  EXPECT_THAT(btf.error().hint, HasSubstr("--btf"));
}

TEST(BtfFile, AFileThatIsNotBtfIsNamed) {
  const auto btf = Btf::open("/proc/self/stat");
  ASSERT_FALSE(btf);
  EXPECT_THAT(btf.error().what, HasSubstr("/proc/self/stat"));
}

TEST_F(RunningKernel, TracepointsCountTheirArguments) {
  EXPECT_EQ(btf_->tracepoint_arguments("inet_sock_set_state"), 3U);
  EXPECT_EQ(btf_->tracepoint_arguments("tcp_receive_reset"), 1U);
  EXPECT_GE(btf_->tracepoint_arguments("kfree_skb"), 2U);
  EXPECT_FALSE(btf_->tracepoint_arguments("no_such_tracepoint").has_value());
}

TEST_F(RunningKernel, IteratorsAreFound) {
  EXPECT_TRUE(btf_->has_iterator("task_file"));
  EXPECT_FALSE(btf_->has_iterator("no_such_target"));
}

TEST_F(RunningKernel, DropReasonsHaveBareNames) {
  const ReasonNames names = drop_reasons(*btf_);
  if (names.empty()) GTEST_SKIP() << "this kernel has no enum skb_drop_reason (5.17 brought it)";
  for (const auto& [number, name] : names) {
    EXPECT_FALSE(name.starts_with("SKB_DROP_REASON_")) << name;  // SKB_CSUM is one
    EXPECT_NE(name, "MAX");
    EXPECT_NE(name, "SUBSYS_MASK");
  }
  const std::uint32_t netfilter = reason_number(names, "NETFILTER_DROP");
  ASSERT_NE(netfilter, 0U);
  EXPECT_EQ(names.at(netfilter), "NETFILTER_DROP");
  EXPECT_NE(reason_number(names, "NO_SOCKET"), 0U);
  EXPECT_NE(reason_number(names, "NO_SOCKET"), reason_number(names, "NOT_SPECIFIED"));
}

TEST_F(RunningKernel, ResetReasonsHaveBareNames) {
  const ReasonNames names = reset_reasons(*btf_);
  if (names.empty()) GTEST_SKIP() << "this kernel has no enum sk_rst_reason (6.10 brought it)";
  EXPECT_EQ(names.at(0), "NOT_SPECIFIED");
  EXPECT_NE(reason_number(names, "NO_SOCKET"), 0U);
  for (const auto& [number, name] : names) EXPECT_FALSE(name.starts_with("SK_RST")) << name;
}

TEST(ReasonNumber, AnAbsentReasonIsZero) {
  EXPECT_EQ(reason_number({}, "NETFILTER_DROP"), 0U);
  EXPECT_EQ(reason_number({{8, "NETFILTER_DROP"}}, "NETFILTER_DROP"), 8U);
  EXPECT_EQ(reason_number({{8, "NETFILTER_DROP"}}, "NETFILTER"), 0U);
}

TEST(Features, EveryRowSaysWhatIsLost) {
  std::set<std::string_view> programs;
  for (const Feature& feature : features()) {
    EXPECT_FALSE(feature.hook.empty());
    // A row that other rows speak for has nothing to say itself.
    EXPECT_TRUE(!feature.lost.empty() || feature.losses.empty()) << feature.hook;
    EXPECT_FALSE(feature.since.empty()) << feature.hook;
    const bool unique = feature.program.empty() || programs.insert(feature.program).second;
    EXPECT_TRUE(unique) << feature.program << " twice";
    EXPECT_THAT(describe(feature), HasSubstr(std::string{feature.hook}));
  }
  EXPECT_TRUE(programs.contains("tw_inet_sock_set_state"));
  EXPECT_TRUE(programs.contains("tw_sweep"));
}

TEST_F(RunningKernel, TheSurveyAgreesWithBtf) {
  const Survey survey{*btf_};
  EXPECT_EQ(survey.offers().size(), features().size());
  EXPECT_TRUE(survey.has_program("tw_inet_sock_set_state"));
  EXPECT_FALSE(survey.has_program("tw_no_such_program"));
  EXPECT_EQ(survey.has_argument("tcp_send_reset", 3), *btf_->tracepoint_arguments("tcp_send_reset") >= 3);
  EXPECT_EQ(survey.has_argument("tcp_retransmit_skb", 3), *btf_->tracepoint_arguments("tcp_retransmit_skb") >= 3);
  EXPECT_EQ(survey.has_argument("kfree_skb", 4), *btf_->tracepoint_arguments("kfree_skb") >= 4);
}

TEST_F(RunningKernel, FunctionsStructsAndEnumeratorsAreFound) {
  EXPECT_TRUE(btf_->has_function("tcp_v4_connect"));
  EXPECT_FALSE(btf_->has_function("no_such_function"));
  EXPECT_TRUE(btf_->has_struct("tcp_sock"));
  EXPECT_FALSE(btf_->has_struct("no_such_struct"));
  EXPECT_TRUE(btf_->has_member("tcp_sock", "copied_seq"));
  EXPECT_FALSE(btf_->has_member("tcp_sock", "no_such_member"));
  EXPECT_FALSE(btf_->has_member("no_such_struct", "copied_seq"));
  EXPECT_TRUE(btf_->has_enumerator("bpf_map_type", "BPF_MAP_TYPE_ARRAY"));
  EXPECT_FALSE(btf_->has_enumerator("bpf_map_type", "BPF_MAP_TYPE_NONE_SUCH"));
  EXPECT_FALSE(btf_->has_enumerator("no_such_enum", "BPF_MAP_TYPE_ARRAY"));
  EXPECT_TRUE(btf_->is_same_as(*btf_));
}

// An empty set of types: a kernel that has nothing of all this.
class NoKernel : public testing::Test {
 protected:
  void SetUp() override {
    std::FILE* file = std::fopen(path_.c_str(), "wb");
    ASSERT_NE(file, nullptr);
    // struct btf_header, and one type, an int: libbpf takes no empty BTF.
    const unsigned char bytes[] = {0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 16, 0,  0, 0, 16, 0, 0,   0,   5,   0, 0,
                                   0,    1,    0, 0, 0,  0, 0, 0, 1, 4, 0, 0, 0,  32, 0, 0, 0,  0, 'i', 'n', 't', 0};
    std::fwrite(bytes, 1, sizeof(bytes), file);
    std::fclose(file);
  }
  void TearDown() override { std::remove(path_.c_str()); }
  const std::string path_ = testing::TempDir() + "tcpwhy_btf_test_" + std::to_string(::getpid());
};

TEST_F(NoKernel, NothingIsLeftOfAnyFinding) {
  const auto btf = Btf::open(path_);
  ASSERT_TRUE(btf) << btf.error().what;
  const Survey survey{*btf};
  for (const Offer& offer : survey.offers()) EXPECT_FALSE(offer.present) << describe(offer.feature);
  EXPECT_TRUE(std::any_of(survey.offers().begin(), survey.offers().end(),
                          [](const Offer& offer) { return is_required(offer.feature); }));
  const Prospect prospect = prospect_of("reset", survey);
  EXPECT_EQ(prospect.left, Left::nothing);
  for (const Prospect::Blame& blame : prospect.blames)
    EXPECT_FALSE(blame.feature.program.empty() && blame.feature.kind == HookKind::tracepoint)
        << "the hook itself is missing: " << describe(blame.feature);
}

TEST_F(RunningKernel, WhatIsThereTakesNothingAway) {
  const Survey survey{*btf_};
  const bool all = survey.missing().empty();
  if (all) {
    EXPECT_EQ(prospect_of("reset", survey).left, Left::all);
  }
  EXPECT_EQ(prospect_of("no-such-finding", survey).left == Left::nothing,
            !survey.has_program("tw_inet_sock_set_state"));
}

TEST_F(RunningKernel, EveryMissingFeatureHasALine) {
  const Survey survey{*btf_};
  std::size_t absent = 0;
  for (const Offer& offer : survey.offers())
    absent += offer.present || offer.broken || offer.feature.where.structure ? 0 : 1;
  EXPECT_EQ(survey.missing().size(), absent);
  for (const std::string& line : survey.missing()) EXPECT_EQ(line.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace tcpwhy::kernel
