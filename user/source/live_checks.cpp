// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/live_checks.h"

#include <sys/resource.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <string>

#include "user/host/capabilities.h"
#include "user/host/surroundings.h"

namespace tcpwhy::source {

util::Status check_capabilities() {
  const host::Capabilities held = host::Capabilities::effective();
  if (held.may_trace()) return util::Done{};
  return util::Error{"needs CAP_BPF and CAP_PERFMON", EPERM,
                     "run as root, or give it those; `tcpwhy doctor` says what it has, and what more would be seen"};
}

util::Status check_lockdown() {
  if (host::read_surroundings().lockdown != "confidentiality") return util::Done{};
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

util::Status check_host(std::size_t buffer_bytes) {
  if (auto status = check_capabilities(); !status) return status;
  if (auto status = check_lockdown(); !status) return status;
  return check_buffer(buffer_bytes);
}

util::Status check_btf(const kernel::Btf& btf, const std::string& file) {
  if (file.empty()) return util::Done{};
  const auto own = kernel::Btf::open("");
  if (!own || btf.is_same_as(*own)) return util::Done{};
  return util::Error{file + " is not the BTF of the running kernel", EINVAL,
                     "leave --btf out: this kernel has BTF of its own"};
}

util::Status check_kernel(const kernel::Survey& survey) {
  std::string missing;
  for (const kernel::Offer& offer : survey.offers()) {
    if (offer.present || !kernel::is_required(offer.feature)) continue;
    missing += (missing.empty() ? "" : ", ") + kernel::describe(offer.feature) + " (Linux " +
               std::string{offer.feature.since} + " has it)";
  }
  if (missing.empty()) return util::Done{};
  return util::Error{"this kernel lacks " + missing, ENOSYS,
                     "run a newer kernel; `tcpwhy doctor` tells all that it offers"};
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
