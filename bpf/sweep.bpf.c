// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sweep over the tracked sockets: an iterator over their storages, or a program that user space runs over a list of
 * their addresses; in all network namespaces, without taking a socket lock. A listener is reported while it refuses or its queue does not move, with the connections that wait in it; any other
 * socket when it gets into trouble, when something of it changes, and once more when the trouble is over. While nothing of
 * it changes its id in a TW_KIND_STILL proves that it was looked at.
 *
 * Where the buffer of a read() is full, bpf_seq_read() drops what the program wrote for this element and calls it again for
 * the same one (kernel/bpf/bpf_iter.c). So nothing of what is kept changes before all of the element's records are out.
 * The last call, without an element, is repeated alike. The programs return 0 all the same: with 1 an element
 * that fits into no buffer would be tried for ever, with 0 the read fails with E2BIG.
 */
#include "tcpwhy.bpf.h"

/* Connections in the accept queue that are reported of one listener in one sweep: with it, they fit into one buffer. */
#define TW_WAITING_MOST 32
#define TW_HEAD_WAITS_MS 900

static __always_inline int tw_report(struct seq_file *seq, const struct sock *sk, __u64 address) {
  tw_fill_sample(&tw_scratch, sk);
  tw_scratch.socket.id = tw_known_id_at(sk, address);
  return tw_write_sample(seq);
}

/* A connection that nobody has accepted, with data that nobody can read. */
static __noinline int tw_report_waiting(struct seq_file *seq, const struct sock *child) {
  const struct tcp_sock *tp = (const void *)child;

  if (!child)
    return 0;
  if (BPF_CORE_READ(tp, rcv_nxt) == BPF_CORE_READ(tp, copied_seq))
    return 0;
  return tw_report(seq, child, (__u64)child);
}

/*
 * The queue is read without its lock: what is accepted meanwhile makes a probe read fail or ends the list. Returns how many
 * connections are beyond those that were looked at, negative where the buffer is full.
 */
static __always_inline int tw_report_queue(struct seq_file *seq, const struct sock *sk, __u32 queue) {
  const struct inet_connection_sock *icsk = (const void *)sk;
  struct request_sock *request = BPF_CORE_READ(icsk, icsk_accept_queue.rskq_accept_head);
  __u32 now = (__u32)bpf_jiffies64();
  const struct sock *child;
  int i;

  for (i = 0; i < TW_WAITING_MOST; i++) {
    if (!request)
      return 0;
    child = BPF_CORE_READ(request, sk);
    if (!child)
      return 0;
    if (!i && tw_age_ms(now, BPF_CORE_READ((const struct tcp_sock *)child, lsndtime)) < TW_HEAD_WAITS_MS)
      return 0;
    if (tw_report_waiting(seq, child))
      return -1;
    request = BPF_CORE_READ(request, dl_next);
  }
  return request && queue > TW_WAITING_MOST ? queue - TW_WAITING_MOST : 0;
}

static __always_inline void tw_look_at_listener(struct seq_file *seq, struct tw_tracked *tracked, const struct sock *sk,
                                                __u64 address) {
  __u32 drops = BPF_CORE_READ(sk, sk_drops.counter);
  __u32 queue = BPF_CORE_READ(sk, sk_ack_backlog);
  int trouble = queue || drops != tracked->drops;
  int beyond = queue ? tw_report_queue(seq, sk, queue) : 0;

  if (beyond < 0)
    return;
  if ((trouble || tracked->reported) && tw_report(seq, sk, address))
    return;
  tracked->drops = drops;
  tracked->reported = trouble;
  if (!queue)
    tracked->mark = 0;
  if ((__u64)beyond > tracked->mark) {
    tw_queue_beyond += beyond - tracked->mark;
    tracked->mark = beyond;
  }
  tw_sweep_visited++;
}

