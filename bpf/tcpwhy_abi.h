/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The contract between the kernel side and user space: every record of the stream, the configuration and the counters.
 *
 * Rules: only fixed-width integers and arrays; every padding byte named; host byte order; append only, kinds never
 * reused; no padding that is not named, and sizes asserted below, so both sides see the same layout. Addresses are 16 bytes, IPv4 as v4-mapped IPv6;
 * ports in host byte order. Numbers that kernels renumber (drop and reset reasons) travel raw, the running kernel's
 * names are read from its BTF. Ages ("_age_ms") are the time between a kernel stamp and the record, TW_NEVER where the
 * stamp was never set.
 */
#ifndef TCPWHY_ABI_H
#define TCPWHY_ABI_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Without padding the order of the members and their sizes give every offset, whoever compiles this. */
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

#define TW_NEVER 0xffffffffU
#define TW_COMM 16

/* Kinds of records. The kernel side makes 1 to 31, user space the rest. */
#define TW_KIND_TRANSITION 1        /* a state change of ordinary life; detectors never see it */
#define TW_KIND_STATE 2             /* a state change that a verdict may need */
#define TW_KIND_RETRANSMIT 3        /* tcp:tcp_retransmit_skb */
#define TW_KIND_SYNACK_RETRANSMIT 4 /* tcp:tcp_retransmit_synack */
#define TW_KIND_RESET_SENT 5        /* tcp:tcp_send_reset */
#define TW_KIND_RESET_RECEIVED 6    /* tcp:tcp_receive_reset */
#define TW_KIND_SOCKET_ERROR 7      /* sock:inet_sk_error_report */
#define TW_KIND_DROP 8              /* skb:kfree_skb, the few reasons that explain a stall */
#define TW_KIND_SEED 9       /* a socket that a process holds, with that process: start, or an answer to a want */
#define TW_KIND_SAMPLE 10    /* a tracked socket, as a sweep found it */
#define TW_KIND_STILL 11     /* tracked sockets in trouble that a sweep found as they were reported last: ids alone */
#define TW_KERNEL_KINDS 16   /* room in the counters */
#define TW_KIND_TICK 32      /* the only clock of the detectors */
#define TW_KIND_LOST 33      /* events that the kernel could not hand over */
#define TW_KIND_SEED_END 34  /* a walk over the sockets of all processes is complete */
#define TW_KIND_SWEEP_END 35 /* a sweep over the tracked sockets is complete */
#define TW_KIND_PROCESS 36   /* observation of one process, an answer to a want */
#define TW_KIND_LIMITED 37   /* events left out by a rate limit; laid out like TW_KIND_LOST */
#define TW_KIND_HOST 38      /* TCP's memory and orphans, where one of them is near its limit */
#define TW_KIND_MIB 39       /* counters of one network namespace, beside a process's observation */
#define TW_KIND_HELD 40      /* what `tcpwhy top` counts: never in the stream, hence in no recording */
#define TW_KIND_CLOCK 41     /* the wall clock was set: its offset from here on */
#define TW_KIND_ACTIVE 42    /* from a walk to the source: never in the stream, hence in no recording */

struct tw_header {
  __u64 time_ns; /* CLOCK_BOOTTIME */
  __u16 kind;    /* TW_KIND_ */
  __u16 size;    /* of the whole record, bytes */
  __u16 cpu;
  __u16 reserved;
};

/* A connection as one end sees it. netns is the inode number of the namespace. */
struct tw_tuple {
  __u8 local[16];
  __u8 remote[16];
  __u16 local_port; /* 0 where not yet bound */
  __u16 remote_port;
  __u32 netns;
};

/* Where an owner comes from; each is certain in itself. */
#define TW_OWNER_NONE 0
#define TW_OWNER_CURRENT 1 /* the calling process at this very transition (process context) */
#define TW_OWNER_CONNECT 2 /* remembered from connect() of the same socket */
#define TW_OWNER_FILE 3    /* holds a file descriptor of the socket (task-file walk) */

#define TW_OWNER_EXITING 1 /* PF_EXITING: exit_code is valid */

