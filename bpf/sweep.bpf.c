// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sweep over the tracked sockets: an iterator over their storages, in all network namespaces, without taking a socket
 * lock. A listener is told while it refuses or its queue does not move, with the connections that wait in it; any other
 * socket when it gets into trouble, when something of it changes, and once more when the trouble is over.
 */
#include "tcpwhy.bpf.h"

/* Connections in the accept queue that are told of one listener in one sweep. */
#define TW_WAITING_MOST 32
#define TW_HEAD_WAITS_MS 900

static __always_inline int tw_listener_in_trouble(struct tw_tracked *tracked, const struct sock *sk) {
  __u32 drops = BPF_CORE_READ(sk, sk_drops.counter);
  int changed = drops != tracked->drops;

  tracked->drops = drops;
  return changed || BPF_CORE_READ(sk, sk_ack_backlog) > BPF_CORE_READ(sk, sk_max_ack_backlog);
}

/* A connection that nobody has accepted, with data that nobody can read. */
static __noinline int tw_tell_waiting(struct seq_file *seq, const struct sock *child) {
  const struct tcp_sock *tp = (const void *)child;

  if (!seq || !child)
    return 0;
  if (BPF_CORE_READ(tp, rcv_nxt) == BPF_CORE_READ(tp, copied_seq))
    return 0;
  tw_fill_sample(&tw_scratch, child);
  tw_scratch.socket.id = tw_known_id(child);
  bpf_seq_write(seq, &tw_scratch, sizeof(tw_scratch));
  return 0;
}

/* The queue is read without its lock: what is accepted meanwhile makes a probe read fail or ends the list. */
static __always_inline void tw_tell_queue(struct seq_file *seq, const struct sock *sk) {
  const struct inet_connection_sock *icsk = (const void *)sk;
  struct request_sock *request = BPF_CORE_READ(icsk, icsk_accept_queue.rskq_accept_head);
  __u32 now = (__u32)bpf_jiffies64();
  const struct sock *child;
  int i;

  for (i = 0; i < TW_WAITING_MOST; i++) {
    if (!request)
      return;
    child = BPF_CORE_READ(request, sk);
    if (!child)
      return;
    if (!i && tw_age_ms(now, BPF_CORE_READ((const struct tcp_sock *)child, lsndtime)) < TW_HEAD_WAITS_MS)
      return;
    tw_tell_waiting(seq, child);
    request = BPF_CORE_READ(request, dl_next);
  }
}

static __always_inline int tw_socket_in_trouble(struct tw_tracked *tracked, const struct sock *sk,
                                                const struct tcp_sock *tp, __u8 state) {
  int trouble = tw_is_suspect(sk, tp, state, (__u32)bpf_jiffies64());

  if (tracked->awaiting && tp->lsndtime != tracked->lsndtime)
    tw_note_wait(sk, tp, tracked->lsndtime);
  else if (tracked->awaiting && !trouble && tw_answer_is_there(tp))
    tw_note_answer(sk, tp);
  tracked->awaiting = trouble && state == TCP_ESTABLISHED && !tw_is_server_end(sk) && tw_spoke_last(tp);
  tracked->lsndtime = tp->lsndtime;
  return trouble;
}

/* copied: the socket is our copy of the one at the address. */
static __always_inline void tw_look(struct seq_file *seq, struct tw_tracked *tracked, struct sock *sk, __u64 address,
                                    int copied) {
  const struct tcp_sock *tp;
  __u64 mark = 0;
  int trouble = 0;
  __u8 state = sk->__sk_common.skc_state;

  if (state == TCP_LISTEN) {
    trouble = tw_listener_in_trouble(tracked, sk);
    if (sk->sk_ack_backlog) {
      tw_tell_queue(seq, sk);
      trouble = 1;
    }
  } else if (state != TCP_CLOSE) {
    tp = copied ? (const struct tcp_sock *)sk : tw_tcp_of(sk);
    if (!tp)
      return;
    trouble = tw_socket_in_trouble(tracked, sk, tp, state);
    mark = tw_mark(tp, state);
    /* Time-outs are told each time: each is the proof that nothing came meanwhile. */
    if (trouble && tracked->reported && mark == tracked->mark && !tp->inet_conn.icsk_retransmits)
      return;
  }
  if (!trouble && !tracked->reported)
    return;
  tracked->reported = trouble;
  tracked->mark = mark;
  tw_fill_sample(&tw_scratch, sk);
  tw_scratch.socket.id = tw_known_id_at(sk, address);
  bpf_seq_write(seq, &tw_scratch, sizeof(tw_scratch));
}

SEC("iter/bpf_sk_storage_map")
int tw_sweep(struct bpf_iter__bpf_sk_storage_map *ctx) {
  struct tw_tracked *tracked = ctx->value;
  struct sock *sk = ctx->sk;

  if (sk && tracked)
    tw_look(ctx->meta->seq, tracked, sk, 0, 0);
  return 0;
}

/* Where there are no storages, or no safe walk over them (bpf/identity.bpf.h). What ended is taken out in
 * inet_sock_set_state; what is read of a freed socket is zero. */
SEC("iter/bpf_map_elem")
int tw_sweep_by_address(struct bpf_iter__bpf_map_elem *ctx) {
  struct tw_tracked *tracked = ctx->value;
  __u64 *key = ctx->key;
  struct sock *sk;

  if (!key || !tracked)
    return 0;
  sk = tw_copy_tcp_socket(*key);
  if (sk)
    tw_look(ctx->meta->seq, tracked, sk, *key, 1);
  return 0;
}
