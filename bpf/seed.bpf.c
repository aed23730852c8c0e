// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk over the files of all processes: every TCP socket that a process holds, with that process, in every network
 * namespace and without a socket lock. It runs at start over all of them; for the sockets that a finding asks for; and as
 * the first half of each sweep, where it looks for suspects that are not tracked yet. Connections that nobody has accepted
 * and orphans have no file: the sweep over the tracked ones has those.
 */
#include "tcpwhy.bpf.h"

static __always_inline int tw_is_wanted(const struct sock *sk) {
  struct tw_tuple key = {};

  tw_fill_tuple(&key, sk, 1);
  key.netns = 0;
  if (bpf_map_lookup_elem(&tw_wanted, &key))
    return 1;
  if (!key.remote_port)
    return 0;
  key.remote_port = 0; /* whatever this address has to do with this service */
  return bpf_map_lookup_elem(&tw_wanted, &key) != NULL;
}

/* What the process that the walk has left has read from all its sockets: more than last time? */
static __always_inline void tw_note_reader(__u32 pid) {
  struct tw_reader *known, fresh = {};

  if (!tw_walk_sum)
    return;
  known = bpf_map_lookup_elem(&tw_readers, &pid);
  if (!known) {
    fresh.sum = tw_walk_sum;
    fresh.changed_ns = bpf_ktime_get_boot_ns();
    bpf_map_update_elem(&tw_readers, &pid, &fresh, BPF_ANY);
  } else if (known->sum != tw_walk_sum) {
    known->sum = tw_walk_sum;
    known->changed_ns = bpf_ktime_get_boot_ns();
  }
}

/* Not 0: the buffer was full, and the kernel shows this file once more. */
static __always_inline long tw_tell_active(struct seq_file *seq, __u32 pid) {
  struct tw_active record = {};

  if (!tw_walk_active_ms)
    return 0;
  tw_fill_header(&record.header, TW_KIND_ACTIVE, sizeof(record));
  record.pid = pid;
  record.age_ms = TW_ACTIVE_MS - tw_walk_active_ms;
  record.files = tw_walk_files;
  return bpf_seq_write(seq, &record, sizeof(record));
}

/* The walk goes process by process. Nothing changes where its buffer is full. */
static __always_inline long tw_enter_process(struct seq_file *seq, __u32 next_pid) {
  __u32 pid = tw_walk_pid;

  if (pid == next_pid)
    return 0;
  if (pid) {
    if (tw_tell_active(seq, pid))
      return 1;
    tw_note_reader(pid);
  }
  tw_walk_pid = next_pid;
  tw_walk_sum = 0;
  tw_walk_files = 0;
  tw_walk_active_ms = 0;
  return 0;
}

/* Both stamps are those of data, and of the handshake at first. */
static __always_inline void tw_note_activity(const struct tcp_sock *tp, __u32 now) {
  __u32 sent_ms = tw_old_ms(now, tp->lsndtime), received_ms = tw_old_ms(now, tp->inet_conn.icsk_ack.lrcvtime);
  __u32 age_ms = sent_ms < received_ms ? sent_ms : received_ms;

  if (age_ms < TW_ACTIVE_MS && TW_ACTIVE_MS - age_ms > tw_walk_active_ms)
    tw_walk_active_ms = TW_ACTIVE_MS - age_ms;
}

