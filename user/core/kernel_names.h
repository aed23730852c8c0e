// SPDX-License-Identifier: GPL-2.0-only
// The running kernel's names for numbers that every release renumbers, read from its BTF; part of a recording.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace tcpwhy::core {

struct KernelNames {
  std::map<std::uint32_t, std::string> drop_reasons;   // without SKB_DROP_REASON_: "NETFILTER_DROP"
  std::map<std::uint32_t, std::string> reset_reasons;  // without SK_RST_REASON_: "TCP_ABORT_ON_CLOSE"

  bool one_hides_firewall = false;  // of several kernels' names: not each of them tells what its firewall drops

  // Whether this kernel tells what its own firewall drops (since 5.17): else one can never be ruled out.
  [[nodiscard]] bool tells_firewall_drops() const { return !one_hides_firewall && drops_for("NETFILTER_DROP"); }
  // ... and an RST that it sends where there is no socket: with reasons (6.10), or by the segment that it drops (5.17).
  [[nodiscard]] bool tells_resets_without_socket() const { return !reset_reasons.empty() || drops_for("NO_SOCKET"); }
  [[nodiscard]] bool drops_for(std::string_view name) const {
    return std::any_of(drop_reasons.begin(), drop_reasons.end(),
                       [name](const auto& reason) { return reason.second == name; });
  }
  [[nodiscard]] std::string_view drop_reason(std::uint32_t number) const {
    const auto it = drop_reasons.find(number);
    return it == drop_reasons.end() ? std::string_view{} : it->second;
  }
  // Empty where the kernel has no reset reasons (number is -1).
  [[nodiscard]] std::string_view reset_reason(int number) const {
    const auto it = number < 0 ? reset_reasons.end() : reset_reasons.find(static_cast<std::uint32_t>(number));
    return it == reset_reasons.end() ? std::string_view{} : it->second;
  }
};

}  // namespace tcpwhy::core
