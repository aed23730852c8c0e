// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk over the files of all processes: every TCP socket that a process holds, with that process. It runs at start
 * over all of them (connections and listeners that were there before), later only for sockets that a finding asks for.
 * Sees every network namespace; children still in an accept queue and orphans have no file and are not seen.
 */
#include "tcpwhy.bpf.h"

#define TW_SOCK_STREAM 1

static __always_inline int tw_is_wanted(const struct sock *sk) {
  struct tw_tuple key = {};

  tw_fill_tuple(&key, sk, 1);
  key.netns = 0;
  return bpf_map_lookup_elem(&tw_wanted, &key) != NULL;
}

SEC("iter/task_file")
int tw_walk(struct bpf_iter__task_file *ctx) {
  struct task_struct *task = ctx->task;
  struct file *file = ctx->file;
  struct tw_seed record = {};
  struct socket *sock;
  struct sock *sk;
  __u8 state;

  if (!task || !file)
    return 0;
  sock = bpf_sock_from_file(file);
  if (!sock)
    return 0;
  sk = sock->sk;
  if (!sk || sk->sk_protocol != TW_IPPROTO_TCP || sk->sk_type != TW_SOCK_STREAM)
    return 0;
  if (sk->__sk_common.skc_family != TW_AF_INET && sk->__sk_common.skc_family != TW_AF_INET6)
    return 0;
  state = sk->__sk_common.skc_state;
  if (state == TCP_CLOSE || (!tw_walk_all && !tw_is_wanted(sk)))
    return 0;
  if (state == TCP_LISTEN)
    bpf_sk_storage_get(&tw_tracked, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
  tw_fill_header(&record.header, TW_KIND_SEED, sizeof(record));
  tw_fill_socket(&record.socket, sk);
  record.socket.id = bpf_get_socket_cookie(sk);
  tw_fill_task(&record.owner, task);
  record.owner.source = TW_OWNER_FILE;
  record.owner.fd = ctx->fd;
  bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
  return 0;
}
