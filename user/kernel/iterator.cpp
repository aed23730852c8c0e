// SPDX-License-Identifier: GPL-2.0-only
#include "user/kernel/iterator.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "user/util/fd.h"

namespace tcpwhy::kernel {

bool loads_iterator(const std::string& target) {
  const int type = libbpf_find_vmlinux_btf_id(target.c_str(), BPF_TRACE_ITER);
  if (type <= 0) return false;
  // r0 = 0; exit
  bpf_insn nothing[2]{};
  nothing[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
  nothing[1].code = BPF_JMP | BPF_EXIT;
  DECLARE_LIBBPF_OPTS(bpf_prog_load_opts, options);
  options.expected_attach_type = BPF_TRACE_ITER;
  options.attach_btf_id = static_cast<__u32>(type);
  return util::Fd{bpf_prog_load(BPF_PROG_TYPE_TRACING, "tw_probe", "GPL", nothing, 2, &options)}.is_open();
}

}  // namespace tcpwhy::kernel
