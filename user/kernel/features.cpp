// SPDX-License-Identifier: GPL-2.0-only
#include "user/kernel/features.h"

#include <algorithm>
#include <array>

namespace tcpwhy::kernel {
namespace {

constexpr auto kTracepoint = HookKind::tracepoint;
constexpr auto kIterator = HookKind::iterator;
constexpr auto kFunction = HookKind::function;

constexpr std::array kFeatures{
    Feature{"tw_inet_sock_set_state", kTracepoint, "inet_sock_set_state", 3, "4.16",
            "connections are not followed: no finding about connecting, closing or refusals"},
    Feature{"tw_tcp_retransmit_skb", kTracepoint, "tcp_retransmit_skb", 2, "4.15",
            "stalls of unacknowledged data and of connects are not seen"},
    Feature{"tw_tcp_retransmit_synack", kTracepoint, "tcp_retransmit_synack", 2, "4.15",
            "unexpected SYN-ACK retransmits are not seen"},
    Feature{"tw_tcp_send_reset", kTracepoint, "tcp_send_reset", 2, "4.15", "resets that this host sends are not seen"},
    Feature{"tw_tcp_receive_reset", kTracepoint, "tcp_receive_reset", 1, "4.15",
            "resets that this host receives are not seen"},
    Feature{"tw_inet_sk_error_report", kTracepoint, "inet_sk_error_report", 1, "5.14",
            "what a connection held when the kernel gave it up is not seen"},
    Feature{"tw_kfree_skb", kTracepoint, "kfree_skb", 3, "5.17",
            "drops by this host's firewall and segments refused by a full listener are not seen"},
    Feature{"tw_walk", kIterator, "task_file", 0, "5.8",
            "connections and listeners that were there before are known only from their next event, owners from "
            "connect() and listen() alone"},
    Feature{"tw_sweep", kIterator, "bpf_sk_storage_map", 0, "5.9",
            "listeners and stalled senders are seen only at events: what is quiet goes unseen"},
    Feature{"tw_sweep_by_address", kIterator, "bpf_map_elem", 0, "5.9",
            "listeners and stalled senders are seen only at events: what is quiet goes unseen"},
    Feature{"", kFunction, kCookiesInTracing, 0, "5.12",
            "sockets are numbered and tracked by tcpwhy itself, which costs somewhat more for each connection"},
    Feature{"", kTracepoint, "tcp_send_reset", 3, "6.10",
            "the kernel's reason for a reset is not told, nor, before 5.17, a reset for which no socket exists"},
    Feature{"", kTracepoint, "tcp_retransmit_skb", 3, "6.17", "retransmits that could not be sent are not told apart"},
    Feature{"", kTracepoint, "kfree_skb", 4, "6.11", "segments refused by a full listener are not seen"},
};

bool is_named(const Feature& feature, const std::vector<std::string>& hooks) {
  return std::any_of(hooks.begin(), hooks.end(), [&](std::string_view hook) {
    if (hook == feature.hook) return true;
    return feature.program.empty() && hook == std::string{feature.hook} + ":" + std::to_string(feature.arguments);
  });
}

bool is_present(const Feature& feature, const Btf& btf) {
  if (feature.kind == HookKind::iterator) return btf.has_iterator(feature.hook);
  if (feature.kind == HookKind::function) return btf.has_function(feature.hook);
  return btf.tracepoint_arguments(feature.hook).value_or(0) >= feature.arguments;
}

}  // namespace

std::span<const Feature> features() { return kFeatures; }

Survey::Survey(const Btf& btf, const std::vector<std::string>& without) {
  offers_.reserve(kFeatures.size());
  for (const Feature& feature : kFeatures)
    offers_.push_back({feature, is_present(feature, btf) && !is_named(feature, without)});
}

bool Survey::has_program(std::string_view program) const {
  return std::any_of(offers_.begin(), offers_.end(),
                     [&](const Offer& o) { return o.feature.program == program && o.present; });
}

bool Survey::has_function(std::string_view function) const {
  return std::any_of(offers_.begin(), offers_.end(), [&](const Offer& o) {
    return o.feature.kind == HookKind::function && o.feature.hook == function && o.present;
  });
}

bool Survey::has_argument(std::string_view hook, unsigned number) const {
  return std::any_of(offers_.begin(), offers_.end(), [&](const Offer& o) {
    return o.feature.program.empty() && o.feature.hook == hook && o.feature.arguments == number && o.present;
  });
}

std::vector<std::string> Survey::missing() const {
  std::vector<std::string> lines;
  for (const Offer& offer : offers_)
    if (!offer.present)
      lines.push_back(describe(offer.feature) + " is missing (Linux " + std::string{offer.feature.since} +
                      " has it): " + std::string{offer.feature.lost});
  return lines;
}

std::string describe(const Feature& feature) {
  const std::string hook{feature.hook};
  if (feature.kind == HookKind::iterator) return "BPF iterator " + hook;
  if (feature.kind == HookKind::function) return "kernel function " + hook;
  if (feature.program.empty()) return "argument " + std::to_string(feature.arguments) + " of tracepoint " + hook;
  return "tracepoint " + hook;
}

}  // namespace tcpwhy::kernel
