// SPDX-License-Identifier: GPL-2.0-only
#include "user/host/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace tcpwhy::host {
namespace {

struct Sets {
  std::uint64_t effective = 0, permitted = 0, inheritable = 0;
};
using Halves = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

std::uint64_t join(__u32 low, __u32 high) { return std::uint64_t{high} << 32U | low; }

Sets read_sets() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  Halves halves{};
  if (syscall(SYS_capget, &header, halves.data()) != 0) return {};
  return {join(halves[0].effective, halves[1].effective), join(halves[0].permitted, halves[1].permitted),
          join(halves[0].inheritable, halves[1].inheritable)};
}

bool write_sets(const Sets& sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const auto low = [](std::uint64_t bits) { return static_cast<__u32>(bits); };
  const auto high = [](std::uint64_t bits) { return static_cast<__u32>(bits >> 32U); };
  const Halves halves{{{low(sets.effective), low(sets.permitted), low(sets.inheritable)},
                       {high(sets.effective), high(sets.permitted), high(sets.inheritable)}}};
  return syscall(SYS_capset, &header, halves.data()) == 0;
}

}  // namespace

std::string name_of(Capability capability) {
  switch (capability) {
    case Capability::dac_override:
      return "CAP_DAC_OVERRIDE";
    case Capability::dac_read_search:
      return "CAP_DAC_READ_SEARCH";
    case Capability::sys_ptrace:
      return "CAP_SYS_PTRACE";
    case Capability::sys_admin:
      return "CAP_SYS_ADMIN";
    case Capability::sys_resource:
      return "CAP_SYS_RESOURCE";
    case Capability::perfmon:
      return "CAP_PERFMON";
    case Capability::bpf:
      return "CAP_BPF";
  }
  return "";
}

Capabilities Capabilities::effective() {
  Capabilities all;
  all.bits_ = read_sets().effective;
  return all;
}

util::Status keep_only(Capabilities kept) {
  const Sets now = read_sets();
  // Ambient ones fall with the inheritable ones (capabilities(7)).
  if (write_sets({now.effective & kept.bits(), now.permitted & kept.bits(), 0})) return util::Done{};
  return util::Error{"cannot give up capabilities", errno, ""};
}

util::Status forbid_new_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0) return util::Done{};
  return util::Error{"cannot set no_new_privs", errno, ""};
}

Without::Without(Capabilities those) {
  Sets sets = read_sets();
  before_ = sets.effective;
  sets.effective &= ~those.bits();
  write_sets(sets);
}

Without::~Without() {
  Sets sets = read_sets();
  sets.effective = before_;
  write_sets(sets);
}

}  // namespace tcpwhy::host