struct tw_owner {
  __u64 start_ns; /* of the thread-group leader, CLOCK_BOOTTIME */
  __u32 pid;      /* thread-group id, initial pid namespace */
  __u8 source;    /* TW_OWNER_ */
  __u8 flags;     /* TW_OWNER_EXITING */
  __u16 reserved;
  __u32 exit_code;    /* as wait(2) gives it: signal in the low 7 bits, else status << 8 */
  __u32 fd;           /* TW_OWNER_FILE: the descriptor */
  char comm[TW_COMM]; /* of the thread-group leader */
};

/* Flags of a socket. */
#define TW_SK_FULL 0x1       /* a full socket: everything below is valid */
#define TW_SK_DEAD 0x2       /* orphan: no process holds it (SOCK_DEAD) */
#define TW_SK_HAS_SOCKET 0x4 /* a struct socket is attached; a child in the accept queue has none and is not DEAD */
#define TW_SK_KEEPALIVE 0x8  /* SO_KEEPALIVE */
#define TW_SK_LINGER 0x10    /* SO_LINGER on */
#define TW_SK_LINGER_ZERO 0x20
#define TW_SK_LISTENER 0x40     /* the accept-queue fields are valid */
#define TW_SK_MINI 0x80         /* TIME_WAIT or a request: only id, tuple and state are valid */
#define TW_SK_WRITE_QUEUE 0x100 /* unsent data waits */
#define TW_SK_ACCEPTED 0x200    /* the server's end: it has its listener's backlog (only where that is not 0) */

/* Facts of one socket at the moment of the record. Lengths in bytes, times in ms unless named otherwise. */
struct tw_socket {
  __u64 id; /* socket cookie, unique while the host is up; 0 where the kernel had none yet */
  struct tw_tuple tuple;
  __u64 cgroup_id; /* cgroup v2 of the task that called socket(); a child has its listener's */
  __u64 bytes_acked;
  __u64 bytes_received;
  __u32 flags; /* TW_SK_ */
  __u8 state;  /* TCP_ESTABLISHED 1 ... TCP_NEW_SYN_RECV 12 */
  __u8 shutdown;
  __u8 ca_state;    /* enum tcp_ca_state */
  __u8 timer;       /* icsk_pending: 0 none, 1 retransmit, 3 zero-window probe, 5 tail-loss probe, 6 reordering */
  __u8 retransmits; /* icsk_retransmits: time-outs without an acknowledgment since */
  __u8 backoff;
  __u8 probes_out;
  __u8 sysctl_retries2; /* of the socket's own namespace */
  __u8 sysctl_syn_retries;
  __u8 sysctl_synack_retries;
  __u8 sysctl_orphan_retries;
  __u8 own_syn_retries; /* TCP_SYNCNT, 0 unset */
  __s32 err;
  __s32 err_soft; /* the last ICMP or routing error that did not end the connection */
  __u32 snd_una;
  __u32 snd_nxt;
  __u32 write_seq;
  __u32 rcv_nxt;
  __u32 copied_seq;
  __u32 snd_wnd;
  __u32 rcv_wnd; /* what the last advertisement leaves to the peer now */
  __u32 mss;
  __u32 packets_out;
  __u32 total_retrans;
  __u32 srtt_us;
  __u32 rto_us;
  __u32 rto_max_ms;
  __u32 user_timeout_ms; /* TCP_USER_TIMEOUT, 0 unset */
  __s32 timer_ms;        /* until the armed timer expires; negative where overdue */
  __u32 sent_age_ms;     /* lsndtime: data sent (or sent again), and the moment of ESTABLISHED */
  __u32 received_age_ms; /* lrcvtime: data received, and the moment of ESTABLISHED */
  __u32 segment_age_ms;  /* rcv_tstamp: any acknowledgment received */
  __u32 retrans_age_ms;  /* retrans_stamp: the first retransmission of this episode */
  __u32 keepalive_ms;    /* idle time before the first probe */
  __u32 queue;           /* accept queue: sk_ack_backlog */
  __u32 limit;           /* sk_max_ack_backlog: the queue holds limit + 1 */
  __u32 drops;           /* sk_drops; a refused ACK counts 2, a refused SYN 1 */
  __u32 requests;        /* qlen: requests in SYN_RECV */
  __u32 young;           /* of these, never retransmitted */
  __u32 defer;           /* rskq_defer_accept */
  __u32 head_age_ms;     /* how long the head of the accept queue waits */
  __u16 head_port;       /* the peer's port of the head of the accept queue: tells whether it is still the same */
  __u16 rcv_mss;         /* icsk_ack.rcv_mss: how large the peer's segments are; with less room the window shuts */
};

