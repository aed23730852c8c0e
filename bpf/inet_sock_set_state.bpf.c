// SPDX-License-Identifier: GPL-2.0-only
/*
 * sock:inet_sock_set_state, TP_PROTO(const struct sock *sk, const int oldstate, const int newstate)
 *
 * The hot hook: ten transitions for each connection of a healthy host. Ordinary ones only fill the caches of
 * owner.bpf.h and leave; those that a verdict may need become TW_KIND_STATE. With every_transition set, the ordinary
 * ones are sent too, as TW_KIND_TRANSITION, which detectors never see: findings are the same in both modes.
 */
#include "tcpwhy.bpf.h"

/* Of a socket that somebody destroys from outside (ss -K): runs in that program's context. */
#define TW_ECONNABORTED 103
#define TW_ECONNREFUSED 111

/* For so long after a refused connect, successful ones to the same port are sent: an address fallback is no incident. */
#define TW_FALLBACK_NS 1500000000ULL

/* Through the helper, the fields of a tcp_sock are plain loads: the healthy path has no probe read at all. */
static __always_inline __u32 tw_total_retrans(const struct sock *sk) {
  const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);

  return tp ? tp->total_retrans : 0;
}

static __always_inline int tw_current_is_exiting(void) {
  const struct task_struct *task;

  if (tw_config.has_cookies)
    return (bpf_get_current_task_btf()->flags & TW_PF_EXITING) != 0;
  task = (const void *)bpf_get_current_task();
  return (BPF_CORE_READ(task, flags) & TW_PF_EXITING) != 0;
}

/* For the summary: what a filter leaves out is not counted. */
static __always_inline void tw_count_begin(const struct sock *sk, int connects) {
  struct tw_counters *counters = tw_counters();

  if (!counters || !tw_sk_passes(sk))
    return;
  if (connects)
    counters->connects++;
  else
    counters->accepts++;
}

/*
 * The kernel gave up: it purged the write queue before the state changed. A program that asks for SO_ERROR in that very
 * moment takes the error away, and the end would look like its own close.
 */
static __always_inline int tw_was_given_up(const struct sock *sk) {
  const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);

  return tp && sk->sk_shutdown != 3 && !tp->packets_out && tp->write_seq != tp->snd_una;
}

/* Transitions that only the owner makes, in its own context (a close by the kernel leaves an error in sk_err). */
static __always_inline int tw_by_owner(const struct sock *sk, int from, int to) {
  if (to == TCP_LISTEN || to == TCP_SYN_SENT || from == TCP_LISTEN)
    return 1;
  if (to == TCP_FIN_WAIT1)
    return from == TCP_ESTABLISHED || from == TCP_SYN_RECV;
  if (to == TCP_LAST_ACK)
    return from == TCP_CLOSE_WAIT;
  if (to == TCP_CLOSE && (from == TCP_SYN_SENT || from == TCP_ESTABLISHED || from == TCP_CLOSE_WAIT))
    return (sk->sk_err == 0 && !(from != TCP_SYN_SENT && tw_was_given_up(sk))) || sk->sk_err == TW_ECONNABORTED;
  return 0;
}

static __always_inline void tw_remember_handshake(const struct sock *sk, const struct tcp_sock *tp, __u64 now) {
  __u32 client_isn = tp->snd_una - 1, server_isn = tp->rcv_nxt - 1;
  struct tw_handshake *handshake = tw_handshake_slot(client_isn, server_isn);
  struct tw_destination *destination;
  struct tw_tuple tuple = {};

  if (handshake) {
    TW_STORE_ONCE(handshake->established_ns, 0);
    barrier();
    handshake->id = tw_config.has_cookies ? sk->__sk_common.skc_cookie.counter : tw_known_id(sk);
    handshake->client_isn = client_isn;
    handshake->server_isn = server_isn;
    barrier();
    TW_STORE_ONCE(handshake->established_ns, now);
  }
  tw_load_remote(&tuple, sk);
  destination = tw_destination_slot(&tuple);
  if (!destination)
    return;
  if (!tw_is_destination(destination, &tuple))
    tw_take_destination(destination, &tuple);
  destination->success_ns = now;
}

static __always_inline __u32 tw_refused_slot(const struct sock *sk) {
  return bpf_ntohs(sk->__sk_common.skc_dport) & (TW_REFUSED_PORTS - 1);
}

static __always_inline int tw_client_is_telling(const struct sock *sk, int to) {
  const struct tcp_sock *tp;
  __u64 now;

  if (to == TCP_CLOSE)
    return 1;
  tp = to == TCP_ESTABLISHED ? bpf_skc_to_tcp_sock((void *)sk) : NULL;
  if (!tp)
    return 0;
  now = bpf_ktime_get_boot_ns();
  tw_remember_handshake(sk, tp, now);
  /* A SYN that waits for its neighbour is not counted as sent again, though its timer ran out: but it is tracked. */
  return tp->total_retrans || tw_is_tracked(sk) || now - tw_refused_ns[tw_refused_slot(sk)] < TW_FALLBACK_NS;
}

