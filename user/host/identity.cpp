// SPDX-License-Identifier: GPL-2.0-only
#include "user/host/identity.h"

#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <fstream>
#include <limits>

namespace tcpwhy::host {
namespace {

std::int64_t read_clock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

std::string boot_id() {
  std::string id;
  std::getline(std::ifstream{"/proc/sys/kernel/random/boot_id"} >> std::ws, id);
  return id;
}

}  // namespace

// Two clocks cannot be read at once: of several tries, the one whose bracket is the narrowest.
util::WallOffset read_wall_offset() {
  util::WallOffset best;
  std::int64_t narrowest = std::numeric_limits<std::int64_t>::max();
  for (int i = 0; i < 8; ++i) {
    const std::int64_t before = read_clock(CLOCK_BOOTTIME);
    const std::int64_t wall = read_clock(CLOCK_REALTIME);
    const std::int64_t after = read_clock(CLOCK_BOOTTIME);
    if (after - before >= narrowest) continue;
    narrowest = after - before;
    best.nanoseconds = wall - (before + narrowest / 2);
  }
  return best;
}

namespace {

std::uint32_t own_netns() {
  struct stat status {};
  return ::stat("/proc/self/ns/net", &status) == 0 ? static_cast<std::uint32_t>(status.st_ino) : 0;
}

}  // namespace

util::BootTime boot_now() { return util::boot_time(static_cast<std::uint64_t>(read_clock(CLOCK_BOOTTIME))); }

core::RunIdentity read_identity() { return {host_name(), boot_id(), read_wall_offset(), own_netns()}; }

std::string read_kernel_release() {
  utsname names{};
  return ::uname(&names) == 0 ? names.release : "";
}

}  // namespace tcpwhy::host
