/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which sockets user space should hear of. Wider than any finding: what is a stall is decided there, with thresholds that
 * the kernel side does not know. A healthy connection that moves or rests is no suspect.
 */
#ifndef TCPWHY_SUSPECT_BPF_H
#define TCPWHY_SUSPECT_BPF_H

#define TW_UNREAD_MUCH 65536
/* What may be on its way to being read, or being answered. */
#define TW_UNREAD_MS 700
#define TW_AWAITING_MS 1500
#define TW_ANSWERS_MOST 1000000

/* A stamp's age in ms; a stamp that was never set is as old as can be. */
static __always_inline __u32 tw_old_ms(__u32 now, __u32 stamp) { return tw_age_ms(now, stamp); }

static __always_inline int tw_is_server_end(const struct sock *sk) { return sk->sk_max_ack_backlog != 0; }

/* All that it ever sent, in segments as full as one write makes them: it did not speak again and again. */
static __always_inline int tw_is_one_word(const struct tcp_sock *tp) {
  __u32 mss = tp->mss_cache ? tp->mss_cache : 536;

  return (__u64)(tp->data_segs_out - tp->total_retrans) <= tp->bytes_acked / mss + 1;
}

/*
 * This side spoke last, everything arrived, and it asked rather than told: not one that speaks again and again and never
 * hears a word (a log shipper).
 */
static __always_inline int tw_spoke_last(const struct tcp_sock *tp) {
  if (tp->write_seq != tp->snd_una || tp->bytes_acked <= 1)
    return 0;
  if (tp->bytes_received)
    return (__s32)(tp->lsndtime - tp->inet_conn.icsk_ack.lrcvtime) > 0;
  return tw_is_one_word(tp);
}

static __always_inline int tw_awaits(const struct sock *sk, const struct tcp_sock *tp, __u32 now) {
  return !tw_is_server_end(sk) && tw_spoke_last(tp) && tw_old_ms(now, tp->lsndtime) >= TW_AWAITING_MS;
}

static __always_inline int tw_is_window_shut(const struct tcp_sock *tp) {
  return tp->write_seq != tp->snd_nxt && tp->snd_wnd < tp->mss_cache;
}

static __always_inline __u32 tw_window_left(const struct tcp_sock *tp) {
  __u32 edge = tp->rcv_wup + tp->rcv_wnd;

  return (__s32)(edge - tp->rcv_nxt) > 0 ? edge - tp->rcv_nxt : 0;
}

static __always_inline int tw_is_unread(const struct tcp_sock *tp, int closed_by_peer, __u32 now) {
  __u32 unread = tp->rcv_nxt - tp->copied_seq;

  if (closed_by_peer && unread)
    unread -= 1; /* its FIN */
  if (!unread)
    return 0;
  return unread >= TW_UNREAD_MUCH || tw_window_left(tp) < tp->inet_conn.icsk_ack.rcv_mss ||
         tw_old_ms(now, tp->inet_conn.icsk_ack.lrcvtime) >= TW_UNREAD_MS;
}

static __always_inline int tw_is_on_loopback(const struct sock *sk) {
  if (sk->__sk_common.skc_family == TW_AF_INET)
    return (sk->__sk_common.skc_daddr & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
  return !sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[0] && !sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[1] &&
         ((!sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[2] &&
           sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[3] == bpf_htonl(1)) ||
          (sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[2] == bpf_htonl(0xffff) &&
           (sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000)));
}

/* Idle for long, and nothing would ever find out that the peer is gone. */
static __always_inline int tw_is_unguarded(const struct sock *sk, const struct tcp_sock *tp, __u32 now) {
  if (!tw_config.idle_ms || tp->packets_out || tp->write_seq != tp->snd_una || tp->inet_conn.icsk_user_timeout)
    return 0;
  if (sk->__sk_common.skc_flags & (1UL << TW_SOCK_KEEPOPEN))
    return 0;
  if (tw_old_ms(now, tp->lsndtime) < tw_config.idle_ms ||
      tw_old_ms(now, tp->inet_conn.icsk_ack.lrcvtime) < tw_config.idle_ms)
    return 0;
  return !tw_is_on_loopback(sk);
}

/* Nothing is wrong yet; there may be hundreds of thousands, and some stand for all. */
#define TW_SUSPECT_IDLE 2
#define TW_MOST_IDLE 16384

static __always_inline int tw_is_suspect(const struct sock *sk, const struct tcp_sock *tp, __u8 state, __u32 now) {
  if (tp->inet_conn.icsk_retransmits && tp->packets_out)
    return 1;
  if (state == TCP_FIN_WAIT1 || state == TCP_CLOSING || state == TCP_LAST_ACK)
    return tp->write_seq != tp->snd_una && (tw_old_ms(now, tp->rcv_tstamp) >= TW_UNREAD_MS || tw_is_window_shut(tp));
  if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT)
    return 0;
  if (tw_is_window_shut(tp))
    return 1;
  if (tw_is_unread(tp, state == TCP_CLOSE_WAIT, now))
    return 1;
  if (state == TCP_CLOSE_WAIT)
    return tw_old_ms(now, tp->rcv_tstamp) >= TW_UNREAD_MS;
  if (tw_awaits(sk, tp, now))
    return 1;
  return tw_is_unguarded(sk, tp, now) ? TW_SUSPECT_IDLE : 0;
}

