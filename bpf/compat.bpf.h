/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between kernels, each with an accessor. The question is always put to BTF (does the field exist?),
 * never to a version number: distributions backport.
 */
#ifndef TCPWHY_COMPAT_BPF_H
#define TCPWHY_COMPAT_BPF_H

#define TW_AF_INET 2
#define TW_AF_INET6 10
#define TW_IPPROTO_TCP 6
#define TW_PF_KTHREAD 0x00200000
#define TW_PF_EXITING 0x00000004

/* enum sock_flags */
#define TW_SOCK_DEAD 0
#define TW_SOCK_KEEPOPEN 3
#define TW_SOCK_LINGER 4

/* The retransmit timer's expiry: icsk_timeout until 6.14, icsk_retransmit_timer until 6.18, then in struct sock. */
struct inet_connection_sock___timeout {
  unsigned long icsk_timeout;
} __attribute__((preserve_access_index));
struct inet_connection_sock___timer {
  struct timer_list icsk_retransmit_timer;
} __attribute__((preserve_access_index));
struct sock___timer {
  struct timer_list tcp_retransmit_timer;
} __attribute__((preserve_access_index));

static __always_inline unsigned long tw_timer_expires(const struct sock *sk) {
  struct inet_connection_sock___timeout *old = (void *)sk;
  struct inet_connection_sock___timer *middle = (void *)sk;
  struct sock___timer *recent = (void *)sk;

  if (bpf_core_field_exists(old->icsk_timeout))
    return BPF_CORE_READ(old, icsk_timeout);
  if (bpf_core_field_exists(recent->tcp_retransmit_timer))
    return BPF_CORE_READ(recent, tcp_retransmit_timer.expires);
  return BPF_CORE_READ(middle, icsk_retransmit_timer.expires);
}

/* icsk_rto_max: 6.15 and later; before, TCP_RTO_MAX is 120 s. */
struct inet_connection_sock___rto_max {
  __u32 icsk_rto_max;
} __attribute__((preserve_access_index));

static __always_inline __u32 tw_rto_max_jiffies(const struct sock *sk, __u32 hz) {
  struct inet_connection_sock___rto_max *icsk = (void *)sk;

  if (bpf_core_field_exists(icsk->icsk_rto_max))
    return BPF_CORE_READ(icsk, icsk_rto_max);
  return 120 * hz;
}

/* retrans_stamp counts microseconds where tcp_usec_ts (6.7 and later) is set, else milliseconds. */
struct tcp_sock___usec {
  __u8 tcp_usec_ts : 1;
} __attribute__((preserve_access_index));

static __always_inline int tw_stamps_in_usec(const struct sock *sk) {
  struct tcp_sock___usec *tp = (void *)sk;

  if (bpf_core_field_exists(tp->tcp_usec_ts))
    return BPF_CORE_READ_BITFIELD_PROBED(tp, tcp_usec_ts);
  return 0;
}

/* sk_cgrp_data.cgroup: a pointer from 5.15; before, a union that is only one when its two low bits are clear. */
struct sock_cgroup_data___pointer {
  struct cgroup *cgroup;
} __attribute__((preserve_access_index));
struct sock_cgroup_data___union {
  __u64 val;
} __attribute__((preserve_access_index));
struct cgroup___tw {
  struct kernfs_node *kn;
} __attribute__((preserve_access_index));

static __always_inline __u64 tw_cgroup_id(const struct sock *sk) {
  struct sock_cgroup_data___pointer *data = (void *)__builtin_preserve_access_index(&sk->sk_cgrp_data);
  struct sock_cgroup_data___union *older = (void *)data;
  struct cgroup___tw *cgroup;
  __u64 value;

  if (bpf_core_field_exists(data->cgroup)) {
    cgroup = (void *)BPF_CORE_READ(data, cgroup);
  } else {
    value = BPF_CORE_READ(older, val);
    cgroup = (value & 3) ? NULL : (void *)value;
  }
  return cgroup ? BPF_CORE_READ(cgroup, kn, id) : 0;
}

/* sk_protocol was a bit-field before 5.6 and is a u16 on every kernel supported here; kept as the one place to change. */
static __always_inline int tw_is_tcp(const struct sock *sk) { return sk->sk_protocol == TW_IPPROTO_TCP; }

#endif
