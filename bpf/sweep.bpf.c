// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sweep: an iterator over the tracked sockets (every listener, and whatever retransmitted on time-out), in all
 * network namespaces, without taking a socket lock. It emits only those in trouble, and once more when trouble is over.
 */
#include "tcpwhy.bpf.h"

static __always_inline int tw_listener_changed(struct tw_tracked *tracked, const struct sock *sk, int *trouble) {
  __u32 drops = BPF_CORE_READ(sk, sk_drops.counter);
  int changed = drops != tracked->drops;

  *trouble = changed || BPF_CORE_READ(sk, sk_ack_backlog) > BPF_CORE_READ(sk, sk_max_ack_backlog);
  tracked->drops = drops;
  return changed;
}

static __always_inline int tw_sender_in_trouble(const struct sock *sk) {
  const struct inet_connection_sock *icsk = (const void *)sk;
  const struct tcp_sock *tp = (const void *)sk;

  return BPF_CORE_READ(icsk, icsk_retransmits) && BPF_CORE_READ(tp, packets_out);
}

SEC("iter/bpf_sk_storage_map")
int tw_sweep(struct bpf_iter__bpf_sk_storage_map *ctx) {
  struct tw_tracked *tracked = ctx->value;
  struct sock *sk = ctx->sk;
  struct tw_sample record = {};
  int trouble = 0;
  __u8 state;

  if (!sk || !tracked)
    return 0;
  state = BPF_CORE_READ(sk, __sk_common.skc_state);
  if (state == TCP_LISTEN)
    tw_listener_changed(tracked, sk, &trouble);
  else if (state != TCP_CLOSE)
    trouble = tw_sender_in_trouble(sk);
  if (!trouble && !tracked->reported)
    return 0;
  tracked->reported = trouble;
  tw_fill_header(&record.header, TW_KIND_SAMPLE, sizeof(record));
  tw_fill_socket(&record.socket, sk);
  record.socket.id = tw_known_id(sk);
  bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
  return 0;
}