/* A state change of ordinary life, as small as a timeline allows. */
struct tw_transition {
  struct tw_header header;
  __u64 id;
  struct tw_tuple tuple;
  __u8 from;
  __u8 to;
  __u8 shutdown;
  __u8 reserved;
  __s32 err;
  __u32 snd_una;
  __u32 snd_nxt;
  __u32 rcv_nxt;
  __u32 copied_seq;
  __u32 pid; /* of the owner, where this transition runs in its context; else 0 */
  __u32 total_retrans;
  char comm[TW_COMM];
};

struct tw_state {
  struct tw_header header;
  struct tw_socket socket;
  struct tw_owner owner;
  __u64 last_success_ns; /* SYN_SENT to CLOSE: when a connect to this remote endpoint last succeeded, 0 not known */
  __u8 from;
  __u8 to;
  __u8 reserved[6];
};

#define TW_RETRANSMIT_TIMEOUT 1 /* RTO */
#define TW_RETRANSMIT_FAST 2    /* fast retransmit, RACK */
#define TW_RETRANSMIT_TAIL_LOSS 3
#define TW_RETRANSMIT_SYN 4
#define TW_RETRANSMIT_PROBE 5 /* window shut with data in flight */

struct tw_retransmit {
  struct tw_header header;
  struct tw_socket socket;
  struct tw_owner owner;
  __s32 error; /* negative: the segment could not be sent (6.17 and later tell) */
  __u8 type;   /* TW_RETRANSMIT_ */
  __u8 reserved[3];
};

struct tw_synack_retransmit {
  struct tw_header header;
  struct tw_socket listener;
  struct tw_owner client_owner; /* of the client's socket, where that is on this host and was seen to connect */
  __u64 request_id;             /* cookie; the child inherits it */
  __u64 client_id;              /* cookie of the client's socket with the same two ISNs; 0 not on this host */
  __u64 client_established_ns;  /* when that socket became ESTABLISHED */
  struct tw_tuple request;
  __u32 client_isn;
  __u32 server_isn;
  __u32 synack_age_ms; /* since the first SYN-ACK */
  __u8 acked;          /* the client's ACK came and was dropped here */
  __u8 by_timer;       /* not by a duplicate SYN */
  __u8 num_timeout;    /* before this one */
  __u8 num_retrans;
  __u32 reserved[2];
};

#define TW_SEGMENT_RST 4
/* The segment that made the kernel answer with an RST, or that was dropped. Zero where there was none. */
struct tw_segment {
  __u32 seq;
  __u32 ack_seq;
  __u32 payload; /* bytes */
  __u8 flags;    /* FIN 1, SYN 2, TW_SEGMENT_RST, PSH 8, ACK 16 */
  __u8 valid;
  __u16 reserved;
};

struct tw_reset_sent {
  struct tw_header header;
  struct tw_socket socket; /* the sender: a full socket, a listener, a TIME_WAIT minisocket, or only a tuple */
  struct tw_owner owner;
  struct tw_segment trigger; /* valid: a passive reset */
  __s32 reason;              /* enum sk_rst_reason; -1 where this kernel has none */
  __u32 reserved;
};

struct tw_reset_received {
  struct tw_header header;
  struct tw_socket socket;
  struct tw_owner owner;
};

struct tw_socket_error {
  struct tw_header header;
  struct tw_socket socket;
  struct tw_owner owner;
};

struct tw_drop {
  struct tw_header header;
  __u64 listener_id;     /* where the receiving socket is a listener */
  struct tw_tuple tuple; /* as the receiver sees it: local is the destination */
  struct tw_segment segment;
  __u32 reason; /* enum skb_drop_reason */
  __u32 queue;
  __u32 limit;
  __u32 drops;
  __u32 head_age_ms;
  __u32 head_port;
};