/* Closed with data that was not even sent: it may never be, and no file leads to the socket any more. */
static __always_inline int tw_closes_with_data_unsent(const struct sock *sk) {
  const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);

  return tp && tp->write_seq != tp->snd_nxt;
}

/* All that it ever sent, it sent right after the handshake: a request, in as many segments as there were writes. */
#define TW_AT_ONCE_MS 100

static __always_inline int tw_asked_at_once(const struct tcp_sock *tp) {
  __u64 established_us = tp->rcvq_space.time; /* moves only when data is read */
  __u64 now_us = bpf_ktime_get_ns() / 1000;
  __u32 sent_ms = tw_old_ms((__u32)bpf_jiffies64(), tp->lsndtime);

  return now_us >= established_us && (now_us - established_us) / 1000 <= (__u64)sent_ms + TW_AT_ONCE_MS;
}

/*
 * The peer's FIN came to a client whose request it has, in full, and of the reply not a byte. The FIN itself is already
 * counted as one byte received; the stamps are not touched by it.
 */
static __always_inline int tw_reply_is_owed(const struct sock *sk) {
  const struct tcp_sock *tp;

  if (tw_is_server_end(sk))
    return 0;
  tp = bpf_skc_to_tcp_sock((void *)sk);
  if (!tp || tp->write_seq != tp->snd_una || tp->bytes_acked <= 1)
    return 0;
  if (tp->bytes_received > 1)
    return (__s32)(tp->lsndtime - tp->inet_conn.icsk_ack.lrcvtime) > 0;
  return tw_is_one_word(tp) || tw_asked_at_once(tp);
}

/* What a verdict may need. Everything else is ordinary life. */
static __always_inline int tw_is_telling(const struct sock *sk, int from, int to) {
  if (from == TCP_SYN_SENT)
    return tw_client_is_telling(sk, to);
  if (tw_is_tracked(sk))
    return 1;
  if (to == TCP_CLOSE_WAIT)
    return tw_reply_is_owed(sk);
  if (to == TCP_LISTEN || from == TCP_LISTEN)
    return 1;
  if (to == TCP_ESTABLISHED)
    return tw_total_retrans(sk) != 0;
  if (to == TCP_FIN_WAIT1 || to == TCP_LAST_ACK)
    return tw_current_is_exiting() || tw_closes_with_data_unsent(sk);
  if (to == TCP_CLOSE && (from == TCP_FIN_WAIT2 || from == TCP_LAST_ACK || from == TCP_CLOSING))
    return sk->sk_err || tw_total_retrans(sk);
  return to == TCP_CLOSE && from != TCP_CLOSE;
}

static __always_inline void tw_emit_state(const struct sock *sk, __u64 id, int from, int to) {
  struct tw_state *record = tw_reserve(TW_KIND_STATE, sizeof(*record));

  if (!record)
    return;
  record->from = from;
  record->to = to;
  tw_fill_socket(&record->socket, sk);
  record->socket.id = id;
  record->socket.state = to;
  if (tw_by_owner(sk, from, to))
    tw_fill_current(&record->owner);
  if (!record->owner.pid)
    tw_fill_connector(&record->owner, id);
  if (from == TCP_SYN_SENT && to == TCP_CLOSE) {
    record->last_success_ns = tw_last_success(&record->socket.tuple);
    if (record->socket.err == TW_ECONNREFUSED)
      tw_refused_ns[tw_refused_slot(sk)] = record->header.time_ns;
  }
  tw_submit(record);
}

/* While a recording runs, nearly every transition passes here: plain loads, but for the owner's where there are no cookies. */
static __always_inline void tw_emit_transition(const struct sock *sk, __u64 id, int from, int to) {
  const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);
  struct tw_transition *record = tp ? tw_reserve(TW_KIND_TRANSITION, sizeof(*record)) : NULL;
  struct tw_owner owner = {};

  if (!record)
    return;
  record->id = id;
  tw_load_tuple(&record->tuple, sk, tp);
  record->from = from;
  record->to = to;
  record->shutdown = sk->sk_shutdown;
  record->err = sk->sk_err;
  record->snd_una = tp->snd_una;
  record->snd_nxt = tp->snd_nxt;
  record->rcv_nxt = tp->rcv_nxt;
  record->copied_seq = tp->copied_seq;
  record->total_retrans = tp->total_retrans;
  if (tw_by_owner(sk, from, to)) {
    tw_fill_current(&owner);
    record->pid = owner.pid;
    __builtin_memcpy(record->comm, owner.comm, TW_COMM);
  }
  tw_submit(record);
}

