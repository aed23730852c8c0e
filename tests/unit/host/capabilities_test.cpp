// SPDX-License-Identifier: GPL-2.0-only
#include "user/host/capabilities.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <thread>

#include "user/host/surroundings.h"

namespace tcpwhy::host {
namespace {

// A line of the calling thread's status.
std::string status_of(const std::string& key) {
  std::ifstream file{"/proc/thread-self/status"};
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key + ":\t")) return line.substr(key.size() + 2);
  return {};
}

// What a thread gives up, it alone gives up: each test has its own.
template <typename Body>
void in_a_thread(Body body) {
  std::thread{body}.join();
}

TEST(Capabilities, AreThoseOfTheStatusFile) {
  EXPECT_EQ(Capabilities::effective().bits(), std::stoull(status_of("CapEff"), nullptr, 16));
}

TEST(Capabilities, TwoOrTheOldOneMayTrace) {
  EXPECT_TRUE((Capabilities{Capability::bpf, Capability::perfmon}.may_trace()));
  EXPECT_TRUE(Capabilities{Capability::sys_admin}.may_trace());
  EXPECT_FALSE(Capabilities{Capability::bpf}.may_trace());
  EXPECT_FALSE(Capabilities{Capability::perfmon}.may_trace());
}

TEST(KeepOnly, LeavesNoOther) {
  const Capabilities before = Capabilities::effective();
  in_a_thread([&] {
    ASSERT_TRUE(keep_only({Capability::sys_ptrace}));
    const Capabilities expected =
        before.has(Capability::sys_ptrace) ? Capabilities{Capability::sys_ptrace} : Capabilities{};
    EXPECT_EQ(Capabilities::effective().bits(), expected.bits());
    for (const char* set : {"CapPrm", "CapEff"}) EXPECT_EQ(std::stoull(status_of(set), nullptr, 16), expected.bits());
    for (const char* set : {"CapInh", "CapAmb"}) EXPECT_EQ(std::stoull(status_of(set), nullptr, 16), 0U);
    ASSERT_TRUE(keep_only({Capability::sys_ptrace, Capability::bpf}));
    EXPECT_FALSE(Capabilities::effective().has(Capability::bpf)) << "what was given up does not come back";
  });
  EXPECT_EQ(Capabilities::effective().bits(), before.bits());
}

TEST(Without, IsUndone) {
  const Capabilities before = Capabilities::effective();
  {
    const Without without{{Capability::sys_ptrace}};
    EXPECT_FALSE(Capabilities::effective().has(Capability::sys_ptrace));
  }
  EXPECT_EQ(Capabilities::effective().bits(), before.bits());
}

TEST(NoNewPrivileges, IsInTheStatus) {
  in_a_thread([] {
    ASSERT_TRUE(forbid_new_privileges());
    EXPECT_EQ(status_of("NoNewPrivs"), "1");
  });
}

TEST(Lockdown, TheModeInBracketsIsChosen) {
  EXPECT_EQ(chosen_of("none [integrity] confidentiality"), "integrity");
  EXPECT_EQ(chosen_of("[none] integrity confidentiality"), "none");
  EXPECT_EQ(chosen_of(""), "");
  EXPECT_EQ(chosen_of("]["), "");
}

}  // namespace
}  // namespace tcpwhy::host