struct tw_seed {
  struct tw_header header;
  struct tw_socket socket;
  struct tw_owner owner;
};

/*
 * A socket in trouble, as a sweep found it: told when it gets there, when something of it changes, and once more when
 * the trouble is over. usual_wait_ms is how long this service usually takes for an answer, by its slow answers and
 * ageing (usual_wait.h).
 */
struct tw_sample {
  struct tw_header header;
  struct tw_socket socket;
  struct tw_owner owner;    /* where the walk over the processes' files found it */
  __u32 usual_wait_ms;      /* TW_NEVER: the service was never seen to answer */
  __u32 answers;            /* how often connections to the service were seen at rest with the answer there */
  __u32 unanswered;         /* ... with this side the last to speak, and it went on all the same */
  __u32 window_shut_ms;     /* icsk_probes_tstamp: since when the peer's window is probed; TW_NEVER */
  __u32 data_segments_sent; /* retransmissions included */
  __u32 reserved;
};

struct tw_tick {
  struct tw_header header;
};

/*
 * Ways to lose. The first two lose events; the others leave something unseen that a sweep or an answer would have shown.
 * What count is of: ITERATOR reads that failed; WALK walks; UNSWEPT sockets, each once where it is a listener or an orphan,
 * and otherwise by how many more than in the walk before; QUEUE connections, by how many more than at any moment before,
 * until the listener's queue is empty.
 */
#define TW_LOST_RING 0      /* the ring buffer was full */
#define TW_LOST_RECURSION 1 /* the program was running on this CPU already (bpf_prog_info.recursion_misses) */
#define TW_LOST_ITERATOR 2  /* an iterator's read failed: sockets after that point were not visited */
#define TW_LOST_WALK 3      /* a walk over the processes' files ended early, or did not look for all that was wanted */
#define TW_LOST_TABLE 4     /* a table of the kernel side was full or evicted an entry */
#define TW_LOST_UNSWEPT 5   /* sockets in trouble that are not swept, for the table of tracked sockets is full */
#define TW_LOST_QUEUE 6     /* connections in an accept queue beyond those that one sweep reports of a listener */
#define TW_LOST_WANT 7      /* a want that was not answered in time */
#define TW_LOST_WAYS 8

struct tw_lost {
  struct tw_header header;
  __u64 count; /* since the last such record */
  __u32 kind;  /* TW_KIND_ of what was lost */
  __u32 way;   /* TW_LOST_ */
};

struct tw_seed_end {
  struct tw_header header;
  __u64 sockets;  /* visited */
  __u32 initial;  /* 1: the walk at start */
  __u32 complete; /* 0: the walk failed or is not to be had here; what was wanted stays unknown */
};

/*
 * Sockets in trouble of which nothing changed since their last sample: the proof, in each sweep, that they were looked at.
 * Listeners, and connections with time-outs, never come here: they are samples while they are in trouble. Of sockets whose
 * only trouble is to be idle (half-open-risk), which may be thousands, one of TW_IDLE_TURNS is named in a sweep, by the
 * low bits of its id, so that each is named once in so many sweeps.
 * A recording made before there were such records has none; its SWEEP_END is shorter, too.
 */
#define TW_STILL_MOST 62
#define TW_IDLE_TURNS 16
struct tw_still {
  struct tw_header header;
  __u32 count; /* of ids */
  __u32 reserved;
  __u64 ids[TW_STILL_MOST];
};

#define TW_SWEEP_CONFIRMS \
  1 /* each socket in trouble came as a sample or in a TW_KIND_STILL: what did not was not seen */

struct tw_sweep_end {
  struct tw_header header;
  __u64 sockets;     /* samples of this sweep */
  __u32 interval_ms; /* until the next */
  __u32 flags;       /* TW_SWEEP_ */
  /* Absent in old recordings. */
  __u64 visited; /* tracked sockets that the iterator passed */
  __u64 still;   /* ids in this sweep's TW_KIND_STILL */
};
#define TW_SWEEP_END_BYTES_V1 32

