// SPDX-License-Identifier: GPL-2.0-only
#include "user/kernel/btf.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

namespace tcpwhy::kernel {
namespace {

constexpr int kFirstLibbpfError = 4000;  // LIBBPF_ERRNO__: not the system's

}  // namespace

std::string libbpf_version() {
  return std::to_string(libbpf_major_version()) + "." + std::to_string(libbpf_minor_version());
}

void Btf::Free::operator()(struct btf* types) const { btf__free(types); }

util::Result<Btf> Btf::open(const std::string& file) {
  const std::string path = file.empty() ? kKernelBtf : file;
  struct btf* types = btf__parse(path.c_str(), nullptr);
  if (types) return Btf{types};
  const int code = errno < kFirstLibbpfError ? errno : EINVAL;
  if (!file.empty())
    return util::Error{"cannot read BTF from " + file, code,
                       "--btf takes the BTF of the running kernel: a copy of its /sys/kernel/btf/vmlinux, or a vmlinux "
                       "with a .BTF section"};
  if (code == ENOENT)
    return util::Error{"this kernel has no BTF: pass --btf FILE", code,
                       "/sys/kernel/btf/vmlinux is missing: mount /sys, or boot a kernel with CONFIG_DEBUG_INFO_BTF=y"};
  return util::Error{"cannot read " + path, code, "check that it is readable, or pass --btf FILE"};
}

std::optional<unsigned> Btf::tracepoint_arguments(std::string_view tracepoint) const {
  // typedef void (*btf_trace_X)(void *, arguments of TP_PROTO...)
  const std::string name = "btf_trace_" + std::string{tracepoint};
  const int id = btf__find_by_name_kind(types_.get(), name.c_str(), BTF_KIND_TYPEDEF);
  if (id < 0) return std::nullopt;
  const btf_type* type = btf__type_by_id(types_.get(), static_cast<__u32>(id));
  const btf_type* pointer = type ? btf__type_by_id(types_.get(), type->type) : nullptr;
  const btf_type* function = pointer && btf_is_ptr(pointer) ? btf__type_by_id(types_.get(), pointer->type) : nullptr;
  if (!function || !btf_is_func_proto(function) || btf_vlen(function) == 0) return std::nullopt;
  return btf_vlen(function) - 1U;
}

bool Btf::has_iterator(std::string_view target) const { return has_function("bpf_iter_" + std::string{target}); }

bool Btf::has_function(std::string_view name) const {
  return btf__find_by_name_kind(types_.get(), std::string{name}.c_str(), BTF_KIND_FUNC) > 0;
}

bool Btf::has_struct(const char* name) const { return btf__find_by_name_kind(types_.get(), name, BTF_KIND_STRUCT) > 0; }

bool Btf::has_member(const char* structure, std::string_view member) const {
  const __s32 id = btf__find_by_name_kind(types_.get(), structure, BTF_KIND_STRUCT);
  if (id <= 0) return false;
  const btf_type* type = btf__type_by_id(types_.get(), static_cast<__u32>(id));
  const btf_member* first = btf_members(type);
  return std::any_of(first, first + btf_vlen(type), [&](const btf_member& one) {
    const char* name = btf__name_by_offset(types_.get(), one.name_off);
    return name && name == member;
  });
}

bool Btf::has_enumerator(const char* enumeration, std::string_view name) const {
  bool found = false;
  for_each_enumerator(enumeration, [&](std::string_view known, std::int64_t) { found = found || known == name; });
  return found;
}

bool Btf::is_same_as(const Btf& other) const {
  __u32 size = 0, other_size = 0;
  const void* bytes = btf__raw_data(types_.get(), &size);
  const void* other_bytes = btf__raw_data(other.types_.get(), &other_size);
  return bytes && other_bytes && size == other_size && std::memcmp(bytes, other_bytes, size) == 0;
}

void Btf::for_each_enumerator(const char* name,
                              const std::function<void(std::string_view, std::int64_t)>& visit) const {
  // An enum with a value above 32 bits is of another kind (since 6.0); the reasons are of either.
  int id = btf__find_by_name_kind(types_.get(), name, BTF_KIND_ENUM);
  if (id < 0) id = btf__find_by_name_kind(types_.get(), name, BTF_KIND_ENUM64);
  const btf_type* type = id < 0 ? nullptr : btf__type_by_id(types_.get(), static_cast<__u32>(id));
  if (!type) return;
  const auto text = [this](__u32 offset) {
    const char* found = btf__name_by_offset(types_.get(), offset);
    return std::string_view{found ? found : ""};
  };
  if (btf_is_enum64(type)) {
    for (const struct btf_enum64& e : std::span{btf_enum64(type), btf_vlen(type)})
      visit(text(e.name_off), static_cast<std::int64_t>(btf_enum64_value(&e)));
    return;
  }
  for (const struct btf_enum& e : std::span{btf_enum(type), btf_vlen(type)}) visit(text(e.name_off), e.val);
}

}  // namespace tcpwhy::kernel
