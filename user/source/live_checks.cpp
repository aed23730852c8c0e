// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/live_checks.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <fstream>
#include <limits>
#include <string>

namespace tcpwhy::source {
namespace {

// 5.8 split these off CAP_SYS_ADMIN; older headers lack them.
constexpr unsigned kCapSysAdmin = 21, kCapPerfmon = 38, kCapBpf = 39;

class EffectiveCapabilities {
 public:
  EffectiveCapabilities() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    syscall(SYS_capget, &header, sets_.data());
  }
  [[nodiscard]] bool has(unsigned capability) const {
    return (sets_[capability / 32].effective >> (capability % 32) & 1U) != 0;
  }

 private:
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets_{};
};

}  // namespace

util::Status check_capabilities() {
  const EffectiveCapabilities capabilities;
  if (capabilities.has(kCapSysAdmin) || (capabilities.has(kCapBpf) && capabilities.has(kCapPerfmon)))
    return util::Done{};
  return util::Error{"needs CAP_BPF and CAP_PERFMON", EPERM, "run as root"};
}

util::Status check_lockdown() {
  std::string modes;
  std::getline(std::ifstream{"/sys/kernel/security/lockdown"} >> std::ws, modes);
  if (modes.find("[confidentiality]") == std::string::npos) return util::Done{};
  return util::Error{"kernel lockdown is in confidentiality mode, in which no program may read kernel memory", EPERM,
                     "boot with lockdown=integrity or without lockdown"};
}

util::Status check_buffer(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  if (std::has_single_bit(bytes) && bytes >= page && bytes <= std::size_t{1} << 30) return util::Done{};
  return util::Error{
      "a ring buffer of " + std::to_string(bytes) + " bytes is not possible", EINVAL,
      "its size must be a power of two from " + std::to_string(page) + " bytes (one page) to 1 GiB: 8388608 is usual"};
}

void raise_memlock_limit() {
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0) return;
  rlimit now{};
  if (getrlimit(RLIMIT_MEMLOCK, &now) != 0) return;
  now.rlim_cur = now.rlim_max;
  setrlimit(RLIMIT_MEMLOCK, &now);
}

}  // namespace tcpwhy::source
