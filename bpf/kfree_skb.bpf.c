// SPDX-License-Identifier: GPL-2.0-only
/*
 * skb:kfree_skb, TP_PROTO(struct sk_buff *skb, void *location[, enum skb_drop_reason reason[, const struct sock *rx_sk]])
 *
 * reason since 5.17, rx_sk since 6.11. Few questions only: did a listener refuse this segment because its accept queue
 * is full, did a firewall on this host eat it (then no socket is known, and the headers tell which connection), and was
 * there no room for it in the receiver's buffer? Before 6.10 a fourth: was there no socket for it, so that a reset answered
 * it which tcp_send_reset does not trace?
 * Fires for every dropped packet of every protocol: the reason is tested first, and a budget bounds what is sent.
 */
#include "tcpwhy.bpf.h"

#define TW_SEGMENT_RST 4 /* tw_segment.flags */

static __always_inline int tw_within_budget(void) {
  __u64 second = bpf_ktime_get_boot_ns() / 1000000000ULL;
  __u32 zero = 0;
  struct tw_budget *budget = bpf_map_lookup_elem(&tw_drop_budget, &zero);

  if (!budget)
    return 0;
  if (budget->second != second) {
    budget->second = second;
    budget->used = 0;
  }
  return budget->used++ < tw_config.drops_per_second;
}

static __always_inline int tw_is_listener(const struct sock *sk) {
  return sk && BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN;
}

/* With SYN cookies the refused ACK has no request: NO_SOCKET; before 6.15 an overflow is NOT_SPECIFIED. */
static __always_inline int tw_is_refusal(__u32 reason, const struct sock *rx_sk) {
  if (!tw_is_listener(rx_sk))
    return 0;
  if (tw_config.reason_listen_overflow && reason == tw_config.reason_listen_overflow)
    return 1;
  if (reason != tw_config.reason_no_socket && reason != tw_config.reason_not_specified)
    return 0;
  return BPF_CORE_READ(rx_sk, sk_ack_backlog) > BPF_CORE_READ(rx_sk, sk_max_ack_backlog);
}

static __always_inline __u32 tw_skb_netns(const struct sk_buff *skb, const struct sock *rx_sk) {
  const struct sock *sk = rx_sk ? rx_sk : BPF_CORE_READ(skb, sk);
  const struct net_device *dev;

  if (sk)
    return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
  dev = BPF_CORE_READ(skb, dev);
  return dev ? BPF_CORE_READ(dev, nd_net.net, ns.inum) : 0;
}

static __always_inline void tw_emit_drop(const struct sk_buff *skb, __u32 reason, const struct sock *listener) {
  struct tw_counters *counters = tw_counters();
  struct tw_segment segment = {};
  struct tw_tuple tuple = {};
  struct tw_socket facts = {};
  struct tw_drop *record;

  if (!tw_read_segment(skb, &segment, &tuple) || !tw_passes(&tuple) || !counters)
    return;
  if (!tw_within_budget()) {
    counters->limited[TW_KIND_DROP]++;
    return;
  }
  record = tw_reserve(TW_KIND_DROP, sizeof(*record));
  if (!record)
    return;
  record->reason = reason;
  record->segment = segment;
  record->tuple = tuple;
  record->tuple.netns = tw_skb_netns(skb, listener);
  record->head_age_ms = TW_NEVER;
  if (listener) {
    tw_fill_queue(&facts, listener);
    record->listener_id = tw_known_id(listener);
    record->queue = facts.queue;
    record->limit = facts.limit;
    record->drops = BPF_CORE_READ(listener, sk_drops.counter);
    record->head_age_ms = facts.head_age_ms;
    record->head_port = facts.head_port;
  }
  tw_submit(record);
}

/*
 * tcp_v4_rcv() and tcp_v6_rcv() answer what has no socket with a reset, then free it for that reason; a reset is never
 * answered. What tcp_send_reset would have told since 6.10 is made of the segment.
 */
static __always_inline void tw_emit_reset_without_socket(const struct sk_buff *skb) {
  struct tw_segment segment = {};
  struct tw_reset_sent *record;
  struct tw_tuple tuple = {};

  if (!tw_read_segment(skb, &segment, &tuple) || (segment.flags & TW_SEGMENT_RST) || !tw_passes(&tuple))
    return;
  record = tw_reserve(TW_KIND_RESET_SENT, sizeof(*record));
  if (!record)
    return;
  record->reason = -1;
  record->trigger = segment;
  record->socket.tuple = tuple;
  record->socket.tuple.netns = tw_skb_netns(skb, NULL);
  tw_submit(record);
}

SEC("tp_btf/kfree_skb")
int tw_kfree_skb(__u64 *ctx) {
  const struct sock *rx_sk = NULL;
  const struct sk_buff *skb;
  __u32 reason;

  if (!bpf_core_field_exists(struct trace_event_raw_kfree_skb, reason))
    return 0;
  reason = (__u32)ctx[2];
  if (reason != tw_config.reason_netfilter && reason != tw_config.reason_listen_overflow &&
      reason != tw_config.reason_no_socket && reason != tw_config.reason_not_specified &&
      reason != tw_config.reason_memory)
    return 0;
  if (tw_config.drop_has_socket)
    bpf_probe_read_kernel(&rx_sk, sizeof(rx_sk), &ctx[3]);
  bpf_probe_read_kernel(&skb, sizeof(skb), &ctx[0]);
  if (tw_is_refusal(reason, rx_sk))
    tw_emit_drop(skb, reason, rx_sk);
  else if (tw_config.reason_memory && reason == tw_config.reason_memory)
    tw_emit_drop(skb, reason, NULL);
  else if (tw_config.reason_netfilter && reason == tw_config.reason_netfilter)
    tw_emit_drop(skb, reason, NULL);
  else if (!tw_config.reset_has_reason && tw_config.reason_no_socket && reason == tw_config.reason_no_socket)
    tw_emit_reset_without_socket(skb);
  return 0;
}