/* A socket that is not tracked: is it suspect? Then it is tracked from now on. */
static __always_inline int tw_gets_tracked(struct sock *sk, __u64 address, __u8 state) {
  struct tw_tracked *tracked;
  const struct tcp_sock *tp;
  int suspect;
  __u32 now;

  if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT && state != TCP_FIN_WAIT1 && state != TCP_CLOSING &&
      state != TCP_LAST_ACK && state != TCP_SYN_SENT)
    return 0;
  tp = tw_tcp_of(sk);
  if (!tp)
    return 0;
  tw_walk_sum += tp->copied_seq + 1;
  now = (__u32)bpf_jiffies64();
  tw_note_activity(tp, now);
  if (state == TCP_ESTABLISHED && tw_is_lively_client(sk, tp, now))
    tw_watch_wait(sk, tp, tw_id_at(sk, address), now);
  suspect = tw_is_suspect(sk, tp, state, now);
  if (!suspect) {
    /* At rest, with the answer there: so long the service takes. */
    if (state == TCP_ESTABLISHED && !tw_is_server_end(sk) && tp->bytes_received && tp->bytes_acked > 1 &&
        tp->write_seq == tp->snd_una && tw_answer_is_there(tp) &&
        tw_old_ms(now, tp->inet_conn.icsk_ack.lrcvtime) < 1000)
      tw_note_answer(sk, tp);
    return 0;
  }
  tracked = tw_tracked_at(sk, address, 0);
  /* The sweep has it, unless nothing told of it yet; and several processes may hold it. */
  if (tracked && tracked->reported)
    return tracked->found_in == tw_sweep_number;
  if (!tracked && suspect == TW_SUSPECT_IDLE) {
    if (tw_idle_tracked >= TW_MOST_IDLE)
      return 0;
    tw_idle_tracked++;
  }
  if (!tracked)
    tracked = tw_tracked_at(sk, address, 1);
  if (!tracked)
    return 0;
  tracked->reported = 1;
  tracked->found_in = tw_sweep_number;
  tracked->mark = tw_mark(tp, state);
  return 1;
}

static __always_inline void tw_tell_suspect(struct bpf_iter__task_file *ctx, struct sock *sk, __u64 address,
                                            const struct task_struct *task) {
  struct tw_owner *owner = &tw_scratch.owner;
  const struct tcp_sock *tp;

  tw_fill_sample(&tw_scratch, sk);
  tw_scratch.socket.id = tw_id_at(sk, address);
  tw_fill_task(owner, task);
  owner->source = owner->pid ? TW_OWNER_FILE : TW_OWNER_NONE;
  owner->fd = ctx->fd;
  if (bpf_seq_write(ctx->meta->seq, &tw_scratch, sizeof(tw_scratch)) == 0)
    return;
  /* The buffer is full: this socket is shown once more when it was emptied, and would count twice. */
  tp = tw_tcp_of(sk);
  if (tp)
    tw_walk_sum -= tp->copied_seq + 1;
}

static __always_inline void tw_tell_seed(struct bpf_iter__task_file *ctx, struct sock *sk, __u64 address,
                                         const struct task_struct *task) {
  struct tw_seed record = {};

  tw_fill_header(&record.header, TW_KIND_SEED, sizeof(record));
  tw_fill_socket(&record.socket, sk);
  record.socket.id = tw_id_at(sk, address);
  tw_fill_task(&record.owner, task);
  record.owner.source = TW_OWNER_FILE;
  record.owner.fd = ctx->fd;
  bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
}

/* Which sockets' files there are is learnt from one: their operations are no symbol that everybody may read. */
static __always_inline void tw_learn(const struct bpf_iter__task_file *ctx, const struct task_struct *task,
                                     const struct file *file) {
  if ((__u32)task->tgid == tw_config.self_pid && ctx->fd == tw_own_socket)
    tw_socket_ops = (__u64)BPF_CORE_READ(file, f_op);
}

static __always_inline void tw_visit(struct bpf_iter__task_file *ctx, struct sock *sk, __u64 address,
                                     const struct task_struct *task) {
  __u8 state;

  if (!tw_is_open_tcp(sk))
    return;
  state = sk->__sk_common.skc_state;
  if (tw_walk_mode == TW_WALK_SUSPECT) {
    if (tw_gets_tracked(sk, address, state) && tw_sk_passes(sk))
      tw_tell_suspect(ctx, sk, address, task);
    return;
  }
  if (tw_walk_mode == TW_WALK_WANTED && !tw_is_wanted(sk))
    return;
  if (state == TCP_LISTEN)
    tw_tracked_at(sk, address, 1);
  tw_tell_seed(ctx, sk, address, task);
}

SEC("iter/task_file")
int tw_walk(struct bpf_iter__task_file *ctx) {
  struct task_struct *task = ctx->task;
  struct file *file = ctx->file;
  __u64 address = 0;
  struct sock *sk;

  if (tw_walk_mode == TW_WALK_SUSPECT && tw_enter_process(ctx->meta->seq, task ? task->tgid : 0))
    return 0;
  if (!task || !file)
    return 0;
  tw_walk_files++;
  if (tw_walk_mode == TW_WALK_LEARN) {
    tw_learn(ctx, task, file);
    return 0;
  }
  sk = tw_socket_of(file, &address);
  if (sk)
    tw_visit(ctx, sk, address, task);
  return 0;
}
