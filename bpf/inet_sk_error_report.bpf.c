// SPDX-License-Identifier: GPL-2.0-only
/*
 * sock:inet_sk_error_report, TP_PROTO(const struct sock *sk), since 5.14
 *
 * For TCP: fired by tcp_write_err() before the write queue is purged, the last moment at which a time-out's facts are
 * whole. Errors that an RST brought have their own event.
 */
#include "tcpwhy.bpf.h"

#define TW_EPIPE 32
#define TW_ECONNRESET 104
#define TW_ECONNREFUSED 111

SEC("tp_btf/inet_sk_error_report")
int BPF_PROG(tw_inet_sk_error_report, const struct sock *sk) {
  struct tw_socket_error *record;
  int err = sk->sk_err;

  if (!tw_is_tcp(sk) || !err || err == TW_EPIPE || err == TW_ECONNRESET || err == TW_ECONNREFUSED)
    return 0;
  if (!tw_sk_passes(sk))
    return 0;
  record = tw_reserve(TW_KIND_SOCKET_ERROR, sizeof(*record));
  if (!record)
    return 0;
  tw_fill_socket(&record->socket, sk);
  record->socket.id = tw_id(sk);
  tw_fill_connector(&record->owner, record->socket.id);
  tw_submit(record);
  return 0;
}
