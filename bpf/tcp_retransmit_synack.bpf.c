// SPDX-License-Identifier: GPL-2.0-only
/*
 * tcp:tcp_retransmit_synack, TP_PROTO(const struct sock *sk, const struct request_sock *req)
 *
 * sk is the listener (with TCP Fast Open it is the child, which has its own timer: left out). Fires before num_retrans
 * and num_timeout are counted up. Inside the timer handler the request's timer is detached; when a duplicate SYN
 * caused it, the timer still waits (net/ipv4/inet_connection_sock.c reqsk_timer_handler, tcp_minisocks.c tcp_check_req).
 */
#include "tcpwhy.bpf.h"

static __always_inline void tw_fill_request(struct tw_synack_retransmit *record, const struct request_sock *req) {
  const struct inet_request_sock *ireq = (const void *)req;
  const struct tcp_request_sock *treq = (const void *)req;
  struct tw_tuple *tuple = &record->request;
  __u64 snt_synack = BPF_CORE_READ(treq, snt_synack);

  if (BPF_CORE_READ(req, __req_common.skc_family) == TW_AF_INET) {
    tw_map_v4(tuple->local, BPF_CORE_READ(req, __req_common.skc_rcv_saddr));
    tw_map_v4(tuple->remote, BPF_CORE_READ(req, __req_common.skc_daddr));
  } else {
    BPF_CORE_READ_INTO((struct in6_addr *)tuple->local, req, __req_common.skc_v6_rcv_saddr);
    BPF_CORE_READ_INTO((struct in6_addr *)tuple->remote, req, __req_common.skc_v6_daddr);
  }
  tuple->local_port = BPF_CORE_READ(req, __req_common.skc_num);
  tuple->remote_port = bpf_ntohs(BPF_CORE_READ(req, __req_common.skc_dport));
  record->acked = BPF_CORE_READ_BITFIELD_PROBED(ireq, acked);
  record->num_timeout = BPF_CORE_READ_BITFIELD_PROBED(req, num_timeout);
  record->num_retrans = BPF_CORE_READ(req, num_retrans);
  record->by_timer = BPF_CORE_READ(req, rsk_timer.entry.pprev) == NULL;
  record->client_isn = BPF_CORE_READ(treq, rcv_isn);
  record->server_isn = BPF_CORE_READ(treq, snt_isn);
  record->synack_age_ms = snt_synack ? (bpf_ktime_get_ns() / 1000 - snt_synack) / 1000 : TW_NEVER;
}

/* The client's socket, where the same two ISNs became ESTABLISHED on this host. */
static __always_inline void tw_fill_client(struct tw_synack_retransmit *record) {
  struct tw_handshake *slot = tw_handshake_slot(record->client_isn, record->server_isn);
  __u64 established_ns, id;

  if (!slot)
    return;
  established_ns = TW_LOAD_ONCE(slot->established_ns);
  id = TW_LOAD_ONCE(slot->id);
  if (!established_ns || TW_LOAD_ONCE(slot->client_isn) != record->client_isn ||
      TW_LOAD_ONCE(slot->server_isn) != record->server_isn || TW_LOAD_ONCE(slot->established_ns) != established_ns)
    return;
  record->client_id = id;
  record->client_established_ns = established_ns;
  tw_fill_connector(&record->client_owner, id);
}

SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(tw_tcp_retransmit_synack, const struct sock *sk, const struct request_sock *req) {
  struct tw_synack_retransmit *record;

  if (!tw_is_tcp(sk) || sk->__sk_common.skc_state != TCP_LISTEN || !tw_sk_passes(sk))
    return 0;
  record = tw_reserve(TW_KIND_SYNACK_RETRANSMIT, sizeof(*record));
  if (!record)
    return 0;
  tw_fill_socket(&record->listener, sk);
  record->listener.id = tw_id(sk);
  record->request.netns = record->listener.tuple.netns;
  record->request_id = tw_request_id(req);
  tw_fill_request(record, req);
  tw_fill_client(record);
  if (!tw_passes(&record->request)) {
    bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
    return 0;
  }
  tw_submit(record);
  return 0;
}
