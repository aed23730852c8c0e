// SPDX-License-Identifier: GPL-2.0-only
// The BPF programs and maps: the only file that sees the skeleton.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bpf/tcpwhy_abi.h"
#include "user/kernel/features.h"
#include "user/source/live_iterator.h"
#include "user/util/result.h"
#include "user/util/time.h"

struct tcpwhy_bpf;

namespace tcpwhy::source {

struct ProgramOptions {
  tw_config config{};
  std::size_t buffer_bytes = 0;
  std::string btf_file;              // empty: the kernel's own
  std::vector<std::uint16_t> ports;  // that pass config.filter_ports
  bool count_held = false;           // whether count_held() will be called: it has a program of its own
  std::uint32_t lose_each = 0;       // for tests: of so many samples the last is lost unseen
};

// One sweep over the tracked sockets.
struct SweepRun {
  IteratorRun run;
  std::uint64_t visited = 0;  // sockets
  std::uint64_t still = 0;    // ids in Still records
  std::uint64_t in_ring = 0;  // samples that went into the ring buffer, and not to on_record
  std::uint64_t unreported_in_queues =
      0;  // since the start: connections beyond those that a sweep reports of a listener
};

// Runs of a hook that the kernel skipped, for the hook ran on that CPU already, and that no second program handled.
struct SkippedRuns {
  std::uint32_t kind = 0;  // TW_KIND_ of what the hook emits
  std::uint64_t count = 0;
};

// A tuple as the kernel side looks it up among the wanted ones, netns 0.
struct WantedKey {
  tw_tuple tuple{};
  bool operator<(const WantedKey& other) const;
};
using WantedKeys = std::set<WantedKey>;

// A process that used the network in the last minute, as a walk left it.
struct ActiveProcess {
  std::uint32_t pid = 0;
  util::Duration age{};     // since it last sent or received
  std::uint32_t files = 0;  // that the walk saw of it
};

// Everything is detached and freed with this object; nothing is pinned.
class Programs {
 public:
  static constexpr std::size_t kMostWanted = 4096;  // what the map holds

  static util::Result<std::unique_ptr<Programs>> load(const ProgramOptions& options, const kernel::Survey& survey);
  ~Programs();
  Programs(const Programs&) = delete;
  Programs& operator=(const Programs&) = delete;

  util::Status attach();
  void detach();

  [[nodiscard]] int events_fd() const;
  // The reader is about to read: the next time the ring buffer fills, it is to be woken again.
  void begin_reading();
  [[nodiscard]] tw_counters counters() const;  // of all CPUs
  // By hook, since it was loaded (bpf_prog_info.recursion_misses); empty before 5.12, which does not count them.
  [[nodiscard]] std::vector<SkippedRuns> skipped_runs() const;

  // Whether the kernel lets the calling thread into the maps and start the iterators.
  [[nodiscard]] bool can_be_used() const;

  // The iterators; a line in missing() for each that could not be had.
  [[nodiscard]] bool can_walk() const { return walk_.has_value(); }
  [[nodiscard]] bool can_sweep() const { return sweep_.has_value() || can_run_sweep_; }
  [[nodiscard]] const std::vector<std::string>& missing() const { return missing_; }

  // The walk at start, in pieces: begins, or goes on, until `enough` says so; true: it is at its end.
  util::Result<bool> walk_all(const OnRecord& on_record, const std::function<bool()>& enough);
  // What that has cost so far.
  [[nodiscard]] util::Duration walk_all_cost() const { return all_cost_; }
  util::Result<IteratorRun> walk_wanted(const WantedKeys& wanted, const OnRecord& on_record);
  // The two halves of a sweep: suspects that are not tracked yet, then what is tracked.
  util::Result<IteratorRun> walk_suspects(const OnRecord& on_record);
  // The first half for single processes. begin_round() before those that stand for one sweep: a socket of several of them is
  // reported for each.
  [[nodiscard]] bool can_walk_one() const { return can_walk_one_; }
  void begin_round();
  util::Result<IteratorRun> walk_suspects_of(std::uint32_t pid, const OnRecord& on_record);
  // What the walks for suspects found since this was last asked, and who called connect() since.
  std::vector<ActiveProcess> take_active() { return std::exchange(active_, {}); }
  std::vector<std::uint32_t> take_connecting();
  // whole: reports each socket in trouble as a sample, whether it changed or not. Where storages are not swept the records go
  // into the ring buffer, which `drain` empties. An error where it broke off.
  util::Result<SweepRun> sweep(bool whole, const OnRecord& on_record, const std::function<void()>& drain);
  // Sockets that the last walk found suspect and had no room to have tracked.
  [[nodiscard]] std::uint64_t unswept() const;
  // A tw_held for each socket that a process holds.
  [[nodiscard]] bool can_count_held() const { return held_.has_value(); }
  util::Result<IteratorRun> count_held(const OnRecord& on_record);
  // This process read from a TCP socket then or later (CLOCK_BOOTTIME); 0: no walk for suspects saw it read.
  [[nodiscard]] std::uint64_t last_read_ns(std::uint32_t pid) const;

 private:
  struct Destroy {
    void operator()(tcpwhy_bpf* skeleton) const;
  };
  explicit Programs(tcpwhy_bpf* skeleton) : skeleton_(skeleton) {}

  util::Status configure(const ProgramOptions& options, const kernel::Survey& survey);
  util::Status load_into_kernel();
  util::Status fill_ports(const std::vector<std::uint16_t>& ports);
  util::Status choose_tracking();
  void attach_iterators(const kernel::Survey& survey);
  void learn_socket_files();
  util::Result<IteratorRun> run_for_suspects(const Iterator& walk, const OnRecord& on_record);
  void begin_sweep(bool whole);
  util::Result<IteratorRun> run_sweep(const std::function<void()>& drain);
  util::Status run_listed(std::span<const std::uint64_t> addresses, const std::function<void()>& drain);
  [[nodiscard]] util::Result<std::vector<std::uint64_t>> tracked_addresses() const;

  std::unique_ptr<tcpwhy_bpf, Destroy> skeleton_;
  std::optional<Iterator> walk_;
  std::optional<Iterator> sweep_;
  std::optional<Iterator> held_;
  std::optional<IteratorPieces> all_;  // the walk at start, until its end
  util::Duration all_cost_{};
  std::vector<ActiveProcess> active_;
  bool can_walk_one_ = false;
  bool can_run_sweep_ = false;
  std::vector<std::string> missing_;
  std::uint64_t visited_ = 0;     // by the last sweep
  bool by_address_ = false;       // sockets are tracked by ours, not by the kernel's own storages
  bool numbers_sockets_ = false;  // ... and known by numbers of ours: the kernel gives no cookies
};

}  // namespace tcpwhy::source
