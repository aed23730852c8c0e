/* SPDX-License-Identifier: GPL-2.0-only */
/* The one include of every program. */
#ifndef TCPWHY_BPF_H
#define TCPWHY_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "tcpwhy_abi.h"
#include "usual_wait.h"

#include "compat.bpf.h"
#include "maps.bpf.h"
#include "emit.bpf.h"
#include "identity.bpf.h"
#include "sock.bpf.h"
#include "filter.bpf.h"
#include "owner.bpf.h"
#include "suspect.bpf.h"

#endif
