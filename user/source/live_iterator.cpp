// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/live_iterator.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "bpf/tcpwhy_abi.h"

#include "user/util/fd.h"

namespace tcpwhy::source {
namespace {

// One read; the kernel gives up after a million objects without a record (EAGAIN), having moved on: again then.
ssize_t read_some(int fd, std::span<std::byte> room, std::chrono::nanoseconds& cpu) {
  const std::chrono::nanoseconds before = thread_cpu();
  ssize_t n;
  do n = ::read(fd, room.data(), room.size());
  while (n < 0 && (errno == EAGAIN || errno == EINTR));
  const int code = errno;
  cpu += thread_cpu() - before;
  errno = code;
  return n;
}

util::Result<bpf_link*> attach_with(bpf_program* program, const bpf_iter_attach_opts* options) {
  bpf_link* link = bpf_program__attach_iter(program, options);
  if (!link) return util::Error{std::string{"cannot attach the iterator "} + bpf_program__name(program), errno, ""};
  return link;
}

}  // namespace

std::chrono::nanoseconds thread_cpu() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds{used.tv_sec} + std::chrono::nanoseconds{used.tv_nsec};
}

void Iterator::Destroy::operator()(bpf_link* link) const { bpf_link__destroy(link); }

util::Result<Iterator> Iterator::attach(bpf_program* program, int map_fd) {
  bpf_iter_link_info info{};
  DECLARE_LIBBPF_OPTS(bpf_iter_attach_opts, options);
  if (map_fd >= 0) {
    info.map.map_fd = static_cast<__u32>(map_fd);
    options.link_info = &info;
    options.link_info_len = sizeof(info);
  }
  const auto link = attach_with(program, &options);
  if (!link) return link.error();
  return Iterator{*link};
}

// Kernels that do not have the field find a tail that is not zero, and refuse (bpf_iter_link_attach() in kernel/bpf/bpf_iter.c).
util::Result<Iterator> Iterator::attach_to_process(bpf_program* program, std::uint32_t pid) {
  bpf_iter_link_info info{};
  info.task.pid = pid;
  DECLARE_LIBBPF_OPTS(bpf_iter_attach_opts, options, .link_info = &info, .link_info_len = sizeof(info));
  const auto link = attach_with(program, &options);
  if (!link) return link.error();
  return Iterator{*link};
}

util::Result<std::size_t> split_records(std::span<const std::byte> bytes, const OnRecord& on_record,
                                        std::uint64_t& records) {
  std::size_t used = 0;
  tw_header header;
  while (bytes.size() - used >= sizeof(header)) {
    std::memcpy(&header, bytes.data() + used, sizeof(header));
    if (header.size < sizeof(header)) return util::Error{"a walk gave a record of impossible size", EBADMSG, ""};
    if (header.size > bytes.size() - used) break;
    on_record(bytes.subspan(used, header.size));
    used += header.size;
    ++records;
  }
  return used;
}

bool Iterator::can_start() const { return util::Fd{bpf_iter_create(bpf_link__fd(link_.get()))}.is_open(); }

util::Result<IteratorPieces> Iterator::start() const {
  util::Fd fd{bpf_iter_create(bpf_link__fd(link_.get()))};
  if (!fd.is_open()) return util::Error{"cannot start a walk in the kernel", errno, ""};
  return IteratorPieces{std::move(fd)};
}

util::Result<IteratorRun> Iterator::run(const OnRecord& on_record) const {
  auto pieces = start();
  if (!pieces) return pieces.error();
  const auto ended = pieces->read(on_record, [] { return false; });
  if (!ended) return ended.error();
  return pieces->run();
}

// A header's size is 16 bits wide: a cut record, moved to the head, always leaves room for its rest.
IteratorPieces::IteratorPieces(util::Fd fd) : fd_(std::move(fd)), buffer_(2U << 16) {}

util::Result<bool> IteratorPieces::read(const OnRecord& on_record, const std::function<bool()>& enough) {
  do {
    const ssize_t n = read_some(fd_.get(), std::span{buffer_}.subspan(held_), run_.cpu);
    if (n < 0) return util::Error{"a walk in the kernel broke off", errno, ""};
    if (n == 0 && held_ != 0) return util::Error{"a walk in the kernel ended within a record", EBADMSG, ""};
    if (n == 0) return true;
    held_ += static_cast<std::size_t>(n);
    const util::Result<std::size_t> used = split_records(std::span{buffer_}.first(held_), on_record, run_.records);
    if (!used) return used.error();
    held_ -= *used;
    std::memmove(buffer_.data(), buffer_.data() + *used, held_);
  } while (!enough());
  return false;
}

}  // namespace tcpwhy::source
