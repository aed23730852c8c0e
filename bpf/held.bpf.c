// SPDX-License-Identifier: GPL-2.0-only
/*
 * The count of what processes hold, for `tcpwhy top`, and as a run with a filter begins and ends: a record for each TCP socket of each process, in every network
 * namespace, without a socket lock. Nothing else loads it, and it changes nothing that the other programs look at.
 */
#include "tcpwhy.bpf.h"

SEC("iter/task_file")
int tw_held(struct bpf_iter__task_file *ctx) {
  struct task_struct *task = ctx->task;
  struct file *file = ctx->file;
  struct tw_held record = {};
  struct tw_owner owner = {};
  const struct tcp_sock *tp;
  __u64 address = 0;
  struct sock *sk;

  if (!task || !file)
    return 0;
  sk = tw_socket_of(file, &address);
  if (!sk || !tw_is_open_tcp(sk) || !tw_sk_passes(sk))
    return 0;
  tw_fill_task(&owner, task);
  if (!owner.pid)
    return 0;
  record.header.kind = TW_KIND_HELD;
  record.header.size = sizeof(record);
  record.id = address;
  record.pid = owner.pid;
  record.start_ns = owner.start_ns;
  __builtin_memcpy(record.comm, owner.comm, sizeof(record.comm));
  tw_fill_tuple(&record.tuple, sk, 1);
  record.cgroup_id = tw_cgroup_id(sk);
  record.state = sk->__sk_common.skc_state;
  tp = record.state == TCP_LISTEN ? NULL : tw_tcp_of(sk);
  if (tp) {
    record.unread = tp->rcv_nxt - tp->copied_seq;
    record.unacked = tp->write_seq - tp->snd_una;
  }
  /* What does not fit now is written when the kernel shows this file once more (bpf/sweep.bpf.c): nothing is to be undone. */
  (void)bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
  return 0;
}