static __always_inline void tw_on_transition(const struct sock *sk, int from, int to) {
  int telling;
  __u64 id;

  if (to == TCP_SYN_SENT) {
    tw_remember_connector(tw_id(sk));
    tw_count_begin(sk, 1);
  }
  if (from == TCP_SYN_RECV && to == TCP_ESTABLISHED)
    tw_count_begin(sk, 0);
  telling = tw_is_telling(sk, from, to);
  if ((!telling && !tw_config.every_transition) || !tw_sk_passes(sk))
    return;
  id = tw_id(sk);
  /* No walk finds an orphan, or looks for a listener again. */
  if ((to == TCP_LISTEN ||
       (telling && (to == TCP_FIN_WAIT1 || to == TCP_LAST_ACK) && tw_closes_with_data_unsent(sk))) &&
      !tw_track(sk))
    tw_count_unswept();
  if (telling)
    tw_emit_state(sk, id, from, to);
  else
    tw_emit_transition(sk, id, from, to);
}

static __always_inline void tw_on_set_state(const struct sock *sk, int from, int to) {
  /* Until 6.12 the child is not filled in yet at LISTEN to SYN_RECV; its next transition tells all. */
  if (!tw_is_tcp(sk) || to == TCP_SYN_RECV)
    return;
  tw_note_birth(sk, from, to);
  tw_on_transition(sk, from, to);
  tw_note_end(sk, to);
}

/*
 * The kernel skips a program that is running on this CPU already. That is no rare chance here: in process context an interrupt
 * may run what the network has queued, a batch of segments at once, while a process closes thousands of sockets; and since 7.0
 * a process may be preempted within a program, and whoever runs then is skipped for as long as it may run.
 *
 * So several programs stand on this tracepoint, and run one after the other for each transition. Whichever runs first handles
 * it and leaves word, from its first instruction on; the next ones find that. Two of them are enough where only softirqs
 * interrupt, which do not nest. The last takes the word away; where it was skipped, the word stays until its place is needed.
 * Where a word was overwritten, or a preempted process went on on another CPU, the transition is handled, and emitted, twice.
 */
static __always_inline int tw_is_begun(const struct tw_begun *begun, const struct sock *sk, int from, int to) {
  return TW_LOAD_ONCE(begun->sk) == (__u64)sk && begun->from == (__u32)from && begun->to == (__u32)to;
}

static __always_inline struct tw_begun *tw_find_begun(struct tw_counters *counters, const struct sock *sk, int from,
                                                      int to) {
  for (int i = 0; i < TW_BEGUN; i++)
    if (tw_is_begun(&counters->begun[i], sk, from, to))
      return &counters->begun[i];
  return NULL;
}

static __always_inline void tw_begin(struct tw_counters *counters, const struct sock *sk, int from, int to) {
  struct tw_begun *begun = NULL;

  for (int i = 0; i < TW_BEGUN && !begun; i++)
    if (!TW_LOAD_ONCE(counters->begun[i].sk))
      begun = &counters->begun[i];
  if (!begun)
    begun = &counters->begun[++counters->begun_next & (TW_BEGUN - 1)];
  begun->from = from;
  begun->to = to;
  TW_STORE_ONCE(begun->sk, (__u64)sk);
  barrier();
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tw_inet_sock_set_state, const struct sock *sk, const int from, const int to) {
  struct tw_counters *counters = tw_counters();

  if (!counters)
    return 0;
  if (!tw_find_begun(counters, sk, from, to))
    tw_begin(counters, sk, from, to);
  tw_on_set_state(sk, from, to);
  return 0;
}

static __always_inline int tw_handle_skipped(const struct sock *sk, int from, int to) {
  struct tw_counters *counters = tw_counters();

  if (!counters || tw_find_begun(counters, sk, from, to))
    return 0;
  tw_begin(counters, sk, from, to);
  __sync_fetch_and_add(&counters->caught, 1);
  tw_on_set_state(sk, from, to);
  return 0;
}

/* Both only where a program may be preempted. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tw_inet_sock_set_state_second, const struct sock *sk, const int from, const int to) {
  return tw_handle_skipped(sk, from, to);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tw_inet_sock_set_state_third, const struct sock *sk, const int from, const int to) {
  return tw_handle_skipped(sk, from, to);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tw_inet_sock_set_state_last, const struct sock *sk, const int from, const int to) {
  struct tw_counters *counters = tw_counters();
  struct tw_begun *begun;

  if (!counters)
    return 0;
  begun = tw_find_begun(counters, sk, from, to);
  if (begun) {
    TW_STORE_ONCE(begun->sk, 0);
    return 0;
  }
  __sync_fetch_and_add(&counters->caught, 1);
  tw_on_set_state(sk, from, to);
  return 0;
}
