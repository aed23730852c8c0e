// SPDX-License-Identifier: GPL-2.0-only
// A BPF iterator: each run walks all its objects once and gives the records that its program wrote.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "user/util/result.h"

struct bpf_link;
struct bpf_program;

namespace tcpwhy::source {

using OnRecord = std::function<void(std::span<const std::byte>)>;

struct IteratorRun {
  std::uint64_t records = 0;
  std::chrono::nanoseconds cpu{};  // what the walk itself cost, without what was done with its records
};

class Iterator {
 public:
  // map_fd: of the map to walk, -1 for iterators over something else.
  static util::Result<Iterator> attach(bpf_program* program, int map_fd);

  // Whether the calling thread may run it.
  [[nodiscard]] bool can_start() const;
  // A record is valid only while on_record runs.
  util::Result<IteratorRun> run(const OnRecord& on_record) const;

 private:
  struct Destroy {
    void operator()(bpf_link* link) const;
  };
  explicit Iterator(bpf_link* link) : link_(link) {}

  std::unique_ptr<bpf_link, Destroy> link_;
};

// Hands over the whole records (each begins with tw_header and says its size) at the head of `bytes`, counts them, and
// returns how many bytes they were. An error where a size cannot be.
util::Result<std::size_t> split_records(std::span<const std::byte> bytes, const OnRecord& on_record,
                                        std::uint64_t& records);

}  // namespace tcpwhy::source