static __always_inline int tw_flush_still(struct seq_file *seq) {
  tw_fill_header(&tw_still_now.header, TW_KIND_STILL, sizeof(tw_still_now));
  if (tw_write_out(seq, &tw_still_now, sizeof(tw_still_now)))
    return 1;
  tw_sweep_still += tw_still_now.count;
  __builtin_memset(&tw_still_now, 0, sizeof(tw_still_now));
  return 0;
}

/* 1: the buffer is full, and nothing has changed. */
static __always_inline int tw_name_still(struct seq_file *seq, __u64 id, int trouble) {
  __u32 count;

  if (trouble == TW_SUSPECT_IDLE && (id ^ tw_sweep_turn) & (TW_IDLE_TURNS - 1))
    return 0;
  if (tw_still_now.count >= TW_STILL_MOST && tw_flush_still(seq))
    return 1;
  count = tw_still_now.count;
  barrier_var(count); /* so that the comparison is of what is the index */
  if (count >= TW_STILL_MOST)
    return 0;
  tw_still_now.ids[count] = id;
  tw_still_now.count = count + 1;
  return 0;
}

/* What this look has to teach about the service's answers, and what the next will compare with. */
static __always_inline void tw_note_look(struct tw_tracked *tracked, const struct sock *sk, const struct tcp_sock *tp,
                                         __u8 state, int trouble) {
  if (tracked->awaiting && tp->lsndtime != tracked->lsndtime)
    tw_note_wait(sk, tp, tracked->lsndtime);
  else if (tracked->awaiting && !trouble && tw_answer_is_there(tp))
    tw_note_answer(sk, tp, 1);
  tracked->awaiting = trouble && state == TCP_ESTABLISHED && !tw_is_server_end(sk) && tw_spoke_last(tp);
  tracked->lsndtime = tp->lsndtime;
}

/* It has no entry any more when this sweep is over. */
static __always_inline void tw_forget_later(__u64 address) {
  __u32 count = tw_forget_count;

  barrier_var(count);
  if (count >= TW_FORGET_MOST)
    return;
  tw_forget[count] = address;
  tw_forget_count = count + 1;
}

/* tp: the same as sk; copied: our copy of the one at the address. */
static __always_inline void tw_look_at_connection(struct seq_file *seq, struct tw_tracked *tracked, struct sock *sk,
                                                  const struct tcp_sock *tp, __u64 address, int copied) {
  __u8 state = sk->__sk_common.skc_state;
  int trouble = tw_is_suspect(sk, tp, state, (__u32)bpf_jiffies64());
  __u64 mark = tw_mark(tp, state);
  int full = 0;

  /* Time-outs are reported each time: each is the proof that nothing came meanwhile. */
  if (trouble && tracked->reported && mark == tracked->mark && !tp->inet_conn.icsk_retransmits && !tw_sweep_whole)
    full = tw_name_still(seq, tw_known_id_at(sk, address), trouble);
  else if (trouble || tracked->reported)
    full = tw_report(seq, sk, address);
  if (full)
    return;
  tw_note_look(tracked, sk, tp, state, trouble);
  tracked->reported = trouble != 0;
  tracked->mark = mark;
  if (trouble == TW_SUSPECT_IDLE)
    tw_sweep_idle++;
  if (copied && !trouble && tw_sweep_crowded && (state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT))
    tw_forget_later(address); /* should it get into trouble again, the walk finds it */
  tw_sweep_visited++;
}

static __always_inline void tw_look(struct seq_file *seq, struct tw_tracked *tracked, struct sock *sk, __u64 address,
                                    int copied) {
  const struct tcp_sock *tp;

  if (sk->__sk_common.skc_state == TCP_LISTEN) {
    tw_look_at_listener(seq, tracked, sk, address);
    return;
  }
  if (sk->__sk_common.skc_state == TCP_CLOSE) {
    if (tracked->reported && tw_report(seq, sk, address))
      return;
    tracked->reported = 0;
    tracked->awaiting = 0;
    if (copied)
      tw_forget_later(address); /* its end should have taken it out: that hook was skipped */
    tw_sweep_visited++;
    return;
  }
  tp = copied ? (const struct tcp_sock *)sk : tw_tcp_of(sk);
  if (tp)
    tw_look_at_connection(seq, tracked, sk, tp, address, copied);
}

