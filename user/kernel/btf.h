// SPDX-License-Identifier: GPL-2.0-only
// The running kernel's type information: what it offers is asked here, never of its version number.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "user/util/result.h"

struct btf;

namespace tcpwhy::kernel {

// "1.1": of the libbpf that this process runs with.
std::string libbpf_version();

inline constexpr const char* kKernelBtf = "/sys/kernel/btf/vmlinux";

// Parsed once (some 10 ms), then shared by everything that asks.
class Btf {
 public:
  // file: empty for the running kernel's own.
  static util::Result<Btf> open(const std::string& file);

  // Arguments of a tracepoint (TP_PROTO), absent where the kernel has no such tracepoint.
  [[nodiscard]] std::optional<unsigned> tracepoint_arguments(std::string_view tracepoint) const;
  // Whether a BPF iterator over such targets exists ("task_file").
  [[nodiscard]] bool has_iterator(std::string_view target) const;
  // Whether the kernel has a function of this name (what is inlined everywhere has none).
  [[nodiscard]] bool has_function(std::string_view name) const;
  [[nodiscard]] bool has_struct(const char* name) const;
  [[nodiscard]] bool has_member(const char* structure, std::string_view member) const;
  [[nodiscard]] bool has_enumerator(const char* enumeration, std::string_view name) const;
  // Whether both are the same types, byte for byte.
  [[nodiscard]] bool is_same_as(const Btf& other) const;
  // The names and values of an enum; nothing where the kernel has no such enum.
  void for_each_enumerator(const char* name, const std::function<void(std::string_view, std::int64_t)>& visit) const;

 private:
  struct Free {
    void operator()(struct btf* types) const;
  };
  explicit Btf(struct btf* types) : types_(types) {}

  std::unique_ptr<struct btf, Free> types_;
};

}  // namespace tcpwhy::kernel
