// SPDX-License-Identifier: GPL-2.0-only
// What doctor concludes, from the BTF of the running kernel and from surroundings that are made up.
#include "user/doctor/diagnosis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "user/detect/catalogue.h"
#include "user/doctor/report.h"

namespace tcpwhy::doctor {
namespace {

using host::Capability;
using kernel::Left;
using testing::Contains;
using testing::HasSubstr;

host::Surroundings root() {
  host::Surroundings found;
  found.release = "6.18.0";
  found.machine = "x86_64";
  found.capabilities = {Capability::bpf, Capability::perfmon, Capability::sys_ptrace, Capability::dac_read_search};
  found.lockdown = "none";
  return found;
}

const Need* find(const Diagnosis& diagnosis, const std::string& name) {
  const auto at =
      std::find_if(diagnosis.needs.begin(), diagnosis.needs.end(), [&](const Need& n) { return n.name == name; });
  return at == diagnosis.needs.end() ? nullptr : &*at;
}

Left left_of(const Diagnosis& diagnosis, std::string_view finding) {
  for (const FindingProspect& f : diagnosis.findings)
    if (f.finding == finding) return f.left;
  ADD_FAILURE() << finding;
  return Left::nothing;
}

class Doctor : public testing::Test {
 protected:
  void SetUp() override {
    if (::access(kernel::kKernelBtf, R_OK) != 0) GTEST_SKIP() << "no BTF here";
  }
  static Diagnosis of(const host::Surroundings& surroundings, const std::string& file = "") {
    return diagnose(read_types(file), surroundings);
  }
};

TEST_F(Doctor, EveryFindingHasALine) {
  std::vector<std::string_view> told;
  for (const FindingProspect& f : of(root()).findings) told.push_back(f.finding);
  for (const detect::FindingSpec& row : detect::catalogue()) EXPECT_THAT(told, Contains(row.slug));
}

TEST_F(Doctor, TheVerdictFollowsFromTheFindings) {
  const Diagnosis here = of(root());
  const bool full =
      std::all_of(here.findings.begin(), here.findings.end(), [](const auto& f) { return f.left == Left::all; });
  EXPECT_EQ(here.verdict, full ? Verdict::all : Verdict::degraded);
  for (const FindingProspect& f : here.findings) EXPECT_EQ(f.left == Left::all, f.reasons.empty()) << f.finding;
}

TEST_F(Doctor, WithoutRightsItCannotRunAndSaysWhatWouldWork) {
  host::Surroundings nobody = root();
  nobody.capabilities = {};
  const Diagnosis here = of(nobody);
  EXPECT_EQ(here.verdict, Verdict::cannot_run);
  EXPECT_EQ(find(here, "CAP_BPF and CAP_PERFMON")->state, State::missing);
  EXPECT_EQ(left_of(here, "stall-unread"), left_of(of(root()), "stall-unread"));
  EXPECT_THAT(here.advice, Contains(HasSubstr("CAP_BPF")));
}

TEST_F(Doctor, OneOfTheTwoIsNotEnough) {
  for (const Capability one : {Capability::bpf, Capability::perfmon}) {
    host::Surroundings half = root();
    half.capabilities = {one, Capability::sys_ptrace, Capability::dac_read_search};
    EXPECT_EQ(of(half).verdict, Verdict::cannot_run) << host::name_of(one);
  }
  host::Surroundings admin = root();
  admin.capabilities = {Capability::sys_admin, Capability::sys_ptrace, Capability::dac_read_search};
  EXPECT_NE(of(admin).verdict, Verdict::cannot_run);
}

TEST_F(Doctor, WithoutASightOfProcessesCausesOfStallsAreInferred) {
  host::Surroundings bare = root();
  bare.capabilities = {Capability::bpf, Capability::perfmon};
  const Diagnosis here = of(bare);
  EXPECT_EQ(here.verdict, Verdict::degraded);
  EXPECT_GE(left_of(here, "stall-unread"), Left::inferred);
  EXPECT_EQ(left_of(here, "timed-out"), left_of(of(root()), "timed-out"));
  EXPECT_THAT(here.advice, Contains(HasSubstr("CAP_SYS_PTRACE")));
}

TEST_F(Doctor, LockdownOfConfidentialityStopsEverything) {
  host::Surroundings locked = root();
  locked.lockdown = "confidentiality";
  EXPECT_EQ(of(locked).verdict, Verdict::cannot_run);
  locked.lockdown = "integrity";
  EXPECT_EQ(of(locked).verdict, of(root()).verdict);
  locked.lockdown.reset();
  EXPECT_EQ(find(of(locked), "lockdown")->state, State::unseen);
  EXPECT_EQ(of(locked).verdict, of(root()).verdict);
}

TEST_F(Doctor, AUserNamespaceStopsEverythingAProcessNamespaceHidesNames) {
  host::Surroundings inside = root();
  inside.in_first_pid_namespace = false;
  EXPECT_EQ(of(inside).verdict, Verdict::degraded);
  inside.in_first_user_namespace = false;
  EXPECT_EQ(of(inside).verdict, Verdict::cannot_run);
}

TEST_F(Doctor, AFilterOfSystemCallsIsNotGuessedAt) {
  host::Surroundings filtered = root();
  EXPECT_EQ(find(of(filtered), "seccomp"), nullptr);
  filtered.system_calls_filtered = true;
  EXPECT_EQ(find(of(filtered), "seccomp")->state, State::unseen);
  EXPECT_EQ(of(filtered).verdict, of(root()).verdict);
}

TEST_F(Doctor, WhatIsNotNeededIsSaidToBe) {
  const Diagnosis here = of(root());
  for (const char* name : {"tracefs", "kernel.perf_event_paranoid", "kernel.unprivileged_bpf_disabled"})
    EXPECT_EQ(find(here, name)->state, State::irrelevant) << name;
}

TEST_F(Doctor, AFileThatIsNoBtfIsNamed) {
  const Diagnosis here = of(root(), "/proc/self/stat");
  EXPECT_EQ(here.verdict, Verdict::cannot_run);
  EXPECT_THAT(find(here, "BTF (--btf)")->found, HasSubstr("/proc/self/stat"));
  EXPECT_EQ(here.findings.size(), of(root()).findings.size());
  for (const FindingProspect& f : here.findings) EXPECT_EQ(f.left, Left::nothing) << f.finding;
}

TEST_F(Doctor, ACopyOfTheKernelsBtfIsAsGood) {
  const Diagnosis here = of(root(), kernel::kKernelBtf);
  EXPECT_EQ(here.verdict, of(root()).verdict);
  EXPECT_EQ(find(here, "BTF (--btf)")->state, State::ok);
}

TEST_F(Doctor, JsonHasEveryNeedAndFinding) {
  const Diagnosis here = of(root());
  const auto object = nlohmann::json::parse(as_json(here, std::nullopt));
  EXPECT_EQ(object["schema"], "tcpwhy.doctor/1");
  EXPECT_EQ(object["needs"].size(), here.needs.size());
  EXPECT_EQ(object["findings"].size(), here.findings.size());
  EXPECT_TRUE(object["self_test"].is_null());
  for (const auto& need : object["needs"]) EXPECT_TRUE(need["since"].is_null() || need["since"].is_string()) << need;
}

TEST_F(Doctor, AFailedSelfTestIsTheLastWord) {
  const SelfTestResult failed{util::Error{"cannot listen on loopback", 0, "ip link set lo up"}};
  EXPECT_EQ(nlohmann::json::parse(as_json(of(root()), failed))["verdict"], "cannot-run");
  const std::string text = as_text(of(root()), failed, 120);
  EXPECT_THAT(text, HasSubstr("ip link set lo up"));
  EXPECT_THAT(text, HasSubstr("cannot run"));
}

TEST_F(Doctor, TextFitsTheTerminal) {
  host::Surroundings bare = root();
  bare.capabilities = {};
  for (const std::size_t columns : {80U, 120U}) {
    std::istringstream lines{
        as_text(of(bare), SelfTest{443, std::chrono::seconds{1}, std::chrono::milliseconds{2}}, columns)};
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(line.size(), columns) << line;
      EXPECT_NE(line.empty() ? 'x' : line.back(), ' ') << line;
    }
  }
}

}  // namespace
}  // namespace tcpwhy::doctor
