// SPDX-License-Identifier: GPL-2.0-only
/*
 * tcp:tcp_send_reset, TP_PROTO(const struct sock *sk, const struct sk_buff *skb[, const enum sk_rst_reason reason])
 *
 * skb NULL: an active reset (close, abort, time-out), traced after it was sent. sk NULL, a listener or a TIME_WAIT
 * minisocket: since 6.10. Both pointers are laundered through a probe read: some kernels take them for non-NULL and
 * delete the test, others refuse to load without it.
 */
#include "tcpwhy.bpf.h"

static __always_inline void tw_fill_reset_socket(struct tw_reset_sent *record, const struct sock *sk) {
  tw_fill_socket(&record->socket, sk);
  record->socket.id = record->socket.state == TCP_NEW_SYN_RECV ? 0 : tw_known_id(sk);
  tw_fill_connector(&record->owner, record->socket.id);
}

/* A listener, or no socket at all: the segment alone tells which connection it was. */
static __always_inline void tw_fill_reset_tuple(struct tw_reset_sent *record, const struct sk_buff *skb,
                                                struct tw_tuple *from_segment) {
  struct net_device *dev;

  from_segment->netns = record->socket.tuple.netns;
  if (!from_segment->netns) {
    dev = BPF_CORE_READ(skb, dev);
    if (dev)
      from_segment->netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
  }
  record->socket.tuple = *from_segment;
}

SEC("tp_btf/tcp_send_reset")
int tw_tcp_send_reset(__u64 *ctx) {
  struct tw_tuple from_segment = {};
  struct tw_reset_sent *record;
  const struct sk_buff *skb;
  const struct sock *sk;

  if (bpf_probe_read_kernel(&sk, sizeof(sk), &ctx[0]) || bpf_probe_read_kernel(&skb, sizeof(skb), &ctx[1]))
    return 0;
  /* Kernels without reasons never tell these; kfree_skb does. */
  if (!sk && !tw_config.reset_has_reason)
    return 0;
  record = tw_reserve(TW_KIND_RESET_SENT, sizeof(*record));
  if (!record)
    return 0;
  record->reason = tw_config.reset_has_reason ? (__s32)ctx[2] : -1;
  if (sk)
    tw_fill_reset_socket(record, sk);
  if (skb && tw_read_segment(skb, &record->trigger, &from_segment) && (!sk || record->socket.state == TCP_LISTEN))
    tw_fill_reset_tuple(record, skb, &from_segment);
  if (!tw_passes(&record->socket.tuple)) {
    bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
    return 0;
  }
  tw_submit(record);
  return 0;
}
