// SPDX-License-Identifier: GPL-2.0-only
#include "user/host/surroundings.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>

namespace tcpwhy::host {
namespace {

// include/linux/proc_ns.h: the inodes of the namespaces that the kernel began with.
constexpr ino_t kFirstUserNamespace = 0xEFFFFFFDU;
constexpr ino_t kFirstPidNamespace = 0xEFFFFFFCU;

bool is_namespace(const char* path, ino_t number) {
  struct stat status {};
  return ::stat(path, &status) != 0 || status.st_ino == number;
}

std::optional<std::string> first_line(const char* path) {
  std::string line;
  std::ifstream file{path};
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

bool is_mounted(const std::string& type) {
  std::ifstream mounts{"/proc/self/mounts"};
  for (std::string device, folder, kind, rest; mounts >> device >> folder >> kind && std::getline(mounts, rest);)
    if (kind == type) return true;
  return false;
}

bool has_line(const char* path, const std::string& wanted) {
  std::ifstream file{path};
  for (std::string line; std::getline(file, line);)
    if (line == wanted) return true;
  return false;
}

std::optional<std::uint64_t> memlock_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return limit.rlim_cur;
}

}  // namespace

std::string chosen_of(const std::string& modes) {
  const std::size_t open = modes.find('[');
  const std::size_t close = modes.find(']');
  if (open == std::string::npos || close == std::string::npos || close < open) return {};
  return modes.substr(open + 1, close - open - 1);
}

Surroundings read_surroundings() {
  Surroundings found;
  utsname names{};
  if (::uname(&names) == 0) {
    found.release = names.release;
    found.machine = names.machine;
  }
  found.capabilities = Capabilities::effective();
  found.in_first_user_namespace = is_namespace("/proc/self/ns/user", kFirstUserNamespace);
  found.in_first_pid_namespace = is_namespace("/proc/self/ns/pid", kFirstPidNamespace);
  if (const auto modes = first_line("/sys/kernel/security/lockdown")) found.lockdown = chosen_of(*modes);
  found.memlock = memlock_limit();
  found.tracefs = is_mounted("tracefs");
  found.perf_event_paranoid = first_line("/proc/sys/kernel/perf_event_paranoid");
  found.unprivileged_bpf_disabled = first_line("/proc/sys/kernel/unprivileged_bpf_disabled");
  found.system_calls_filtered = has_line("/proc/self/status", "Seccomp:\t2");
  found.processes_hidden = ::access("/proc/1/stat", R_OK) != 0;
  return found;
}

}  // namespace tcpwhy::host
