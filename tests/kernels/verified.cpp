// SPDX-License-Identifier: GPL-2.0-only
// Prints, for each BPF program of ours that is loaded, its name and how many instructions the verifier went through:
// the kernel's own figure (5.16 and later; nothing is printed where it has none). Static: it runs in the virtual machines.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>

namespace {

// The kernel cuts a program's name at 15 characters; its function's name in the BTF is whole.
std::string whole_name(int fd, const bpf_prog_info& known) {
  bpf_func_info function{};
  bpf_prog_info info{};
  info.nr_func_info = 1;
  info.func_info_rec_size = sizeof(function);
  info.func_info = reinterpret_cast<std::uintptr_t>(&function);
  __u32 size = sizeof(info);
  if (known.nr_func_info == 0 || bpf_obj_get_info_by_fd(fd, &info, &size) != 0) return known.name;
  btf* types = btf__load_from_kernel_by_id(info.btf_id);
  if (types == nullptr) return known.name;
  const btf_type* type = btf__type_by_id(types, function.type_id);
  std::string name = type != nullptr ? btf__name_by_offset(types, type->name_off) : known.name;
  btf__free(types);
  return name;
}

}  // namespace

int main() {
  int seen = 0;
  for (__u32 id = 0; bpf_prog_get_next_id(id, &id) == 0;) {
    const int fd = bpf_prog_get_fd_by_id(id);
    if (fd < 0) continue;
    bpf_prog_info info{};
    __u32 size = sizeof(info);
    const bool known = bpf_obj_get_info_by_fd(fd, &info, &size) == 0;
    if (const std::string name = known ? whole_name(fd, info) : ""; name.rfind("tw_", 0) == 0) {
      ++seen;
      if (info.verified_insns != 0) std::printf("%s %u\n", name.c_str(), info.verified_insns);
    }
    close(fd);
  }
  return seen != 0 ? 0 : 1;
}
