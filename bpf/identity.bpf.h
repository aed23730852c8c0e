/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which socket is this, is it tracked, who runs? The kernel's cookie, a socket storage and the current task answer, where
 * tracing programs may ask for them (5.12). Before, a number of our own stands for the cookie, given at a socket's birth
 * and kept by its address, for the slab uses addresses again; and a hash by address for the storage. Callers see no
 * difference.
 *
 * From 7.0 on there are storages, but no safe walk over them (bpf_sk_storage_map: the kernel follows a pointer that a closing
 * socket clears meanwhile). There the hash is what is swept, and an empty storage marks who is in it.
 *
 * Programs on such kernels get no socket from a file or from that hash, only its address: walks look at a copy
 * (tw_copy_socket). Hence the functions that take an address beside the socket.
 */
#ifndef TCPWHY_IDENTITY_BPF_H
#define TCPWHY_IDENTITY_BPF_H

/* The highest bit is user space's, for connections that it has no id of. */
#define TW_ID_BITS 0x7fffffffffffffffULL

static __always_inline __u64 tw_give_id(__u64 address, __u64 id) {
  bpf_map_update_elem(&tw_ids, &address, &id, BPF_ANY);
  return id;
}

/* No atomic counter can be read before 5.12; the same nanosecond comes once on a CPU. */
static __always_inline __u64 tw_fresh_id(void) {
  return (bpf_ktime_get_ns() ^ ((__u64)bpf_get_smp_processor_id() << 56)) & TW_ID_BITS;
}

/* A request and the child that it becomes share an id: both know the two initial sequence numbers. */
static __always_inline __u64 tw_isn_id(__u32 client_isn, __u32 server_isn) {
  return ((__u64)client_isn << 32 | server_isn) & TW_ID_BITS;
}

static __always_inline __u64 tw_known_id_at(const struct sock *sk, __u64 address) {
  __u64 *id;

  if (tw_config.has_cookies)
    return BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
  id = bpf_map_lookup_elem(&tw_ids, &address);
  return id ? *id : 0;
}

/* The id, 0 where the socket was given none yet. */
static __always_inline __u64 tw_known_id(const struct sock *sk) { return tw_known_id_at(sk, (__u64)sk); }

static __always_inline __u64 tw_id_at(const struct sock *sk, __u64 address) {
  __u64 id;

  if (tw_config.has_cookies)
    return bpf_get_socket_cookie((void *)sk);
  id = tw_known_id_at(sk, address);
  return id ? id : tw_give_id(address, tw_fresh_id());
}

/* The id, given now where the socket had none. */
static __always_inline __u64 tw_id(const struct sock *sk) { return tw_id_at(sk, (__u64)sk); }

static __always_inline __u64 tw_request_id(const struct request_sock *req) {
  const struct tcp_request_sock *treq = (const void *)req;

  if (tw_config.has_cookies)
    return bpf_get_socket_cookie((void *)req);
  return tw_isn_id(BPF_CORE_READ(treq, rcv_isn), BPF_CORE_READ(treq, snt_isn));
}

/* Without cookies: whatever had this address before is another. */
static __always_inline void tw_note_birth(const struct sock *sk, int from, int to) {
  const struct tcp_sock *tp = (const void *)sk;

  if (tw_config.has_cookies)
    return;
  if (to == TCP_SYN_SENT || to == TCP_LISTEN)
    tw_give_id((__u64)sk, tw_fresh_id());
  else if (from == TCP_SYN_RECV && to == TCP_ESTABLISHED && sk->sk_max_ack_backlog)
    tw_give_id((__u64)sk, tw_isn_id(BPF_CORE_READ(tp, rcv_nxt) - 1, BPF_CORE_READ(tp, snd_una) - 1));
}

static __always_inline void tw_note_end(const struct sock *sk, int to) {
  __u64 address = (__u64)sk;

  if (tw_config.sweeps_storages || to != TCP_CLOSE)
    return;
  if (!tw_config.has_cookies || sk->sk_bpf_storage)
    bpf_map_delete_elem(&tw_tracked_by_address, &address);
}

/* NULL: it is not tracked, or (create) there is no room for one more. */
static __always_inline struct tw_tracked *tw_tracked_at(struct sock *sk, __u64 address, int create) {
  struct tw_tracked *tracked, fresh = {};

  if (tw_config.sweeps_storages)
    return bpf_sk_storage_get(&tw_tracked, sk, NULL, create ? BPF_SK_STORAGE_GET_F_CREATE : 0);
  tracked = bpf_map_lookup_elem(&tw_tracked_by_address, &address);
  if (!create)
    return tracked;
  fresh.id = tw_id_at(sk, address);
  if (tracked) {
    if (tracked->id != fresh.id)
      *tracked = fresh; /* of a socket whose end was missed */
    return tracked;
  }
  /* Without its mark the entry would stay when the socket ends. */
  if (tw_config.has_cookies && !bpf_sk_storage_get(&tw_tracked, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE))
    return NULL;
  bpf_map_update_elem(&tw_tracked_by_address, &address, &fresh, BPF_NOEXIST);
  return bpf_map_lookup_elem(&tw_tracked_by_address, &address);
}

static __always_inline int tw_track(const struct sock *sk) { return tw_tracked_at((void *)sk, (__u64)sk, 1) != NULL; }

/* Any storage is ours as a rule: one load, where a look into the map would be a call for each transition. */
static __always_inline int tw_is_tracked(const struct sock *sk) {
  if (tw_config.has_cookies)
    return sk->sk_bpf_storage != NULL;
  return tw_tracked_at((void *)sk, (__u64)sk, 0) != NULL;
}

/* In walks: the fields of a tcp_sock as plain loads. */
static __always_inline const struct tcp_sock *tw_tcp_of(struct sock *sk) {
  if (tw_config.has_cookies)
    return bpf_skc_to_tcp_sock(sk);
  return (const struct tcp_sock *)sk;
}

/* In walks without a socket from the kernel: the one at this address, as it is now. Only one walk runs at a time. */
static __always_inline struct sock *tw_copy_socket(__u64 address) {
  if (bpf_probe_read_kernel(&tw_copy, bpf_core_type_size(struct tcp_sock), (const void *)address))
    return NULL;
  return (struct sock *)&tw_copy;
}

static __always_inline struct sock *tw_copy_tcp_socket(__u64 address) {
  const struct sock *sk = (const struct sock *)address;
  __u16 family;

  if (!sk || BPF_CORE_READ(sk, sk_protocol) != TW_IPPROTO_TCP)
    return NULL;
  family = BPF_CORE_READ(sk, __sk_common.skc_family);
  return family == TW_AF_INET || family == TW_AF_INET6 ? tw_copy_socket(address) : NULL;
}

/* The socket of an open file, NULL where it is none; *address is where it truly is. */
static __always_inline struct sock *tw_socket_of(struct file *file, __u64 *address) {
  struct socket *sock;

  if (tw_config.has_cookies) {
    struct sock *sk;

    sock = bpf_sock_from_file(file);
    sk = sock ? sock->sk : NULL;
    *address = (__u64)sk;
    return sk;
  }
  if ((__u64)BPF_CORE_READ(file, f_op) != tw_socket_ops)
    return NULL;
  sock = BPF_CORE_READ(file, private_data);
  *address = (__u64)BPF_CORE_READ(sock, sk);
  return tw_copy_tcp_socket(*address);
}

#endif
