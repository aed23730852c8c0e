// SPDX-License-Identifier: GPL-2.0-only
// What of a host, besides its kernel, decides whether tcpwhy can run: read once, by anybody, as far as that one may.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "user/host/capabilities.h"

namespace tcpwhy::host {

struct Surroundings {
  std::string release;  // 6.18.44
  std::string machine;  // x86_64
  Capabilities capabilities;
  bool in_first_user_namespace = true;   // in another, capabilities do not count for BPF
  bool in_first_pid_namespace = true;    // in another, processes outside cannot be named
  std::optional<std::string> lockdown;   // none, integrity, confidentiality; absent: not to be seen
  std::optional<std::uint64_t> memlock;  // bytes; absent: unlimited
  bool tracefs = false;                  // is mounted
  std::optional<std::string> perf_event_paranoid;
  std::optional<std::string> unprivileged_bpf_disabled;
  bool system_calls_filtered = false;  // by seccomp
  bool processes_hidden = false;       // /proc shows only one's own (hidepid)
};

Surroundings read_surroundings();

// "[none] integrity confidentiality": the one in brackets.
std::string chosen_of(const std::string& modes);

}  // namespace tcpwhy::host
