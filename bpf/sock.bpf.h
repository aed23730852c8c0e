/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reading sockets. tw_fill_... go through probe reads, so that one piece of code serves trusted pointers, pointers that
 * may be NULL and pointers found by walking, on every kernel: none of them runs for a healthy connection. tw_load_... are
 * plain loads, for the hot hook: only of a socket that the verifier knows.
 */
#ifndef TCPWHY_SOCK_BPF_H
#define TCPWHY_SOCK_BPF_H

#define TW_SOCK_STREAM 1

static __always_inline void tw_map_v4(__u8 *to, __be32 addr) {
  __builtin_memset(to, 0, 10);
  to[10] = 0xff;
  to[11] = 0xff;
  __builtin_memcpy(to + 12, &addr, 4);
}

/* An open TCP socket, of either IP version; of a socket that the verifier knows, or a copy. */
static __always_inline int tw_is_open_tcp(const struct sock *sk) {
  if (sk->sk_protocol != TW_IPPROTO_TCP || sk->sk_type != TW_SOCK_STREAM)
    return 0;
  if (sk->__sk_common.skc_family != TW_AF_INET && sk->__sk_common.skc_family != TW_AF_INET6)
    return 0;
  return sk->__sk_common.skc_state != TCP_CLOSE;
}

/* For full sockets and minisockets alike; the local port from inet_sport, for skc_num is 0 once closed. */
static __always_inline void tw_fill_tuple(struct tw_tuple *tuple, const struct sock *sk, int full) {
  __u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

  if (family == TW_AF_INET) {
    tw_map_v4(tuple->local, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
    tw_map_v4(tuple->remote, BPF_CORE_READ(sk, __sk_common.skc_daddr));
  } else {
    BPF_CORE_READ_INTO((struct in6_addr *)tuple->local, sk, __sk_common.skc_v6_rcv_saddr);
    BPF_CORE_READ_INTO((struct in6_addr *)tuple->remote, sk, __sk_common.skc_v6_daddr);
  }
  tuple->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
  if (full && !tuple->local_port)
    tuple->local_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
  tuple->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
  tuple->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

/*
 * The same by plain loads, which cost a fraction of probe reads: of a socket that the verifier knows, with the same as a
 * tcp_sock.
 */
static __always_inline void tw_load_remote(struct tw_tuple *tuple, const struct sock *sk) {
  if (sk->__sk_common.skc_family == TW_AF_INET)
    tw_map_v4(tuple->remote, sk->__sk_common.skc_daddr);
  else
    __builtin_memcpy(tuple->remote, &sk->__sk_common.skc_v6_daddr, 16);
  tuple->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
  tuple->netns = sk->__sk_common.skc_net.net->ns.inum;
}

static __always_inline void tw_load_tuple(struct tw_tuple *tuple, const struct sock *sk, const struct tcp_sock *tp) {
  tw_load_remote(tuple, sk);
  if (sk->__sk_common.skc_family == TW_AF_INET)
    tw_map_v4(tuple->local, sk->__sk_common.skc_rcv_saddr);
  else
    __builtin_memcpy(tuple->local, &sk->__sk_common.skc_v6_rcv_saddr, 16);
  tuple->local_port = sk->__sk_common.skc_num;
  if (!tuple->local_port)
    tuple->local_port = bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport);
}

static __always_inline __u32 tw_jiffies_to_ms(__u32 jiffies) {
  return (__u32)((__u64)jiffies * 1000 / (tw_config.hz ? tw_config.hz : 250));
}

/* Age of a 32-bit jiffies stamp; TW_NEVER for a stamp that was never set. */
static __always_inline __u32 tw_age_ms(__u32 now, __u32 stamp) {
  __s32 age = (__s32)(now - stamp);

  if (!stamp)
    return TW_NEVER;
  return age < 0 ? 0 : tw_jiffies_to_ms(age);
}

static __always_inline __u32 tw_sk_flags(const struct sock *sk) {
  unsigned long flags = BPF_CORE_READ(sk, __sk_common.skc_flags);
  __u32 result = TW_SK_FULL;

  if (flags & (1UL << TW_SOCK_DEAD))
    result |= TW_SK_DEAD;
  if (flags & (1UL << TW_SOCK_KEEPOPEN))
    result |= TW_SK_KEEPALIVE;
  if (flags & (1UL << TW_SOCK_LINGER)) {
    result |= TW_SK_LINGER;
    if (!BPF_CORE_READ(sk, sk_lingertime))
      result |= TW_SK_LINGER_ZERO;
  }
  if (BPF_CORE_READ(sk, sk_socket))
    result |= TW_SK_HAS_SOCKET;
  if (BPF_CORE_READ(sk, sk_max_ack_backlog) && BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_LISTEN)
    result |= TW_SK_ACCEPTED;
  return result;
}

static __noinline int tw_fill_sequences(struct tw_socket *out, const struct tcp_sock *tp) {
  __u32 advertised_end, rcv_nxt;

  if (!out || !tp)
    return 0;
  out->snd_una = BPF_CORE_READ(tp, snd_una);
  out->snd_nxt = BPF_CORE_READ(tp, snd_nxt);
  out->write_seq = BPF_CORE_READ(tp, write_seq);
  rcv_nxt = BPF_CORE_READ(tp, rcv_nxt);
  out->rcv_nxt = rcv_nxt;
  out->copied_seq = BPF_CORE_READ(tp, copied_seq);
  out->snd_wnd = BPF_CORE_READ(tp, snd_wnd);
  advertised_end = BPF_CORE_READ(tp, rcv_wup) + BPF_CORE_READ(tp, rcv_wnd);
  out->rcv_wnd = (__s32)(advertised_end - rcv_nxt) > 0 ? advertised_end - rcv_nxt : 0;
  out->mss = BPF_CORE_READ(tp, mss_cache);
  out->rcv_mss = BPF_CORE_READ(tp, inet_conn.icsk_ack.rcv_mss);
  out->packets_out = BPF_CORE_READ(tp, packets_out);
  out->total_retrans = BPF_CORE_READ(tp, total_retrans);
  out->srtt_us = BPF_CORE_READ(tp, srtt_us) >> 3;
  out->bytes_acked = BPF_CORE_READ(tp, bytes_acked);
  out->bytes_received = BPF_CORE_READ(tp, bytes_received);
  if (out->write_seq != out->snd_nxt)
    out->flags |= TW_SK_WRITE_QUEUE;
  return 0;
}

static __noinline int tw_fill_timers(struct tw_socket *out, const struct sock *sk) {
  const struct inet_connection_sock *icsk = (const void *)sk;
  const struct tcp_sock *tp = (const void *)sk;
  __u64 jiffies = bpf_jiffies64();
  __u32 now = (__u32)jiffies, stamp;
  __s64 left;

  if (!out || !sk)
    return 0;
  out->ca_state = BPF_CORE_READ_BITFIELD_PROBED(icsk, icsk_ca_state);
  out->timer = BPF_CORE_READ(icsk, icsk_pending);
  out->retransmits = BPF_CORE_READ(icsk, icsk_retransmits);
  out->backoff = BPF_CORE_READ(icsk, icsk_backoff);
  out->probes_out = BPF_CORE_READ(icsk, icsk_probes_out);
  out->own_syn_retries = BPF_CORE_READ(icsk, icsk_syn_retries);
  out->rto_us = tw_jiffies_to_ms(BPF_CORE_READ(icsk, icsk_rto)) * 1000;
  out->rto_max_ms = tw_jiffies_to_ms(tw_rto_max_jiffies(sk, tw_config.hz));
  out->user_timeout_ms = BPF_CORE_READ(icsk, icsk_user_timeout);
  left = out->timer ? (__s32)((__u32)tw_timer_expires(sk) - now) : 0; /* stale where none is armed */
  out->timer_ms = left < 0 ? -(__s32)tw_jiffies_to_ms((__u32)-left) : (__s32)tw_jiffies_to_ms((__u32)left);
  out->sent_age_ms = tw_age_ms(now, BPF_CORE_READ(tp, lsndtime));
  out->received_age_ms = tw_age_ms(now, BPF_CORE_READ(icsk, icsk_ack.lrcvtime));
  out->segment_age_ms = tw_age_ms(now, BPF_CORE_READ(tp, rcv_tstamp));
  stamp = BPF_CORE_READ(tp, retrans_stamp);
  out->retrans_age_ms = TW_NEVER;
  if (stamp && tw_stamps_in_usec(sk))
    out->retrans_age_ms = ((__u32)(bpf_ktime_get_ns() / 1000) - stamp) / 1000;
  else if (stamp)
    out->retrans_age_ms = (__u32)(bpf_ktime_get_ns() / 1000000) - stamp;
  if (out->retrans_age_ms > 0x7fffffff && out->retrans_age_ms != TW_NEVER)
    out->retrans_age_ms = 0;
  out->keepalive_ms = tw_jiffies_to_ms(BPF_CORE_READ(tp, keepalive_time));
  return 0;
}

static __noinline int tw_fill_queue(struct tw_socket *out, const struct sock *sk) {
  const struct inet_connection_sock *icsk = (const void *)sk;
  struct request_sock *head;
  struct tcp_sock *child;

  if (!out || !sk)
    return 0;
  out->flags |= TW_SK_LISTENER;
  out->queue = BPF_CORE_READ(sk, sk_ack_backlog);
  out->limit = BPF_CORE_READ(sk, sk_max_ack_backlog);
  out->requests = BPF_CORE_READ(icsk, icsk_accept_queue.qlen.counter);
  out->young = BPF_CORE_READ(icsk, icsk_accept_queue.young.counter);
  out->defer = BPF_CORE_READ(icsk, icsk_accept_queue.rskq_defer_accept);
  out->head_age_ms = TW_NEVER;
  head = BPF_CORE_READ(icsk, icsk_accept_queue.rskq_accept_head);
  child = head ? (struct tcp_sock *)BPF_CORE_READ(head, sk) : NULL;
  if (child) {
    out->head_age_ms = tw_age_ms((__u32)bpf_jiffies64(), BPF_CORE_READ(child, lsndtime));
    out->head_port = bpf_ntohs(BPF_CORE_READ((struct sock *)child, __sk_common.skc_dport));
  }
  return 0;
}

static __noinline int tw_fill_limits(struct tw_socket *out, const struct sock *sk) {
  struct net *net;

  if (!out || !sk)
    return 0;
  net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
  out->sysctl_retries2 = BPF_CORE_READ(net, ipv4.sysctl_tcp_retries2);
  out->sysctl_syn_retries = BPF_CORE_READ(net, ipv4.sysctl_tcp_syn_retries);
  out->sysctl_synack_retries = BPF_CORE_READ(net, ipv4.sysctl_tcp_synack_retries);
  out->sysctl_orphan_retries = BPF_CORE_READ(net, ipv4.sysctl_tcp_orphan_retries);
  if (!out->keepalive_ms)
    out->keepalive_ms = tw_jiffies_to_ms(BPF_CORE_READ(net, ipv4.sysctl_tcp_keepalive_time));
  return 0;
}

/* The facts of any socket; of a minisocket (TIME_WAIT, a request) only tuple and state. The id is the caller's. */
static __always_inline void tw_fill_socket(struct tw_socket *out, const struct sock *sk) {
  __u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
  int full = state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV;

  out->state = state;
  tw_fill_tuple(&out->tuple, sk, full);
  if (!full) {
    out->flags = TW_SK_MINI;
    return;
  }
  out->flags = tw_sk_flags(sk);
  out->cgroup_id = tw_cgroup_id(sk);
  out->err = BPF_CORE_READ(sk, sk_err);
  out->err_soft = BPF_CORE_READ(sk, sk_err_soft);
  out->shutdown = BPF_CORE_READ(sk, sk_shutdown);
  out->drops = BPF_CORE_READ(sk, sk_drops.counter);
  tw_fill_sequences(out, (const void *)sk);
  tw_fill_timers(out, sk);
  tw_fill_limits(out, sk);
  if (state == TCP_LISTEN)
    tw_fill_queue(out, sk);
}

/* Headers of a segment, as bytes in memory; both IP versions, no IPv6 extension headers. */
static __always_inline int tw_read_segment(const struct sk_buff *skb, struct tw_segment *segment,
                                           struct tw_tuple *tuple) {
  unsigned char *head = BPF_CORE_READ(skb, head);
  __u16 network = BPF_CORE_READ(skb, network_header);
  struct ipv6hdr ip6 = {};
  struct tcphdr tcp = {};
  struct iphdr ip = {};
  __u32 offset, total;

  if (bpf_probe_read_kernel(&ip, sizeof(ip), head + network))
    return 0;
  if (ip.version == 4 && ip.protocol == TW_IPPROTO_TCP) {
    tw_map_v4(tuple->local, ip.daddr);
    tw_map_v4(tuple->remote, ip.saddr);
    offset = ip.ihl * 4;
    total = bpf_ntohs(ip.tot_len);
  } else if (ip.version == 6) {
    if (bpf_probe_read_kernel(&ip6, sizeof(ip6), head + network) || ip6.nexthdr != TW_IPPROTO_TCP)
      return 0;
    __builtin_memcpy(tuple->local, &ip6.daddr, 16);
    __builtin_memcpy(tuple->remote, &ip6.saddr, 16);
    offset = sizeof(ip6);
    total = bpf_ntohs(ip6.payload_len) + sizeof(ip6);
  } else {
    return 0;
  }
  if (bpf_probe_read_kernel(&tcp, sizeof(tcp), head + network + offset))
    return 0;
  tuple->local_port = bpf_ntohs(tcp.dest);
  tuple->remote_port = bpf_ntohs(tcp.source);
  segment->seq = bpf_ntohl(tcp.seq);
  segment->ack_seq = bpf_ntohl(tcp.ack_seq);
  segment->flags = (tcp.fin ? 1 : 0) | (tcp.syn ? 2 : 0) | (tcp.rst ? 4 : 0) | (tcp.psh ? 8 : 0) | (tcp.ack ? 16 : 0);
  offset += tcp.doff * 4;
  segment->payload = total > offset ? total - offset : 0;
  segment->valid = 1;
  return 1;
}

#endif
