// SPDX-License-Identifier: GPL-2.0-only
// What each BPF program needs of the kernel, what the user loses without it, and which findings suffer: one table, from
// which the loader's autoload, the note at start and `doctor` come.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "user/kernel/btf.h"

namespace tcpwhy::kernel {

enum class HookKind : std::uint8_t { tracepoint, iterator, helper, map_type };

// What is left of a finding; the worse, the higher.
enum class Left : std::uint8_t {
  all,
  inferred,  // told each time; its cause or evidence follows from something else, or is unknown
  partly,    // some cases are not seen
  nothing,
};

// A finding that does without a row.
struct Loss {
  std::string_view finding;  // its slug; "*" is every finding that the row does not name
  Left left;
  std::string_view why;  // what is told, or what is not; empty where `nothing` says it all
};

struct Feature {
  std::string_view program;  // in the skeleton; empty: not a program but something that programs use
  HookKind kind;
  std::string_view hook;   // tracepoint, iterator target, helper or map type
  unsigned arguments;      // how many of TP_PROTO it takes
  std::string_view since;  // kernel release, for people only
  std::string_view lost;   // what is not told without it; empty where another row says it
  std::span<const Loss> losses = {};
  std::string_view function = {};  // of a helper: what BTF calls the one that tracing programs may call
  // Where a struct of the kernel has this member, the kernel's own code is at fault, and the row is not used.
  struct Fault {
    const char* structure = nullptr;
    std::string_view member;
    std::string_view what;  // can happen
  } fault = {};
  // Only on kernels whose struct has this member is there any use for it.
  struct Where {
    const char* structure = nullptr;
    std::string_view member;
  } where = {};
};

// Rows in the order in which the kernel's offer is shown.
std::span<const Feature> features();
// "kfree_skb", or "kfree_skb:4" for one argument of it: whether some row is about it.
bool is_hook(const std::string& name);

struct Offer {
  Feature feature;
  bool present;
  bool broken = false;  // there, and not to be used
};

// What the running kernel offers.
class Survey {
 public:
  // without: hooks to be taken as missing, "kfree_skb", or "kfree_skb:4" for one argument of it.
  explicit Survey(const Btf& btf, const std::vector<std::string>& without = {});
  // A kernel that has these rows, whatever they need.
  explicit Survey(const std::function<bool(const Feature&)>& has);

  [[nodiscard]] const std::vector<Offer>& offers() const { return offers_; }
  [[nodiscard]] bool has_program(std::string_view program) const;
  [[nodiscard]] bool has_argument(std::string_view hook, unsigned number) const;  // of a row without a program
  // Whether tracing programs may ask for cookies, socket storages, the current task and the socket of a file (all in 5.12).
  [[nodiscard]] bool has_cookies() const;
  // A line each for what is not there.
  [[nodiscard]] std::vector<std::string> missing() const;

 private:
  std::vector<Offer> offers_;
};

// What is left of a finding on this kernel, and the missing rows that are to blame, in the table's order.
struct Prospect {
  Left left = Left::all;
  struct Blame {
    Feature feature;
    Loss loss;
  };
  std::vector<Blame> blames;
};
Prospect prospect_of(std::string_view finding, const Survey& survey);

// Without it nothing at all is left.
bool is_required(const Feature& feature);

// "tracepoint tcp_send_reset", "argument 3 of tracepoint tcp_send_reset": one row in words.
std::string describe(const Feature& feature);

}  // namespace tcpwhy::kernel
