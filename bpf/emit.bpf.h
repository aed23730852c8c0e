/* SPDX-License-Identifier: GPL-2.0-only */
/* Counting and the way into the ring buffer. tw_reserve() is the only caller of bpf_ringbuf_reserve(). */
#ifndef TCPWHY_EMIT_BPF_H
#define TCPWHY_EMIT_BPF_H

static __always_inline struct tw_counters *tw_counters(void) {
  __u32 zero = 0;

  return bpf_map_lookup_elem(&tw_counts, &zero);
}

/* A socket that should be swept and cannot be, for there is no room to have it tracked. */
static __always_inline void tw_count_unswept(void) {
  struct tw_counters *counters = tw_counters();

  if (counters)
    counters->unswept++;
}

static __always_inline void tw_fill_header(struct tw_header *header, __u16 kind, __u16 size) {
  header->time_ns = bpf_ktime_get_boot_ns();
  header->kind = kind;
  header->size = size;
  header->cpu = bpf_get_smp_processor_id();
}

/*
 * Room for one record, zeroed and stamped, or NULL where the buffer is full; then it is counted as lost.
 * Ring-buffer memory holds old records, hence the zeroing. size is a constant in every caller.
 */
static __always_inline void *tw_reserve(__u32 kind, __u32 size) {
  struct tw_counters *counters = tw_counters();
  void *record;

  if (!counters || kind >= TW_KERNEL_KINDS)
    return NULL;
  record = bpf_ringbuf_reserve(&tw_events, size, 0);
  if (!record) {
    counters->lost[kind]++;
    return NULL;
  }
  __builtin_memset(record, 0, size);
  tw_fill_header(record, kind, size);
  return record;
}

/*
 * No wake-up for each record: the reader has a timer, and is woken early only when the buffer fills, once until it reads. A wake-up
 * is an interrupt of this CPU, after which pending softirqs run: what a hook would have seen there is skipped, for the hook
 * that woke still runs (bpf_prog_info.recursion_misses).
 */
static __always_inline void tw_submit(void *record) {
  __u64 flags = BPF_RB_NO_WAKEUP;

  if (!tw_woken && bpf_ringbuf_query(&tw_events, BPF_RB_AVAIL_DATA) >= tw_config.wake_bytes) {
    tw_woken = 1;
    flags = BPF_RB_FORCE_WAKEUP;
  }
  bpf_ringbuf_submit(record, flags);
}

#endif