/* Changes when anything moves. */
static __always_inline __u64 tw_mark(const struct tcp_sock *tp, __u8 state) {
  __u64 mark = ((__u64)tp->snd_una << 32 | tp->snd_nxt) * 0x9e3779b97f4a7c15ULL;

  mark ^= ((__u64)tp->copied_seq << 32 | tp->rcv_nxt) * 0xff51afd7ed558ccdULL;
  mark ^= ((__u64)tp->write_seq << 32 | tp->snd_wnd) * 0xc4ceb9fe1a85ec53ULL;
  return mark ^ ((__u64)tp->inet_conn.icsk_backoff << 8 | tp->inet_conn.icsk_probes_out << 16 | state);
}

/* The slot of the service that a client's end is connected to. */
static __always_inline struct tw_destination *tw_destination_of(const struct sock *sk, struct tw_tuple *tuple) {
  if (sk->__sk_common.skc_family == TW_AF_INET)
    tw_map_v4(tuple->remote, sk->__sk_common.skc_daddr);
  else
    __builtin_memcpy(tuple->remote, &sk->__sk_common.skc_v6_daddr, 16);
  tuple->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
  /* What is swept by address is a copy, whose pointers are to be probed. */
  tuple->netns = tw_config.sweeps_storages ? sk->__sk_common.skc_net.net->ns.inum
                                           : BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
  return tw_destination_slot(tuple);
}

/* Takes the slot where it is another's. */
static __always_inline struct tw_destination *tw_own_destination(const struct sock *sk) {
  struct tw_tuple tuple = {};
  struct tw_destination *slot = tw_destination_of(sk, &tuple);

  if (slot && !tw_is_destination(slot, &tuple))
    tw_take_destination(slot, &tuple);
  return slot;
}

/* Of a wait that ended in an answer; it is learnt once, however often it is seen. */
static __always_inline void tw_learn_usual(struct tw_destination *slot, __u32 wait_ms) {
  if (wait_ms < 0x7fffffff)
    slot->usual_wait_us = tw_usual_after(slot->usual_wait_us, slot->answers, (__u64)wait_ms * 1000);
}

static __always_inline void tw_note_answer_after(const struct sock *sk, __u32 wait, int is_new) {
  struct tw_destination *slot = tw_own_destination(sk);

  if (!slot)
    return;
  if (is_new)
    tw_learn_usual(slot, wait);
  if (slot->answers < TW_ANSWERS_MOST)
    slot->answers++;
}

/* A client's end at rest with the answer there: so long did the service take. */
static __always_inline void tw_note_answer(const struct sock *sk, const struct tcp_sock *tp, int is_new) {
  tw_note_answer_after(sk, tw_jiffies_to_ms(tp->inet_conn.icsk_ack.lrcvtime - tp->lsndtime), is_new);
}

/*
 * The answer is the last word. In one jiffy both stamps are the same: an acknowledgment that came later was of something
 * that this side said after the answer, and who said more often than it was answered spoke last, too.
 */
static __always_inline int tw_answer_is_there(const struct tcp_sock *tp) {
  __s32 after = (__s32)(tp->inet_conn.icsk_ack.lrcvtime - tp->lsndtime);

  if (after)
    return after > 0;
  return (__s32)(tp->rcv_tstamp - tp->inet_conn.icsk_ack.lrcvtime) <= 0 &&
         tp->data_segs_in >= tp->data_segs_out - tp->total_retrans;
}

/* Waits that are worth remembering until the next walk; shorter ones are nobody's trouble however often multiplied. */
#define TW_WAIT_WORTH_MS 250

/* What became of the wait that an earlier walk saw, if this end asked no more than once since. 1: something was learnt. */
static __always_inline int tw_learn_wait(const struct sock *sk, const struct tcp_sock *tp, struct tw_wait *wait) {
  __u32 answered = tp->inet_conn.icsk_ack.lrcvtime;

  if (tp->data_segs_out - wait->asks > 1 || (__s32)(answered - wait->asked) <= 0)
    return 0;
  tw_note_answer_after(sk, tw_jiffies_to_ms(answered - wait->asked), 1);
  return 1;
}

