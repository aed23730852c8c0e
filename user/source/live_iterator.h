// SPDX-License-Identifier: GPL-2.0-only
// A BPF iterator: each run walks all its objects once and gives the records that its program wrote.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "user/util/fd.h"
#include "user/util/result.h"

struct bpf_link;
struct bpf_program;

namespace tcpwhy::source {

using OnRecord = std::function<void(std::span<const std::byte>)>;

struct IteratorRun {
  std::uint64_t records = 0;
  std::chrono::nanoseconds cpu{};    // what the walk itself cost, without what was done with its records
  std::uint64_t not_looked_for = 0;  // of what was wanted, where the walk was for something wanted
};

// One run, read piece by piece: between two pieces anything else may be done, runs of the same iterator too.
class IteratorPieces {
 public:
  explicit IteratorPieces(util::Fd fd);

  // Reads until the walk is at its end (true) or `enough` says so, which is asked after each read. A record is valid only
  // while on_record runs.
  util::Result<bool> read(const OnRecord& on_record, const std::function<bool()>& enough);
  [[nodiscard]] const IteratorRun& run() const { return run_; }

 private:
  util::Fd fd_;
  std::vector<std::byte> buffer_;
  std::size_t held_ = 0;  // of a record that was cut, at the buffer's head
  IteratorRun run_;
};

class Iterator {
 public:
  // map_fd: of the map to walk, -1 for iterators over something else.
  static util::Result<Iterator> attach(bpf_program* program, int map_fd);
  // Over the files of one process. Kernels before 6.1 refuse.
  static util::Result<Iterator> attach_to_process(bpf_program* program, std::uint32_t pid);

  // Whether the calling thread may run it.
  [[nodiscard]] bool can_start() const;
  // A record is valid only while on_record runs.
  util::Result<IteratorRun> run(const OnRecord& on_record) const;
  [[nodiscard]] util::Result<IteratorPieces> start() const;

 private:
  struct Destroy {
    void operator()(bpf_link* link) const;
  };
  explicit Iterator(bpf_link* link) : link_(link) {}

  std::unique_ptr<bpf_link, Destroy> link_;
};

// CPU time of the calling thread.
std::chrono::nanoseconds thread_cpu();

// Hands over the whole records (each begins with tw_header and says its size) at the head of `bytes`, counts them, and
// returns how many bytes they were. An error where a size cannot be.
util::Result<std::size_t> split_records(std::span<const std::byte> bytes, const OnRecord& on_record,
                                        std::uint64_t& records);

}  // namespace tcpwhy::source
