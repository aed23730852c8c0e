// SPDX-License-Identifier: GPL-2.0-only
// Does it work? Loads and attaches as a trace does, makes a reset on loopback in a process of its own, and waits for it.
#pragma once

#include <cstdint>
#include <string>

#include "user/util/result.h"
#include "user/util/time.h"

namespace tcpwhy::doctor {

struct SelfTest {
  std::uint16_t port = 0;     // of the listener that resets
  util::Duration attached{};  // from the start until every hook was live
  util::Duration told{};      // from the reset until its record was here
};

// An Error says at which step it ended, and what to do.
util::Result<SelfTest> run_self_test(const std::string& btf_file);

}  // namespace tcpwhy::doctor
