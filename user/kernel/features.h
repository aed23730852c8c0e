// SPDX-License-Identifier: GPL-2.0-only
// What each BPF program needs of the kernel, and what the user loses without it: one table, from which the loader's
// autoload, the note at start and `doctor` come.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "user/kernel/btf.h"

namespace tcpwhy::kernel {

enum class HookKind : std::uint8_t { tracepoint, iterator };

struct Feature {
  std::string_view program;  // in the skeleton; empty: an argument that a program can do without
  HookKind kind;
  std::string_view hook;   // tracepoint or iterator target
  unsigned arguments;      // how many of TP_PROTO it takes
  std::string_view since;  // kernel release, for people only
  std::string_view lost;   // what is not told without it
};

// Rows in the order in which the kernel's offer is shown.
std::span<const Feature> features();

struct Offer {
  Feature feature;
  bool present;
};

// What the running kernel offers.
class Survey {
 public:
  explicit Survey(const Btf& btf);

  [[nodiscard]] const std::vector<Offer>& offers() const { return offers_; }
  [[nodiscard]] bool has_program(std::string_view program) const;
  [[nodiscard]] bool has_argument(std::string_view hook, unsigned number) const;  // of a row without a program
  // A line each for what is not there.
  [[nodiscard]] std::vector<std::string> missing() const;

 private:
  std::vector<Offer> offers_;
};

// "tracepoint tcp_send_reset", "its argument 3 (tcp_send_reset)": one offer in words.
std::string describe(const Feature& feature);

}  // namespace tcpwhy::kernel
