// SPDX-License-Identifier: GPL-2.0-only
/*
 * tcp:tcp_receive_reset, TP_PROTO(struct sock *sk)
 *
 * Fired at the head of tcp_reset(): sequence numbers and queues are still whole. It also fires when this end is about to
 * send an RST because data came after shutdown: then a tcp_send_reset of the same socket follows.
 */
#include "tcpwhy.bpf.h"

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tw_tcp_receive_reset, const struct sock *sk) {
  struct tw_reset_received *record;

  if (!tw_is_tcp(sk) || !tw_sk_passes(sk))
    return 0;
  record = tw_reserve(TW_KIND_RESET_RECEIVED, sizeof(*record));
  if (!record)
    return 0;
  tw_fill_socket(&record->socket, sk);
  record->socket.id = tw_id(sk);
  tw_fill_connector(&record->owner, record->socket.id);
  tw_submit(record);
  return 0;
}
