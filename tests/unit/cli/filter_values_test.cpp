// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/filter_values.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace tcpwhy::cli {
namespace {

namespace fs = std::filesystem;

// A folder of its own, gone with the test.
class HostFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "tcpwhy-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    fs::create_directories(root_ / "cgroup/system.slice");
    fs::create_directories(root_ / "netns");
    paths_ = {.cgroup = root_ / "cgroup", .netns = root_ / "netns", .proc = "/proc"};
  }
  void TearDown() override { fs::remove_all(root_); }

  fs::path root_;
  HostPaths paths_;
};

TEST(ParseSize, TakesUnits) {
  EXPECT_EQ(*parse_size("4096"), 4096U);
  EXPECT_EQ(*parse_size("512k"), 512U << 10);
  EXPECT_EQ(*parse_size("8M"), 8U << 20);
  EXPECT_EQ(*parse_size("8MiB"), 8U << 20);
  EXPECT_EQ(*parse_size("1G"), 1U << 30);
  for (const char* text : {"", "0", "M", "8X", "-8M", "8 M", "1.5M", "99999999999999999999", "18446744073709551615G"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(ParseServiceAddress, APortAloneIsOnLoopback) {
  for (const char* text : {"9435", ":9435", "localhost:9435", "127.0.0.1:9435"})
    EXPECT_EQ(util::to_string(*parse_service_address(text)), "127.0.0.1:9435") << text;
  EXPECT_EQ(util::to_string(*parse_service_address("[::1]:9435")), "[::1]:9435");
  EXPECT_EQ(util::to_string(*parse_service_address("0.0.0.0:80")), "0.0.0.0:80");
  EXPECT_EQ(parse_service_address("0")->port, 0) << "any free one";
}

TEST(ParseServiceAddress, RefusesTheRest) {
  for (const char* text : {"", ":", "metrics", "example.org:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:80",
                           "[::1]", "[127.0.0.1]:80", "[::1]:80x", "-1"})
    EXPECT_FALSE(parse_service_address(text)) << text;
}

TEST_F(HostFiles, AFolderElsewhereIsNoCgroup) {
  const auto id = resolve_cgroup("system.slice", paths_);
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().what, "'system.slice' is not a folder of cgroup v2");
  EXPECT_FALSE(resolve_cgroup("none", paths_));
}

TEST_F(HostFiles, AFileElsewhereIsNoNamespace) {
  fs::create_directory(root_ / "netns/blue");
  const util::Result<std::uint32_t> inode = resolve_netns("blue", paths_);
  ASSERT_FALSE(inode);
  EXPECT_NE(inode.error().what.find("is not a network namespace"), std::string::npos);
}

TEST(ResolveNetns, OfAProcessIsItsInode) {
  struct stat own {};
  ASSERT_EQ(stat("/proc/self/ns/net", &own), 0);
  const util::Result<std::uint32_t> inode = resolve_netns(fmt::format("pid:{}", getpid()));
  ASSERT_TRUE(inode);
  EXPECT_EQ(*inode, own.st_ino);
  EXPECT_EQ(*resolve_netns(std::to_string(own.st_ino)), own.st_ino);
}

TEST(ResolveNetns, OfAProcessThatIsGoneSaysSo) {
  const util::Result<std::uint32_t> inode = resolve_netns("pid:2147483647");
  ASSERT_FALSE(inode);
  EXPECT_EQ(inode.error().hint, "is the process still running?");
}

}  // namespace
}  // namespace tcpwhy::cli