/* Answer to a want about a process; every field as /proc gave it. */
struct tw_process {
  struct tw_header header;
  __u64 start_ns;
  __u32 pid;
  __u32 threads;
  __u32 open_fds; /* TW_NEVER where it could not be read */
  __u32 fd_limit;
  char state; /* R S D T t Z X, '?' where it could not be read */
  char reserved[7];
  char wait_channel[40];
  char cgroup[192];  /* path, cut where longer */
  __u64 cpu_ns;      /* user and system time of all threads */
  __u32 polling;     /* threads that wait in poll, select, epoll_wait, accept or a read of a socket; TW_NEVER */
  __u32 read_age_ms; /* it read from a TCP socket not longer ago than this; TW_NEVER: no walk saw it read */
};

/* TCP as a whole, each second: the host's memory and orphans, in the units of /proc/net/sockstat. */
struct tw_host {
  struct tw_header header;
  __u64 memory_pages;
  __u64 memory_low; /* net.ipv4.tcp_mem */
  __u64 memory_pressure;
  __u64 memory_high;
  __u64 orphans;
  __u64 orphans_limit; /* net.ipv4.tcp_max_orphans */
};

/* TcpExt counters of one network namespace, since it was made (/proc/net/netstat). Append only. */
#define TW_MIB_LISTEN_OVERFLOWS 0
#define TW_MIB_LISTEN_DROPS 1
#define TW_MIB_RCVQ_DROP 2
#define TW_MIB_PRUNE_CALLED 3
#define TW_MIB_RCV_PRUNED 4
#define TW_MIB_RCV_COLLAPSED 5
#define TW_MIB_MEMORY_PRESSURES 6
#define TW_MIB_ABORT_ON_MEMORY 7
#define TW_MIB_ABORT_ON_DATA 8
#define TW_MIB_ABORT_ON_CLOSE 9
#define TW_MIB_COUNT 10
struct tw_mib {
  struct tw_header header;
  __u32 netns;
  __u32 reserved;
  __u64 values[TW_MIB_COUNT];
};

/* Wall clock (UTC) less CLOCK_BOOTTIME, as of this record, and by how much that is more than was told before. */
struct tw_clock {
  struct tw_header header;
  __s64 wall_offset_ns;
  __s64 moved_ns;
};

/* A TCP socket that a process holds, as small as a count of all of them allows. */
struct tw_held {
  struct tw_header header;
  __u64 id;        /* its address: tells it from the others of the same count */
  __u64 start_ns;  /* of the process */
  __u64 cgroup_id; /* of the socket */
  struct tw_tuple tuple;
  __u32 pid;
  __u32 unread;  /* bytes that wait for the process; 0 of a listener */
  __u32 unacked; /* bytes that it wrote and the other end has not acknowledged, unsent ones too; 0 of a listener */
  __u8 state;
  __u8 reserved[3];
  char comm[TW_COMM]; /* of the thread-group leader */
};

/* A process that sent or received on a TCP socket within TW_ACTIVE_MS before the walk came to its files. */
#define TW_ACTIVE_MS 60000
struct tw_active {
  struct tw_header header;
  __u32 pid;
  __u32 age_ms; /* since it last sent or received */
  __u32 files;  /* that the walk saw of it */
  __u32 reserved;
};

/* One struct configures every program; it is constant once they are loaded. */
struct tw_config {
  __u32 self_pid;        /* never an owner */
  __u32 hz;              /* jiffies a second */
  __u8 every_transition; /* emit TW_KIND_TRANSITION too */
  __u8 filter_ports;     /* the port map is in force */
  __u8 filter_local;
  __u8 filter_remote;
  __u8 local_net[16];
  __u8 local_mask[16];
  __u8 remote_net[16];
  __u8 remote_mask[16];
  __u32 drops_per_second; /* for each CPU; what is above is counted */
  __u32 wake_bytes;       /* fill level that wakes the reader */
  __u8 reset_has_reason;  /* tcp_send_reset has its third argument */
  __u8 retransmit_has_error;
  __u8 drop_has_socket; /* kfree_skb has rx_sk */
  __u8 has_cookies;     /* tracing programs may ask for cookies, storages, the current task, a file's socket */
  __u8 sweeps_storages; /* the sweep walks the socket storages; else a hash by the sockets' addresses */
  __u8 reserved[3];
  /* enum skb_drop_reason of the running kernel, 0 where it has no such reason */
  __u32 reason_netfilter;
  __u32 reason_listen_overflow;
  __u32 reason_no_socket;
  __u32 reason_not_specified;
  __u32 reason_memory; /* PROTO_MEM: no room in the receive buffer, or no memory for it */
  __u32 idle_ms;       /* an idle connection that nothing guards is told from this age on; 0: never */
};

