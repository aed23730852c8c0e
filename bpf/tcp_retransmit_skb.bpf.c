// SPDX-License-Identifier: GPL-2.0-only
/*
 * tcp:tcp_retransmit_skb, TP_PROTO(const struct sock *sk, const struct sk_buff *skb[, int err])
 *
 * err since 6.17, which also fires for segments that could not be sent. icsk_retransmits is already counted up when the
 * time-out's event fires, icsk_backoff and icsk_rto are not yet doubled (net/ipv4/tcp_timer.c tcp_retransmit_timer).
 */
#include "tcpwhy.bpf.h"

#define TW_PENDING_LOSS_PROBE 5

static __always_inline __u8 tw_retransmit_type(const struct sock *sk) {
  const struct inet_connection_sock *icsk = (const void *)sk;
  const struct tcp_sock *tp = (const void *)sk;

  if (sk->__sk_common.skc_state == TCP_SYN_SENT)
    return TW_RETRANSMIT_SYN;
  if (BPF_CORE_READ(icsk, icsk_pending) == TW_PENDING_LOSS_PROBE)
    return TW_RETRANSMIT_TAIL_LOSS;
  if (BPF_CORE_READ_BITFIELD_PROBED(icsk, icsk_ca_state) == TCP_CA_Loss && BPF_CORE_READ(icsk, icsk_retransmits))
    return TW_RETRANSMIT_TIMEOUT;
  if (!BPF_CORE_READ(tp, snd_wnd) && BPF_CORE_READ(tp, packets_out))
    return TW_RETRANSMIT_PROBE;
  return TW_RETRANSMIT_FAST;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(tw_tcp_retransmit_skb, const struct sock *sk, const struct sk_buff *skb) {
  struct tw_retransmit *record;
  int ordinary;
  __u8 type;

  if (!tw_is_tcp(sk))
    return 0;
  type = tw_retransmit_type(sk);
  /* Losses that the sender repairs without a time-out are ordinary life. */
  ordinary = type == TW_RETRANSMIT_FAST || type == TW_RETRANSMIT_TAIL_LOSS;
  if ((ordinary && !tw_config.every_transition) || !tw_sk_passes(sk))
    return 0;
  /* The walk counts those that a process holds. */
  if (!ordinary && !tw_track(sk) && BPF_CORE_READ((const struct inet_connection_sock *)sk, icsk_retransmits) <= 1 &&
      !BPF_CORE_READ(sk, sk_socket))
    tw_count_unswept();
  record = tw_reserve(TW_KIND_RETRANSMIT, sizeof(*record));
  if (!record)
    return 0;
  tw_fill_socket(&record->socket, sk);
  record->socket.id = tw_id(sk);
  tw_fill_connector(&record->owner, record->socket.id);
  record->type = type;
  if (tw_config.retransmit_has_error)
    record->error = (__s32)ctx[2];
  tw_submit(record);
  return 0;
}
