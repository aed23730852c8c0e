/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Owners, and the caches that are filled where a fact is certain and read where it is needed.
 *
 * Most TCP events run in softirq, where the current task is whoever was on the CPU: it is never read there. It is
 * read only in the transitions that a process makes itself (listen, connect, close).
 */
#ifndef TCPWHY_OWNER_BPF_H
#define TCPWHY_OWNER_BPF_H

/*
 * task must be a pointer that the verifier knows (the current task, an iterator's): its fields are loaded directly,
 * for each connect() passes through here, and a probe read costs more than all these loads together.
 */
static __always_inline void tw_fill_task(struct tw_owner *owner, const struct task_struct *task) {
  const struct task_struct *leader = task->group_leader;
  const __u64 *comm = (const __u64 *)&leader->comm;
  __u64 *copy = (__u64 *)owner->comm;
  __u32 flags = task->flags;
  __u32 pid = task->tgid;

  /* Kernel threads close sockets for others (delayed fput); our own walks run other sockets' backlogs. */
  if ((flags & TW_PF_KTHREAD) || pid == tw_config.self_pid)
    return;
  owner->pid = pid;
  owner->start_ns = leader->start_boottime;
  copy[0] = comm[0];
  copy[1] = comm[1];
  owner->comm[TW_COMM - 1] = 0;
  if (flags & TW_PF_EXITING) {
    owner->flags |= TW_OWNER_EXITING;
    owner->exit_code = task->signal->group_exit_code;
    if (!owner->exit_code)
      owner->exit_code = task->exit_code;
  }
}

/* The same of a task that the verifier does not know (before 5.12 the current one). */
static __always_inline void tw_fill_task_at(struct tw_owner *owner, const struct task_struct *task) {
  __u32 flags = BPF_CORE_READ(task, flags);
  __u32 pid = BPF_CORE_READ(task, tgid);

  if ((flags & TW_PF_KTHREAD) || pid == tw_config.self_pid)
    return;
  owner->pid = pid;
  owner->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
  BPF_CORE_READ_STR_INTO(&owner->comm, task, group_leader, comm);
  if (flags & TW_PF_EXITING) {
    owner->flags |= TW_OWNER_EXITING;
    owner->exit_code = BPF_CORE_READ(task, signal, group_exit_code);
    if (!owner->exit_code)
      owner->exit_code = BPF_CORE_READ(task, exit_code);
  }
}

/* Only in process context, in a transition that the owner itself makes. */
static __always_inline void tw_fill_current(struct tw_owner *owner) {
  if (tw_config.has_cookies)
    tw_fill_task(owner, bpf_get_current_task_btf());
  else
    tw_fill_task_at(owner, (const void *)bpf_get_current_task());
  owner->source = owner->pid ? TW_OWNER_CURRENT : TW_OWNER_NONE;
}

static __always_inline struct tw_connector *tw_connector_slot(__u64 id) {
  __u32 slot = id & (TW_CONNECTORS - 1);

  return bpf_map_lookup_elem(&tw_connectors, &slot);
}

/*
 * A slot may be overwritten on another CPU while it is read. Its writer takes the key out first and puts its own in last, so
 * what was copied between two looks at the same key belongs to that key. These loads and stores are neither left out nor
 * moved by the compiler.
 */
#define TW_LOAD_ONCE(field) (*(volatile const __typeof__(field) *)&(field))
#define TW_STORE_ONCE(field, value) (*(volatile __typeof__(field) *)&(field) = (value))

/* Whoever called connect() on this socket, if that is still remembered. */
static __always_inline void tw_fill_connector(struct tw_owner *owner, __u64 id) {
  struct tw_connector *slot = id ? tw_connector_slot(id) : NULL;

  if (!slot || TW_LOAD_ONCE(slot->id) != id)
    return;
  *owner = slot->owner;
  barrier();
  if (TW_LOAD_ONCE(slot->id) != id || !owner->pid) {
    __builtin_memset(owner, 0, sizeof(*owner));
    return;
  }
  owner->source = TW_OWNER_CONNECT;
}

/* Its files are walked early. A write only where it changes something: the line is shared by all CPUs. */
static __always_inline void tw_note_connecting(__u32 pid) {
  __u32 *slot = &tw_connecting[pid & (TW_CONNECTING - 1)];

  if (*slot != pid)
    *slot = pid;
}

static __always_inline void tw_remember_connector(__u64 id) {
  struct tw_connector *slot = tw_connector_slot(id);

  if (!slot)
    return;
  TW_STORE_ONCE(slot->id, 0);
  barrier();
  __builtin_memset(&slot->owner, 0, sizeof(slot->owner));
  tw_fill_current(&slot->owner);
  slot->owner.flags = 0;
  tw_note_connecting(slot->owner.pid);
  barrier();
  TW_STORE_ONCE(slot->id, id);
}

static __always_inline struct tw_handshake *tw_handshake_slot(__u32 client_isn, __u32 server_isn) {
  __u32 slot = ((client_isn * 0x9e3779b1U) ^ (server_isn * 0x85ebca6bU)) >> 15;

  slot &= TW_HANDSHAKES - 1;
  return bpf_map_lookup_elem(&tw_handshakes, &slot);
}

static __always_inline struct tw_destination *tw_destination_slot(const struct tw_tuple *tuple) {
  const __u32 *a = (const __u32 *)tuple->remote;
  __u32 slot = (a[0] ^ a[1] ^ a[2] ^ a[3] ^ tuple->netns) * 0x9e3779b1U + tuple->remote_port * 0x85ebca6bU;

  slot = (slot >> 16) & (TW_DESTINATIONS - 1);
  return bpf_map_lookup_elem(&tw_destinations, &slot);
}

static __always_inline int tw_is_destination(const struct tw_destination *slot, const struct tw_tuple *tuple) {
  const __u64 *a = (const __u64 *)slot->addr, *b = (const __u64 *)tuple->remote;

  return TW_LOAD_ONCE(slot->port) == tuple->remote_port && a[0] == b[0] && a[1] == b[1] && slot->netns == tuple->netns;
}

/* What is known of a service; 0: nothing, or the slot is another's. */
static __always_inline int tw_copy_destination(struct tw_destination *copy, const struct tw_tuple *tuple) {
  const struct tw_destination *slot = tw_destination_slot(tuple);

  if (!slot || !tw_is_destination(slot, tuple))
    return 0;
  copy->success_ns = TW_LOAD_ONCE(slot->success_ns);
  copy->usual_wait_us = TW_LOAD_ONCE(slot->usual_wait_us);
  copy->answers = TW_LOAD_ONCE(slot->answers);
  copy->unanswered = TW_LOAD_ONCE(slot->unanswered);
  barrier();
  return tw_is_destination(slot, tuple);
}

/* Takes the slot for this service where it is another's; the port goes in last, and no service has port 0. */
static __always_inline void tw_take_destination(struct tw_destination *slot, const struct tw_tuple *tuple) {
  TW_STORE_ONCE(slot->port, 0);
  barrier();
  __builtin_memcpy(slot->addr, tuple->remote, 16);
  slot->netns = tuple->netns;
  slot->success_ns = 0;
  slot->usual_wait_us = 0;
  slot->answers = 0;
  slot->unanswered = 0;
  barrier();
  TW_STORE_ONCE(slot->port, tuple->remote_port);
}

static __always_inline __u64 tw_last_success(const struct tw_tuple *tuple) {
  struct tw_destination known = {};

  return tw_copy_destination(&known, tuple) ? known.success_ns : 0;
}

#endif