/* An idle connection has nothing to teach, and there may be hundreds of thousands. */
#define TW_LIVELY_MS 60000

static __always_inline int tw_is_lively_client(const struct sock *sk, const struct tcp_sock *tp, __u32 now) {
  return !tw_is_server_end(sk) && tp->bytes_acked > 1 && tw_old_ms(now, tp->lsndtime) < TW_LIVELY_MS;
}

/*
 * Of each lively client's connection that a walk passes, suspect or not. swept: the sweep waits for this answer and learns
 * from it. 1: something was learnt.
 */
static __always_inline int tw_watch_wait(const struct sock *sk, const struct tcp_sock *tp, __u64 id, __u32 now,
                                         int swept) {
  __u32 slot = id & (TW_WAITS - 1);
  struct tw_wait *wait = bpf_map_lookup_elem(&tw_waits, &slot);
  int waits = tw_spoke_last(tp), learnt = 0;

  if (!wait)
    return 0;
  if (wait->id == id) {
    if (waits && wait->asked == tp->lsndtime)
      return 0;
    if (!swept)
      learnt = tw_learn_wait(sk, tp, wait);
    wait->id = 0;
  }
  if (!waits || tw_old_ms(now, tp->lsndtime) < TW_WAIT_WORTH_MS)
    return learnt;
  wait->asked = tp->lsndtime;
  wait->asks = tp->data_segs_out;
  wait->id = id;
  return learnt;
}

/* It waited, and the other side spoke and this side again: so long a wait is usual here. */
static __always_inline void tw_note_wait(const struct sock *sk, const struct tcp_sock *tp, __u32 since) {
  struct tw_destination *slot = tw_own_destination(sk);

  if (!slot)
    return;
  if ((__s32)(tp->inet_conn.icsk_ack.lrcvtime - since) <= 0)
    slot->unanswered++;
  else
    tw_learn_usual(slot, tw_jiffies_to_ms(tp->inet_conn.icsk_ack.lrcvtime - since));
}

/* icsk_probes_tstamp: 5.11 and later. */
struct inet_connection_sock___probes {
  __u32 icsk_probes_tstamp;
} __attribute__((preserve_access_index));

static __always_inline __u32 tw_window_shut_ms(const struct sock *sk, __u32 now) {
  struct inet_connection_sock___probes *icsk = (void *)sk;

  if (!bpf_core_field_exists(icsk->icsk_probes_tstamp))
    return TW_NEVER;
  return tw_age_ms(now, BPF_CORE_READ(icsk, icsk_probes_tstamp));
}

/* All of a sample but its id and its owner; what was in it before is gone. */
static __always_inline void tw_fill_sample(struct tw_sample *record, const struct sock *sk) {
  const struct tcp_sock *tp = (const void *)sk;
  struct tw_destination known = {};

  __builtin_memset(record, 0, sizeof(*record));
  tw_fill_header(&record->header, TW_KIND_SAMPLE, sizeof(*record));
  tw_fill_socket(&record->socket, sk);
  record->usual_wait_ms = TW_NEVER;
  record->window_shut_ms = tw_window_shut_ms(sk, (__u32)bpf_jiffies64());
  record->data_segments_sent = BPF_CORE_READ(tp, data_segs_out);
  if (record->socket.flags & TW_SK_ACCEPTED)
    return;
  if (!tw_copy_destination(&known, &record->socket.tuple))
    return;
  record->unanswered = known.unanswered;
  if (!known.answers)
    return;
  record->usual_wait_ms = known.usual_wait_us / 1000;
  record->answers = known.answers;
}

/*
 * 0: it is out. Else the buffer is full: of an iterator, and the kernel shows the same element again when that was emptied; or,
 * without an iterator (seq NULL), the ring buffer, and user space has the program run again from there.
 */
static __always_inline int tw_write_out(struct seq_file *seq, void *record, __u32 size) {
  if (seq)
    return bpf_seq_write(seq, record, size) != 0;
  return bpf_ringbuf_output(&tw_events, record, size, BPF_RB_NO_WAKEUP) != 0;
}

static __always_inline int tw_write_sample(struct seq_file *seq) {
  if (tw_lose_each && ++tw_lose_next >= tw_lose_each) {
    tw_lose_next = 0;
    return 0;
  }
  if (tw_write_out(seq, &tw_scratch, sizeof(tw_scratch)))
    return 1;
  if (!seq)
    tw_ring_samples++;
  return 0;
}

#endif
