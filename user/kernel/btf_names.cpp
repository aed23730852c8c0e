// SPDX-License-Identifier: GPL-2.0-only
#include "user/kernel/btf_names.h"

#include <initializer_list>

namespace tcpwhy::kernel {
namespace {

std::string_view without_prefix(std::string_view name, std::initializer_list<std::string_view> prefixes) {
  for (const std::string_view prefix : prefixes)
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  return name;
}

// Bounds and masks stand among the enumerators and are no reasons.
bool is_reason(std::string_view name) { return !name.empty() && name != "MAX" && name != "SUBSYS_MASK"; }

ReasonNames names_of(const Btf& btf, const char* enumeration, std::initializer_list<std::string_view> prefixes) {
  ReasonNames names;
  btf.for_each_enumerator(enumeration, [&](std::string_view name, std::int64_t value) {
    const std::string_view bare = without_prefix(name, prefixes);
    if (is_reason(bare)) names.emplace(static_cast<std::uint32_t>(value), bare);
  });
  return names;
}

}  // namespace

ReasonNames drop_reasons(const Btf& btf) { return names_of(btf, "skb_drop_reason", {"SKB_DROP_REASON_", "SKB_"}); }

ReasonNames reset_reasons(const Btf& btf) { return names_of(btf, "sk_rst_reason", {"SK_RST_REASON_", "SK_RST_"}); }

std::uint32_t reason_number(const ReasonNames& names, std::string_view name) {
  for (const auto& [number, known] : names)
    if (known == name) return number;
  return 0;
}

}  // namespace tcpwhy::kernel
