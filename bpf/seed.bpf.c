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

/* A new walk for suspects: what was answered before the last one began has been learnt already. */
static __always_inline void tw_begin_walk(void) {
  if (tw_walk_number == tw_sweep_number)
    return;
  tw_walk_number = tw_sweep_number;
  tw_walk_began_before = tw_walk_began;
  tw_walk_began = (__u32)bpf_jiffies64();
}

/* Of the process that the walk has left: has it read anything since the last look? */
static __always_inline void tw_note_reader(__u32 pid) {
  struct tw_reader *seen = &tw_walk_reader, *known;

  if (seen->sockets) {
    seen->looked_ns = bpf_ktime_get_boot_ns();
    known = bpf_map_lookup_elem(&tw_readers, &pid);
    if (known) {
      if (known->sockets == seen->sockets && known->identity == seen->identity && known->copied != seen->copied &&
          known->looked_ns > seen->read_ns)
        seen->read_ns = known->looked_ns;
      if (known->read_ns > seen->read_ns)
        seen->read_ns = known->read_ns;
      *known = *seen;
    } else {
      bpf_map_update_elem(&tw_readers, &pid, seen, BPF_ANY);
    }
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

/* The walk goes process by process. Not 0, and nothing changed: its buffer is full. */
static __always_inline long tw_enter_process(struct seq_file *seq, __u32 next_pid) {
  __u32 pid = tw_walk_pid;

  if (pid == next_pid)
    return 0;
  if (pid && tw_tell_active(seq, pid))
    return 1;
  if (pid)
    tw_note_reader(pid);
  tw_walk_pid = next_pid;
  tw_walk_files = 0;
  tw_walk_active_ms = 0;
  __builtin_memset(&tw_walk_reader, 0, sizeof(tw_walk_reader));
  return 0;
}

/* Both stamps are those of data, and of the handshake at first. */
static __always_inline void tw_note_activity(const struct tcp_sock *tp, __u32 now) {
  __u32 sent_ms = tw_old_ms(now, tp->lsndtime), received_ms = tw_old_ms(now, tp->inet_conn.icsk_ack.lrcvtime);
  __u32 age_ms = sent_ms < received_ms ? sent_ms : received_ms;

  if (age_ms < TW_ACTIVE_MS && TW_ACTIVE_MS - age_ms > tw_walk_active_ms)
    tw_walk_active_ms = TW_ACTIVE_MS - age_ms;
}

/*
 * References to an open file: those of descriptors, and one that the walk holds. f_count until 6.12, then f_ref, which counts
 * from -1 (include/linux/file_ref.h).
 */
struct file___count {
  atomic_long_t f_count;
} __attribute__((preserve_access_index));
struct file_ref___tw {
  atomic_long_t refcnt;
} __attribute__((preserve_access_index));
struct file___ref {
  struct file_ref___tw f_ref;
} __attribute__((preserve_access_index));

static __always_inline __s64 tw_file_references(const struct file *file) {
  const struct file___count *counted = (const void *)file;
  const struct file___ref *referenced = (const void *)file;

  if (bpf_core_field_exists(counted->f_count))
    return counted->f_count.counter;
  return referenced->f_ref.refcnt.counter + 1;
}

/*
 * Nobody else reads from this file. Threads that wait in a read hold references, too; of a process with several threads a file
 * that it shares with another process cannot be told apart.
 */
static __always_inline int tw_alone_reads(const struct task_struct *task, const struct file *file) {
  return task->signal->nr_threads > 1 || tw_file_references(file) <= 2;
}

/* Everything that arrived was read, so something was read when the last of it had arrived, or later. */
static __always_inline void tw_note_read(const struct sock *sk, const struct tcp_sock *tp, __u8 state, __u32 now,
                                         const struct task_struct *task, const struct file *file) {
  struct tw_reader *seen = &tw_walk_reader;
  __u32 copied = tp->copied_seq, received = (__u32)tp->bytes_received, next = tp->rcv_nxt;
  __u64 identity, age_ns, boot_ns;

  if (!tw_alone_reads(task, file))
    return;
  seen->sockets++;
  seen->copied += copied;
  /* rcv_nxt - bytes_received stays what the handshake made it. */
  identity = ((__u64)sk->__sk_common.skc_portpair << 32 | (next - received)) * 0x9e3779b97f4a7c15ULL;
  seen->identity += identity ^ identity >> 32;
  if (state != TCP_ESTABLISHED || !received || copied != next)
    return;
  age_ns = (__u64)tw_old_ms(now, tp->inet_conn.icsk_ack.lrcvtime) * 1000000;
  boot_ns = bpf_ktime_get_boot_ns();
  if (boot_ns > age_ns && boot_ns - age_ns > seen->read_ns)
    seen->read_ns = boot_ns - age_ns;
}

/* At rest, with the answer there: so long the service takes. What the last walk could see has been learnt. */
static __always_inline void tw_note_rest(const struct sock *sk, const struct tcp_sock *tp, __u32 now, int learnt) {
  __u32 answered = tp->inet_conn.icsk_ack.lrcvtime;

  if (tw_is_server_end(sk) || !tp->bytes_received || tp->bytes_acked <= 1 || tp->write_seq != tp->snd_una)
    return;
  if (!tw_answer_is_there(tp) || tw_old_ms(now, answered) >= 1000)
    return;
  tw_note_answer(sk, tp, !learnt && (__s32)(answered - tw_walk_began_before) >= 0);
}

/* What an established connection teaches about the service that it is a client of. */
static __always_inline void tw_learn_answers(struct sock *sk, const struct tcp_sock *tp, __u64 address, __u32 now,
                                             int suspect, const struct tw_tracked *tracked) {
  int swept = tracked && tracked->awaiting, learnt = swept;

  if (tw_is_lively_client(sk, tp, now))
    learnt |= tw_watch_wait(sk, tp, tw_id_at(sk, address), now, swept);
  if (!suspect)
    tw_note_rest(sk, tp, now, learnt);
}

/* A record is due: it is suspect, and the sweep does not have it yet; several processes may hold it. */
static __always_inline int tw_is_new_suspect(const struct tw_tracked *tracked, int suspect) {
  if (!suspect)
    return 0;
  if (!tracked && suspect == TW_SUSPECT_IDLE && tw_idle_tracked >= TW_MOST_IDLE) {
    tw_walk_unswept++;
    return 0;
  }
  return !tracked || !tracked->reported || tracked->found_in == tw_sweep_number;
}

static __always_inline int tw_report_suspect(struct bpf_iter__task_file *ctx, struct sock *sk, __u64 address,
                                             const struct task_struct *task) {
  struct tw_owner *owner = &tw_scratch.owner;

  tw_fill_sample(&tw_scratch, sk);
  tw_scratch.socket.id = tw_id_at(sk, address);
  tw_fill_task(owner, task);
  owner->source = owner->pid ? TW_OWNER_FILE : TW_OWNER_NONE;
  owner->fd = ctx->fd;
  return tw_write_sample(ctx->meta->seq);
}

/* 1: the buffer is full. Tracked it is before its record is out, but the sweep does not have it until then. */
static __always_inline int tw_begin_to_sweep(struct bpf_iter__task_file *ctx, struct sock *sk,
                                             const struct tcp_sock *tp, __u64 address, const struct task_struct *task,
                                             int suspect) {
  struct tw_tracked *tracked = tw_tracked_at(sk, address, 1);

  if (!tracked) {
    tw_walk_unswept++;
    return 0;
  }
  if (tw_report_suspect(ctx, sk, address, task))
    return 1;
  if (!tracked->reported && suspect == TW_SUSPECT_IDLE)
    tw_idle_tracked++;
  tracked->reported = 1;
  tracked->found_in = tw_sweep_number;
  tracked->mark = tw_mark(tp, sk->__sk_common.skc_state);
  return 0;
}

/* The first half of a sweep: nothing is noted of a socket before its record, if one is due, is out. */
static __always_inline void tw_look_for_trouble(struct bpf_iter__task_file *ctx, struct sock *sk, __u64 address,
                                                const struct task_struct *task, const struct file *file) {
  __u8 state = sk->__sk_common.skc_state;
  struct tw_tracked *tracked = NULL;
  const struct tcp_sock *tp;
  int suspect;
  __u32 now;

  if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT && state != TCP_FIN_WAIT1 && state != TCP_CLOSING &&
      state != TCP_LAST_ACK && state != TCP_SYN_SENT)
    return;
  tp = tw_tcp_of(sk);
  if (!tp)
    return;
  now = (__u32)bpf_jiffies64();
  suspect = tw_is_suspect(sk, tp, state, now);
  /* Of a healthy socket nothing is looked up, unless it has an answer to teach. */
  if (suspect ||
      (state == TCP_ESTABLISHED && tw_is_lively_client(sk, tp, now) && (!tw_config.has_cookies || sk->sk_bpf_storage)))
    tracked = tw_tracked_at(sk, address, 0);
  if (tw_is_new_suspect(tracked, suspect) && tw_sk_passes(sk) && tw_begin_to_sweep(ctx, sk, tp, address, task, suspect))
    return;
  tw_note_activity(tp, now);
  tw_note_read(sk, tp, state, now, task, file);
  if (state == TCP_ESTABLISHED)
    tw_learn_answers(sk, tp, address, now, suspect, tracked);
}

static __always_inline int tw_report_seed(struct bpf_iter__task_file *ctx, struct sock *sk, __u64 address,
                                          const struct task_struct *task) {
  struct tw_seed record = {};

  tw_fill_header(&record.header, TW_KIND_SEED, sizeof(record));
  tw_fill_socket(&record.socket, sk);
  record.socket.id = tw_id_at(sk, address);
  tw_fill_task(&record.owner, task);
  record.owner.source = TW_OWNER_FILE;
  record.owner.fd = ctx->fd;
  return bpf_seq_write(ctx->meta->seq, &record, sizeof(record)) != 0;
}

/* Which sockets' files there are is learnt from one: their operations are no symbol that everybody may read. */
static __always_inline void tw_learn(const struct bpf_iter__task_file *ctx, const struct task_struct *task,
                                     const struct file *file) {
  if ((__u32)task->tgid == tw_config.self_pid && ctx->fd == tw_own_socket)
    tw_socket_ops = (__u64)BPF_CORE_READ(file, f_op);
}

/* Where the buffer is full the same file is shown once more, hence the record first. */
static __always_inline void tw_visit(struct bpf_iter__task_file *ctx, struct sock *sk, __u64 address,
                                     const struct task_struct *task, const struct file *file) {
  if (!tw_is_open_tcp(sk))
    return;
  if (tw_walk_mode == TW_WALK_SUSPECT) {
    tw_look_for_trouble(ctx, sk, address, task, file);
    return;
  }
  if (tw_walk_mode == TW_WALK_WANTED && !tw_is_wanted(sk))
    return;
  if (tw_report_seed(ctx, sk, address, task))
    return;
  if (sk->__sk_common.skc_state == TCP_LISTEN && !tw_tracked_at(sk, address, 1) && tw_walk_mode == TW_WALK_ALL)
    tw_count_unswept();
}

SEC("iter/task_file")
int tw_walk(struct bpf_iter__task_file *ctx) {
  struct task_struct *task = ctx->task;
  struct file *file = ctx->file;
  __u64 address = 0;
  struct sock *sk;

  if (tw_walk_mode == TW_WALK_SUSPECT) {
    tw_begin_walk();
    if (tw_enter_process(ctx->meta->seq, task ? task->tgid : 0))
      return 0;
  }
  if (!task || !file)
    return 0;
  tw_walk_files++;
  if (tw_walk_mode == TW_WALK_LEARN) {
    tw_learn(ctx, task, file);
    return 0;
  }
  sk = tw_socket_of(file, &address);
  if (sk)
    tw_visit(ctx, sk, address, task, file);
  return 0;
}
