// SPDX-License-Identifier: GPL-2.0-only
/* The license that the kernel asks of every linked object. */
#include "tcpwhy.bpf.h"

char tw_license[] SEC("license") = "GPL";
