// SPDX-License-Identifier: GPL-2.0-only
#include "user/kernel/features.h"

#include <algorithm>
#include <array>

namespace tcpwhy::kernel {
namespace {

using enum Left;
constexpr auto kTracepoint = HookKind::tracepoint;
constexpr auto kIterator = HookKind::iterator;
constexpr auto kHelper = HookKind::helper;
constexpr auto kMapType = HookKind::map_type;

constexpr Loss kNoStates[] = {
    {"connect-timeout", nothing, ""},
    {"connect-refused", nothing, ""},
    {"closed-mid-request", nothing, ""},
    {"timed-out", nothing, ""},
    {"reset", inferred, "the state before, and who closed, are not known"},
    {"*", partly, "that a connection began or ended is not seen"},
};
constexpr Loss kNoRetransmits[] = {
    {"connect-stalled", nothing, ""},
    {"stall-unacked", partly, "found by the sweep alone, where it lasts"},
    {"stall-closing", partly, "orphans from before the start are not seen"},
    {"timed-out", inferred, "how often it was retransmitted is known from the last look"},
};
constexpr Loss kNoSynAcks[] = {
    {"synack-retransmit-unexpected", nothing, ""},
    {"synack-retransmit", nothing, ""},
    {"accept-queue-overflow", partly, "found by the sweep and by refused segments alone"},
};
constexpr Loss kNoResetsSent[] = {{"reset", partly, "those that this host sends are not seen"}};
constexpr Loss kNoResetsReceived[] = {{"reset", partly, "those that this host receives are not seen"}};
constexpr Loss kNoErrorReport[] = {
    {"timed-out", inferred, "what the connection held is known from the last look at it"}};
constexpr Loss kNoDrops[] = {
    {"synack-retransmit-unexpected", inferred, "a firewall of this host is not named"},
    {"synack-retransmit", inferred, "a firewall of this host is not named"},
    {"connect-stalled", inferred, "a firewall of this host is not named"},
    {"connect-timeout", partly,
     "a firewall of this host is not named; one that rejects and leaves no error is not seen"},
    {"connect-refused", inferred, "a firewall of this host is not named"},
    {"accept-queue-overflow", partly, "refused segments are not seen: the sweep looks at the queue"},
    {"reset", partly, "those for which no socket exists are not seen by their sender"},
    {"stall-unacked", inferred, "a firewall of this host is not named"},
    {"timed-out", inferred, "a firewall of this host is not named"},
    {"memory-pressure", partly, "segments dropped for want of memory are not seen"},
};
constexpr Loss kNoWalk[] = {
    {"stall-unread", partly, "only in the accept queue"},
    {"stall-zero-window", partly, "only after a time-out"},
    {"stall-awaiting-reply", nothing, ""},
    {"stall-closing", partly, "only after a time-out, or closed during the run"},
    {"close-wait-leak", nothing, ""},
    {"half-open-risk", nothing, ""},
    {"*", inferred, "processes are known from connect() and listen() alone"},
};
constexpr Loss kNoSweep[] = {
    {"accept-queue-overflow", partly, "only at events"},
    {"stall-unacked", partly, "only at retransmissions"},
    {"stall-unread", nothing, ""},
    {"stall-zero-window", nothing, ""},
    {"stall-awaiting-reply", nothing, ""},
    {"stall-closing", nothing, ""},
    {"close-wait-leak", nothing, ""},
    {"half-open-risk", nothing, ""},
    {"memory-pressure", nothing, ""},
};
constexpr Loss kNoResetReason[] = {
    {"reset", inferred, "the cause is inferred from the socket's state; those from TIME_WAIT are not seen"}};
constexpr Loss kNoDropSocket[] = {
    {"accept-queue-overflow", partly, "refused segments are not seen: the sweep looks at the queue"}};
constexpr Loss kNothingWorks[] = {{"*", nothing, ""}};

// Since 7.0 a tracepoint is guarded by SRCU and no longer by disabled preemption (include/linux/tracepoint.h); no type shows that,
// and this one is of the same release.
constexpr Feature::Where kPreemptedTracepoints{"bpf_local_storage_elem", "state"};

constexpr std::array kFeatures{
    Feature{"tw_inet_sock_set_state", kTracepoint, "inet_sock_set_state", 3, "4.16",
            "connections are not followed: no finding about connecting, closing or refusals", kNoStates},
    Feature{"tw_tcp_retransmit_skb", kTracepoint, "tcp_retransmit_skb", 2, "4.15",
            "stalls of unacknowledged data and of connects are not seen", kNoRetransmits},
    Feature{"tw_tcp_retransmit_synack", kTracepoint, "tcp_retransmit_synack", 2, "4.15",
            "unexpected SYN-ACK retransmits are not seen", kNoSynAcks},
    Feature{"tw_tcp_send_reset", kTracepoint, "tcp_send_reset", 2, "4.15", "resets that this host sends are not seen",
            kNoResetsSent},
    Feature{"tw_tcp_receive_reset", kTracepoint, "tcp_receive_reset", 1, "4.15",
            "resets that this host receives are not seen", kNoResetsReceived},
    Feature{"tw_inet_sk_error_report", kTracepoint, "inet_sk_error_report", 1, "5.14",
            "what a connection held when the kernel gave it up is not seen", kNoErrorReport},
    Feature{"tw_kfree_skb", kTracepoint, "kfree_skb", 3, "5.17",
            "drops by this host's firewall and segments refused by a full listener are not seen", kNoDrops},
    Feature{"tw_walk", kIterator, "task_file", 0, "5.8",
            "connections and listeners that were there before are known only from their next event, owners from "
            "connect() and listen() alone",
            kNoWalk},
    // Since 7.0 (5d800f87d0a5 "bpf: Support lockless unlink when freeing map or local storage") a socket that ends clears
    // selem->local_storage, which __bpf_sk_storage_map_seq_show() follows without a look: a NULL pointer dereference.
    Feature{"tw_sweep",
            kIterator,
            "bpf_sk_storage_map",
            0,
            "5.9",
            "sockets that are swept are kept by tcpwhy itself, by their address",
            {},
            {},
            {"bpf_local_storage_elem", "state", "this kernel may crash in it when a socket ends"}},
    // Run by tcpwhy itself where it does not sweep storages; the hook is what its kind of program must name.
    Feature{"tw_sweep_run", kTracepoint, "tcp_destroy_sock", 1, "5.10",
            "listeners and stalled senders are seen only at events: what is quiet goes unseen", kNoSweep},
    // For what the first program of this hook misses: the same hook as tw_inet_sock_set_state, whose row says what is missing.
    // Two of them only where a tracepoint's programs may be preempted (since 7.0).
    Feature{"tw_inet_sock_set_state_second",
            kTracepoint,
            "inet_sock_set_state",
            3,
            "4.16",
            "",
            {},
            {},
            {},
            kPreemptedTracepoints},
    Feature{"tw_inet_sock_set_state_third",
            kTracepoint,
            "inet_sock_set_state",
            3,
            "4.16",
            "",
            {},
            {},
            {},
            kPreemptedTracepoints},
    Feature{"tw_inet_sock_set_state_last", kTracepoint, "inet_sock_set_state", 3, "4.16", ""},
    // Of tcpwhy top and of runs with a filter, and the same hook as tw_walk: its row says what is missing.
    Feature{"tw_held", kIterator, "task_file", 0, "5.8", ""},
    Feature{"", kTracepoint, "tcp_send_reset", 3, "6.10",
            "the kernel's reason for a reset is not told, nor, before 5.17, a reset for which no socket exists",
            kNoResetReason},
    Feature{"", kTracepoint, "tcp_retransmit_skb", 3, "6.17", "retransmits that could not be sent are not told apart"},
    Feature{"", kTracepoint, "kfree_skb", 4, "6.11", "segments refused by a full listener are not seen", kNoDropSocket},
    // These four or none: without, programs number and track sockets by their address (bpf/identity.bpf.h).
    Feature{"", kHelper, "bpf_sk_storage_get", 0, "5.11", "", {}, "bpf_sk_storage_get_tracing"},
    Feature{"", kHelper, "bpf_sock_from_file", 0, "5.11", "", {}, "bpf_sock_from_file"},
    Feature{"", kHelper, "bpf_get_current_task_btf", 0, "5.11", "", {}, "bpf_get_current_task_btf"},
    Feature{"",
            kHelper,
            "bpf_get_socket_cookie",
            0,
            "5.12",
            "sockets are numbered and tracked by tcpwhy itself, which costs somewhat more for each connection",
            {},
            "bpf_get_socket_ptr_cookie"},
    Feature{"", kHelper, "bpf_skc_to_tcp_sock", 0, "5.9", "the programs cannot be loaded", kNothingWorks,
            "bpf_skc_to_tcp_sock"},
    Feature{"", kMapType, "RINGBUF", 0, "5.8", "the programs cannot be loaded", kNothingWorks},
    Feature{"", kMapType, "SK_STORAGE", 0, "5.2", "the programs cannot be loaded", kNothingWorks},
};

bool is_named(const Feature& feature, const std::vector<std::string>& hooks) {
  return std::any_of(hooks.begin(), hooks.end(), [&](std::string_view hook) {
    if (hook == feature.hook) return true;
    return feature.program.empty() && hook == std::string{feature.hook} + ":" + std::to_string(feature.arguments);
  });
}

bool is_broken(const Feature& feature, const Btf& btf) {
  return feature.fault.structure && btf.has_member(feature.fault.structure, feature.fault.member);
}

bool is_present(const Feature& feature, const Btf& btf) {
  switch (feature.kind) {
    case HookKind::iterator:
      return btf.has_iterator(feature.hook);
    case HookKind::helper:
      return btf.has_function(feature.function);
    case HookKind::map_type:
      return btf.has_enumerator("bpf_map_type", "BPF_MAP_TYPE_" + std::string{feature.hook});
    case HookKind::tracepoint:
      break;
  }
  return btf.tracepoint_arguments(feature.hook).value_or(0) >= feature.arguments &&
         (!feature.where.structure || btf.has_member(feature.where.structure, feature.where.member));
}

const Loss* loss_of(std::string_view finding, const Feature& feature) {
  for (const std::string_view name : {finding, std::string_view{"*"}}) {
    const auto loss =
        std::find_if(feature.losses.begin(), feature.losses.end(), [&](const Loss& l) { return l.finding == name; });
    if (loss != feature.losses.end()) return &*loss;
  }
  return nullptr;
}

// The row of a whole hook speaks for its arguments, too.
bool is_spoken_for(const Offer& offer, const Survey& survey) {
  if (!offer.feature.program.empty() || offer.feature.kind != HookKind::tracepoint) return false;
  return std::any_of(survey.offers().begin(), survey.offers().end(), [&](const Offer& o) {
    return !o.feature.program.empty() && o.feature.hook == offer.feature.hook && !o.present;
  });
}

}  // namespace

std::span<const Feature> features() { return kFeatures; }

bool is_hook(const std::string& name) {
  return std::any_of(kFeatures.begin(), kFeatures.end(), [&](const Feature& f) { return is_named(f, {name}); });
}

Survey::Survey(const std::function<bool(const Feature&)>& has) {
  offers_.reserve(kFeatures.size());
  for (const Feature& feature : kFeatures) offers_.push_back({feature, has(feature)});
}

Survey::Survey(const Btf& btf, const std::vector<std::string>& without)
    : Survey([&](const Feature& feature) { return is_present(feature, btf) && !is_named(feature, without); }) {
  for (Offer& offer : offers_) {
    offer.broken = offer.present && is_broken(offer.feature, btf);
    offer.present = offer.present && !offer.broken;
  }
}

bool Survey::has_program(std::string_view program) const {
  return std::any_of(offers_.begin(), offers_.end(),
                     [&](const Offer& o) { return o.feature.program == program && o.present; });
}

bool Survey::has_argument(std::string_view hook, unsigned number) const {
  return std::any_of(offers_.begin(), offers_.end(), [&](const Offer& o) {
    return o.feature.program.empty() && o.feature.hook == hook && o.feature.arguments == number && o.present;
  });
}

bool Survey::has_cookies() const {
  return std::all_of(offers_.begin(), offers_.end(), [](const Offer& o) {
    return o.present || o.feature.kind != HookKind::helper || is_required(o.feature);
  });
}

std::vector<std::string> Survey::missing() const {
  std::vector<std::string> lines;
  for (const Offer& offer : offers_)
    if (!offer.present && !offer.broken && !offer.feature.lost.empty())
      lines.push_back(describe(offer.feature) + " is missing (Linux " + std::string{offer.feature.since} +
                      " has it): " + std::string{offer.feature.lost});
  return lines;
}

Prospect prospect_of(std::string_view finding, const Survey& survey) {
  Prospect prospect;
  for (const Offer& offer : survey.offers()) {
    if (offer.present || is_spoken_for(offer, survey)) continue;
    const Loss* loss = loss_of(finding, offer.feature);
    if (!loss) continue;
    prospect.left = std::max(prospect.left, loss->left);
    prospect.blames.push_back({offer.feature, *loss});
  }
  return prospect;
}

bool is_required(const Feature& feature) {
  return std::any_of(feature.losses.begin(), feature.losses.end(),
                     [](const Loss& loss) { return loss.finding == "*" && loss.left == nothing; });
}

std::string describe(const Feature& feature) {
  const std::string hook{feature.hook};
  switch (feature.kind) {
    case HookKind::iterator:
      return "BPF iterator " + hook;
    case HookKind::helper:
      return "helper " + hook;
    case HookKind::map_type:
      return "map type " + hook;
    case HookKind::tracepoint:
      break;
  }
  if (feature.program.empty()) return "argument " + std::to_string(feature.arguments) + " of tracepoint " + hook;
  return "tracepoint " + hook;
}

}  // namespace tcpwhy::kernel
