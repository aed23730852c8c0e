// SPDX-License-Identifier: GPL-2.0-only
// Whether tcpwhy can run here, which findings it can tell, and what to do about the rest: a pure function of what the
// kernel offers and of the surroundings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "user/host/surroundings.h"
#include "user/kernel/btf.h"
#include "user/kernel/features.h"

namespace tcpwhy::doctor {

enum class State : std::uint8_t {
  ok,
  missing,
  unseen,      // whoever asks may not see it, or this kernel does not show it
  irrelevant,  // often thought to be needed
};
std::string_view to_string(State state);
std::string_view to_string(kernel::Left left);  // "yes", "inferred", "partly", "no"

struct Need {
  std::string_view group;  // "kernel", "rights", "not needed"
  std::string name;
  State state = State::ok;
  bool required = false;   // without it nothing works
  std::string found;       // what there is, or what is lost without it
  std::string since = {};  // the kernel release that has it; empty where that is not the question
};

struct FindingProspect {
  std::string_view finding;
  kernel::Left left = kernel::Left::all;
  std::vector<std::string> reasons;
  std::vector<std::string> without;  // names of the needs that are missing
};

enum class Verdict : std::uint8_t { all = 0, degraded = 1, cannot_run = 3 };  // the exit codes
std::string_view to_string(Verdict verdict);                                  // "all", "degraded", "cannot-run"

struct Diagnosis {
  host::Surroundings surroundings;
  std::vector<Need> needs;
  std::vector<FindingProspect> findings;
  std::vector<std::string> advice;
  Verdict verdict = Verdict::all;
};

// What was learnt of the kernel's types.
struct KernelTypes {
  std::string file;                        // --btf; empty: the kernel's own
  util::Result<kernel::Btf> btf;           // from there
  std::optional<bool> is_the_kernels_own;  // of a file, where the kernel's own can be read
};
KernelTypes read_types(const std::string& file);

Diagnosis diagnose(const KernelTypes& types, const host::Surroundings& surroundings);

}  // namespace tcpwhy::doctor
