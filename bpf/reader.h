/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Values of the map tw_readers, which both sides read. */
#ifndef TCPWHY_READER_H
#define TCPWHY_READER_H

/*
 * The proof that a process reads. read_ns is a moment at or before its latest read, and not before the read that is proven:
 * the arrival of data that was read since, or the look before the one that found more copied from the same sockets. A
 * process that opened or closed a socket between two looks has read nothing as far as the sums tell.
 */
struct tw_reader {
  __u64 copied;   /* sum of copied_seq of its sockets */
  __u64 identity; /* sum over what tells its sockets from others, and never changes of one */
  __u64 looked_ns;
  __u64 read_ns; /* 0: never seen to read */
  __u32 sockets;
  __u32 reserved;
};

#endif
