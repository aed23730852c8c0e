// SPDX-License-Identifier: GPL-2.0-only
// Capabilities of the calling thread, by capget(2) and capset(2) themselves: three system calls need no library, and the
// binary stays one file.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "user/util/result.h"

namespace tcpwhy::host {

// linux/capability.h; headers before 5.8 lack the last two.
enum class Capability : std::uint8_t {
  dac_override = 1,
  dac_read_search = 2,
  sys_ptrace = 19,
  sys_admin = 21,
  sys_resource = 24,
  perfmon = 38,
  bpf = 39,
};
std::string name_of(Capability capability);  // "CAP_BPF"

class Capabilities {
 public:
  constexpr Capabilities() = default;
  constexpr Capabilities(std::initializer_list<Capability> all) {
    for (const Capability one : all) bits_ |= bit(one);
  }
  static Capabilities effective();

  [[nodiscard]] constexpr bool has(Capability one) const { return (bits_ & bit(one)) != 0; }
  constexpr void add(Capability one) { bits_ |= bit(one); }
  [[nodiscard]] constexpr std::uint64_t bits() const { return bits_; }
  // BPF programs that trace may be loaded.
  [[nodiscard]] constexpr bool may_trace() const {
    return has(Capability::sys_admin) || (has(Capability::bpf) && has(Capability::perfmon));
  }

 private:
  static constexpr std::uint64_t bit(Capability one) { return std::uint64_t{1} << static_cast<unsigned>(one); }
  std::uint64_t bits_ = 0;
};

// This thread keeps of what it holds only these, for good: permitted, effective, inheritable and ambient. Threads that
// it makes later have no more.
util::Status keep_only(Capabilities kept);
// This thread, its later threads and whatever they execute never gain privileges.
util::Status forbid_new_privileges();

// For as long as it lives, the calling thread does without these.
class Without {
 public:
  explicit Without(Capabilities those);
  Without(const Without&) = delete;
  Without& operator=(const Without&) = delete;
  ~Without();

 private:
  std::uint64_t before_;
};

}  // namespace tcpwhy::host
