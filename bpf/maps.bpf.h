/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every map and the configuration. Each object that is linked has them all; __weak makes the linker keep one.
 *
 * tw_connectors, tw_handshakes, tw_destinations and tw_waits are plain arrays used as direct-mapped tables: a slot is found by hashing, holds its key, and is
 * overwritten by the next that hashes there. Looking one up is a few nanoseconds, nothing is allocated for a
 * healthy connection, and a lost entry only means "not known".
 */
#ifndef TCPWHY_MAPS_BPF_H
#define TCPWHY_MAPS_BPF_H

const volatile struct tw_config tw_config __weak = {};

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 8 << 20);
} tw_events SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct tw_counters);
} tw_counts SEC(".maps") __weak;

/* Who called connect(): by socket cookie. */
#define TW_CONNECTORS 65536
struct tw_connector {
  __u64 id;
  struct tw_owner owner;
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, TW_CONNECTORS);
  __type(key, __u32);
  __type(value, struct tw_connector);
} tw_connectors SEC(".maps") __weak;

/* The client's end of each handshake, by its two initial sequence numbers: only a proxy rewrites both. */
#define TW_HANDSHAKES 131072
struct tw_handshake {
  __u64 id;
  __u64 established_ns;
  __u32 client_isn;
  __u32 server_isn;
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, TW_HANDSHAKES);
  __type(key, __u32);
  __type(value, struct tw_handshake);
} tw_handshakes SEC(".maps") __weak;

/* When a connect to a remote endpoint last succeeded, and how it answers. */
#define TW_DESTINATIONS 8192
struct tw_destination {
  __u8 addr[16];
  __u32 netns;
  __u16 port;
  __u16 reserved;
  __u64 success_ns;
  __u64 usual_wait_us; /* usual_wait.h */
  __u32 answers;       /* connections at rest whose last word was the service's; capped */
  __u32 unanswered;    /* ... this side's, and it went on without an answer */
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, TW_DESTINATIONS);
  __type(key, __u32);
  __type(value, struct tw_destination);
} tw_destinations SEC(".maps") __weak;

/*
 * Clients that a walk found waiting for an answer, not yet for long: what a later walk finds of them tells how long answers
 * take that are too quick to be suspect and too slow to be seen as one exchange.
 */
#define TW_WAITS 16384
struct tw_wait {
  __u64 id;
  __u32 asked; /* lsndtime */
  __u32 asks;  /* data segments sent until then */
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, TW_WAITS);
  __type(key, __u32);
  __type(value, struct tw_wait);
} tw_waits SEC(".maps") __weak;

/*
 * Sockets that a sweep visits: every listener, whatever retransmitted on time-out, what was closed with data unsent, and
 * what the walk over the processes' files found suspect. A healthy connection never has one: at 380 bytes and 7% of the
 * churn it would cost too much.
 */
struct tw_tracked {
  __u64 id;    /* where sockets are kept by address: whose entry this is, for the slab uses addresses again */
  __u64 mark;  /* of the last sample: what changes when anything moves; of a listener, how many were beyond the sweep */
  __u32 drops; /* of a listener, at the last sample */
  __u32 lsndtime; /* when this side last spoke, at the last sample that waited for an answer */
  __u8 reported;  /* the last sample was one of trouble */
  __u8 awaiting;  /* ... and waited for an answer */
  __u8 reserved[2];
  __u32 found_in; /* the sweep whose walk found it */
};
struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct tw_tracked);
} tw_tracked SEC(".maps") __weak;

/* Where tracing programs have no socket storage (before 5.12), or no safe walk over them (from 7.0 on): the same, by the
 * socket's address. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, TW_TRACKED_MOST);
  __type(key, __u64);
  __type(value, struct tw_tracked);
} tw_tracked_by_address SEC(".maps") __weak;

/* ... and no cookies: the number that stands for one, by the socket's address. Both are made small where not needed. */
#define TW_IDS_MOST 262144
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, TW_IDS_MOST);
  __type(key, __u64);
  __type(value, __u64);
} tw_ids SEC(".maps") __weak;

/* Sockets that user space asks for in a task-file walk: their tuple with netns 0. Empty: the walk reports all. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4096);
  __type(key, struct tw_tuple);
  __type(value, __u32);
} tw_wanted SEC(".maps") __weak;

/* What processes were seen to read. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 16384);
  __type(key, __u32); /* process id */
  __type(value, struct tw_reader);
} tw_readers SEC(".maps") __weak;