/* The last call, for no socket: 1: the buffer is full, and it comes once more. */
static __always_inline int tw_end_sweep(struct seq_file *seq) {
  if (tw_still_now.count && tw_flush_still(seq))
    return 1;
  tw_idle_tracked = tw_sweep_idle;
  tw_sweep_complete = 1;
  return 0;
}

SEC("iter/bpf_sk_storage_map")
int tw_sweep(struct bpf_iter__bpf_sk_storage_map *ctx) {
  struct tw_tracked *tracked = ctx->value;
  struct sock *sk = ctx->sk;

  if (sk && tracked)
    tw_look(ctx->meta->seq, tracked, sk, 0, 0);
  else
    tw_end_sweep(ctx->meta->seq);
  return 0;
}

/*
 * Whether the entry is of the socket that is at its address now. Without cookies the numbers of sockets are kept in a map that
 * forgets the least used: what has none any more is given the one that it had, for each birth gives a new one.
 */
static __always_inline int tw_is_entry_of(const struct tw_tracked *tracked, const struct sock *sk, __u64 address) {
  __u64 id = tw_known_id_at(sk, address);

  if (!id && !tw_config.has_cookies)
    id = tw_give_id(address, tracked->id);
  return id == tracked->id;
}

/* What began to close since it was listed may be an orphan by now, that no walk finds. */
static __always_inline void tw_forget_listed(void) {
  const struct sock *sk;
  __u32 i;
  __u8 state;

  for (i = 0; i < TW_FORGET_MOST; i++) {
    if (i >= tw_forget_count)
      break;
    sk = (const struct sock *)tw_forget[i];
    state = BPF_CORE_READ(sk, __sk_common.skc_state);
    if (state != TCP_FIN_WAIT1 && state != TCP_LAST_ACK && state != TCP_CLOSING && state != TCP_LISTEN)
      bpf_map_delete_elem(&tw_tracked_by_address, &tw_forget[i]);
  }
  tw_forget_count = 0;
}

/* The socket at one of the listed addresses. 1: the ring buffer is full, and nothing has changed. */
__noinline int tw_look_at_listed(__u32 i) {
  __u64 address, visited = tw_sweep_visited;
  struct tw_tracked *tracked;
  struct sock *sk;

  if (i >= TW_LISTED_MOST)
    return 0;
  address = tw_listed[i];
  tracked = bpf_map_lookup_elem(&tw_tracked_by_address, &address);
  if (!tracked)
    return 0;
  sk = tw_copy_tcp_socket(address);
  if (!sk || !tw_is_entry_of(tracked, sk, address)) {
    tw_forget_later(address);
    return 0;
  }
  tw_look(NULL, tracked, sk, address, 1);
  return tw_sweep_visited == visited;
}

/*
 * Where there are no storages, no safe walk over them, or a kernel that refuses it (bpf/identity.bpf.h). Attached to nothing: user
 * space lists some addresses and runs it (BPF_PROG_TEST_RUN, raw_tp since 5.10); with none listed the sweep ends. What ended is
 * taken out in inet_sock_set_state; what that hook missed leaves here, and what is read of a freed socket is zero or another's.
 */
SEC("raw_tp/tcp_destroy_sock")
int tw_sweep_run(void *ctx) {
  __u32 i;

  if (!tw_listed_count) {
    if (tw_end_sweep(NULL))
      return 1;
    tw_forget_listed();
    return 0;
  }
  for (i = 0; i < TW_LISTED_MOST; i++) {
    if (i >= tw_listed_count)
      break;
    if (i < tw_listed_done)
      continue;
    if (tw_look_at_listed(i))
      return 1;
    tw_listed_done = i + 1;
  }
  return 0;
}
