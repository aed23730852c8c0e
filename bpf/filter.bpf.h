/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The part of the filters that the kernel side can decide: ports and addresses. A tuple passes as one end sees it or
 * as the other end does, so that a filter never separates the two ends of a connection; user space then decides exactly.
 */
#ifndef TCPWHY_FILTER_BPF_H
#define TCPWHY_FILTER_BPF_H

static __always_inline int tw_port_listed(__u16 port) {
  __u32 word = port >> 6;
  __u64 *bits = bpf_map_lookup_elem(&tw_ports, &word);

  return bits && (*bits >> (port & 63)) & 1;
}

static __always_inline int tw_in_net(const __u8 *addr, const volatile __u8 *net, const volatile __u8 *mask) {
  const volatile __u64 *n = (const volatile __u64 *)net, *m = (const volatile __u64 *)mask;
  __u64 a[2];

  __builtin_memcpy(a, addr, 16);
  return (a[0] & m[0]) == n[0] && (a[1] & m[1]) == n[1];
}

static __always_inline int tw_passes(const struct tw_tuple *tuple) {
  int as_is, mirrored;

  if (tw_config.filter_ports && !tw_port_listed(tuple->local_port) && !tw_port_listed(tuple->remote_port))
    return 0;
  if (!tw_config.filter_local && !tw_config.filter_remote)
    return 1;
  as_is = (!tw_config.filter_local || tw_in_net(tuple->local, tw_config.local_net, tw_config.local_mask)) &&
          (!tw_config.filter_remote || tw_in_net(tuple->remote, tw_config.remote_net, tw_config.remote_mask));
  mirrored = (!tw_config.filter_local || tw_in_net(tuple->remote, tw_config.local_net, tw_config.local_mask)) &&
             (!tw_config.filter_remote || tw_in_net(tuple->local, tw_config.remote_net, tw_config.remote_mask));
  return as_is || mirrored;
}

static __always_inline int tw_filtering(void) {
  return tw_config.filter_ports || tw_config.filter_local || tw_config.filter_remote;
}

/* A listener on a wildcard address must not be lost to an address filter: only its port counts. */
static __always_inline int tw_passes_listener(const struct tw_tuple *tuple) {
  return !tw_config.filter_ports || tw_port_listed(tuple->local_port);
}

static __always_inline int tw_sk_passes(const struct sock *sk) {
  struct tw_tuple tuple = {};

  if (!tw_filtering())
    return 1;
  tw_fill_tuple(&tuple, sk, 1);
  return BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN ? tw_passes_listener(&tuple) : tw_passes(&tuple);
}

#endif
