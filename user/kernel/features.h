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

enum class HookKind : std::uint8_t { tracepoint, iterator, function };

// Where it is, tracing programs may ask for cookies, socket storages, the current task and the socket of a file
// (kernel/trace/bpf_trace.c; the last of them came with commit c5dbb89fc2ac).
inline constexpr std::string_view kCookiesInTracing = "bpf_get_socket_ptr_cookie";

struct Feature {
  std::string_view program;  // in the skeleton; empty: what programs can do without
  HookKind kind;
  std::string_view hook;   // tracepoint, iterator target or function of the kernel
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
  // without: hooks to be taken as missing, "kfree_skb", or "kfree_skb:4" for one argument of it.
  explicit Survey(const Btf& btf, const std::vector<std::string>& without = {});

  [[nodiscard]] const std::vector<Offer>& offers() const { return offers_; }
  [[nodiscard]] bool has_program(std::string_view program) const;
  [[nodiscard]] bool has_function(std::string_view function) const;
  [[nodiscard]] bool has_argument(std::string_view hook, unsigned number) const;  // of a row without a program
  // A line each for what is not there.
  [[nodiscard]] std::vector<std::string> missing() const;

 private:
  std::vector<Offer> offers_;
};

// "tracepoint tcp_send_reset", "its argument 3 (tcp_send_reset)": one offer in words.
std::string describe(const Feature& feature);

}  // namespace tcpwhy::kernel