/* What a walk over the processes' files reports: tw_walk_mode. */
#define TW_WALK_WANTED 0
#define TW_WALK_ALL 1     /* at start: every TCP socket */
#define TW_WALK_SUSPECT 2 /* part of a sweep */
#define TW_WALK_LEARN 3   /* before 5.12: what the files of sockets have in common, from one of user space's own */

#define TW_TRACKED_MOST 65536 /* sockets, where the sweep walks a hash by their addresses */
#define TW_LISTED_MOST 64     /* of these, in one run of tw_sweep_run */

/*
 * A value of the map tw_readers: the proof that a process reads. read_ns is a moment at or before its latest read, and not before the read that is proven:
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

/* A transition of one socket, as inet_sock_set_state is called with it; sk is 0 where there is none. */
struct tw_begun {
  __u64 sk;
  __u32 from;
  __u32 to;
};

#define TW_BEGUN 4 /* a power of 2 */

/* For each CPU; user space adds them up. */
struct tw_counters {
  __u64 lost[TW_KERNEL_KINDS];    /* did not fit into the ring buffer */
  __u64 limited[TW_KERNEL_KINDS]; /* left out by a rate limit */
  __u64 connects;
  __u64 accepts;
  __u64 caught; /* transitions that a later program of inet_sock_set_state handled, for the first was running */
  struct tw_begun begun[TW_BEGUN]; /* what one of them handles, until the last has seen it */
  __u64 begun_next;
  __u64 unswept; /* listeners and orphans for which there was no room among the tracked sockets */
};

#define TW_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)
#ifdef __cplusplus
#undef TW_ASSERT_SIZE
#define TW_ASSERT_SIZE(type, bytes) static_assert(sizeof(struct type) == (bytes), #type)
#endif
TW_ASSERT_SIZE(tw_header, 16);
TW_ASSERT_SIZE(tw_tuple, 40);
TW_ASSERT_SIZE(tw_owner, 40);
TW_ASSERT_SIZE(tw_socket, 208);
TW_ASSERT_SIZE(tw_transition, 112);
TW_ASSERT_SIZE(tw_state, 280);
TW_ASSERT_SIZE(tw_retransmit, 272);
TW_ASSERT_SIZE(tw_synack_retransmit, 352);
TW_ASSERT_SIZE(tw_segment, 16);
TW_ASSERT_SIZE(tw_reset_sent, 288);
TW_ASSERT_SIZE(tw_reset_received, 264);
TW_ASSERT_SIZE(tw_drop, 104);
TW_ASSERT_SIZE(tw_sample, 288);
TW_ASSERT_SIZE(tw_process, 296);
TW_ASSERT_SIZE(tw_lost, 32);
TW_ASSERT_SIZE(tw_still, 520);
TW_ASSERT_SIZE(tw_sweep_end, 48);
TW_ASSERT_SIZE(tw_host, 64);
TW_ASSERT_SIZE(tw_mib, 104);
TW_ASSERT_SIZE(tw_clock, 32);
TW_ASSERT_SIZE(tw_held, 112);
TW_ASSERT_SIZE(tw_active, 32);
TW_ASSERT_SIZE(tw_config, 116);
TW_ASSERT_SIZE(tw_reader, 40);
TW_ASSERT_SIZE(tw_begun, 16);
TW_ASSERT_SIZE(tw_counters, 360);
TW_ASSERT_SIZE(tw_seed, 264);
TW_ASSERT_SIZE(tw_seed_end, 32);
TW_ASSERT_SIZE(tw_socket_error, 264);
TW_ASSERT_SIZE(tw_tick, 16);

#pragma GCC diagnostic pop

#endif