/* Ports that pass --port: one bit each. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1024);
  __type(key, __u32);
  __type(value, __u64);
} tw_ports SEC(".maps") __weak;

/* A second's budget for the drop records of each CPU. */
struct tw_budget {
  __u64 second;
  __u64 used;
};
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct tw_budget);
} tw_drop_budget SEC(".maps") __weak;

/* Written by the kernel side, read by it: when a connect to a port was last refused. Races are harmless. */
#define TW_REFUSED_PORTS 256
__u64 tw_refused_ns[TW_REFUSED_PORTS] __weak = {};
/* The reader was woken, and has not begun to read since: it clears this. */
__u32 tw_woken __weak = 0;
/* Set by user space around a walk: what it reports (TW_WALK_). */
__u32 tw_walk_mode __weak = 0;
__u32 tw_sweep_number __weak = 0;
/* The sample being made: too large for the stack twice, and one thread of user space runs all walks. */
struct tw_sample tw_scratch __weak = {};
/* The process whose files the walk is at, and what was seen of its sockets so far. */
__u32 tw_walk_pid __weak = 0;
struct tw_reader tw_walk_reader __weak = {};
/* ... how many files it has shown so far, and of the last TW_ACTIVE_MS what came after its last segment; 0: it was idle. */
__u32 tw_walk_files __weak = 0;
__u32 tw_walk_active_ms __weak = 0;
/* Processes that called connect() lately, by the low bits of their ids; user space reads and clears it. */
#define TW_CONNECTING 256
__u32 tw_connecting[TW_CONNECTING] __weak = {};
/* When this walk for suspects, and the one before, began (jiffies), and the number of the sweep that this one belongs to. */
__u32 tw_walk_began __weak = 0;
__u32 tw_walk_began_before __weak = 0;
__u32 tw_walk_number __weak = 0;
/* Sockets that this walk found suspect and could not have tracked; one that several descriptors share counts for each. */
__u64 tw_walk_unswept __weak = 0;
/* What a run of tw_sweep_run is to look at, and how far it came. */
__u64 tw_listed[TW_LISTED_MOST] __weak = {};
__u32 tw_listed_count __weak = 0;
__u32 tw_listed_done __weak = 0;
/* Samples of this sweep that went into the ring buffer. */
__u64 tw_ring_samples __weak = 0;
/* For TW_WALK_LEARN: a descriptor of the reader's own that is a socket, and what the walk learnt from it. */
__u32 tw_own_socket __weak = 0;
__u64 tw_socket_ops __weak = 0;
/* Before 5.12: the socket that a walk is at. */
__u8 tw_copy[4096] __attribute__((aligned(8))) __weak = {};
/* Sockets that are tracked for no more than being idle: counted by each sweep, and up by the walks between. */
__u32 tw_idle_tracked __weak = 0;

/*
 * One sweep over the tracked sockets: user space sets all of these to 0 before it, but for those that say otherwise, and
 * reads them after it.
 */
__u64 tw_sweep_visited __weak = 0;
__u64 tw_sweep_still __weak = 0; /* ids written */
__u32 tw_sweep_idle __weak = 0;
__u32 tw_sweep_complete __weak = 0; /* the iterator came to its end */
__u32 tw_sweep_turn __weak = 0;     /* counted up for each: whose turn it is of those that are only idle */
__u32 tw_sweep_whole __weak = 0;    /* report every socket in trouble as a sample, changed or not */
__u32 tw_sweep_crowded __weak = 0;  /* the table by address is more than half full: who rests leaves it */
/* Connections in accept queues that no sweep reported, since the start: for each listener the most at a time. */
__u64 tw_queue_beyond __weak = 0;
struct tw_still tw_still_now __weak = {};
/* Entries by address that leave the table when the sweep is at its end: taking one out moves those that follow it. */
#define TW_FORGET_MOST 512
__u64 tw_forget[TW_FORGET_MOST] __weak = {};
__u32 tw_forget_count __weak = 0;
/* For tests alone: of so many samples the last is lost as if the kernel had dropped it; 0: none. */
__u32 tw_lose_each __weak = 0;
__u32 tw_lose_next __weak = 0;

#endif
