// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/live.h"

#include <bpf/libbpf.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "bpf/tcpwhy_abi.h"
#include "user/host/capabilities.h"
#include "user/host/identity.h"
#include "user/host/tcp_use.h"
#include "user/kernel/btf.h"
#include "user/kernel/btf_names.h"
#include "user/kernel/features.h"
#include "user/source/live_active.h"
#include "user/source/live_checks.h"
#include "user/source/live_config.h"
#include "user/source/live_counters.h"
#include "user/source/live_log.h"
#include "user/source/live_losses.h"
#include "user/source/live_pace.h"
#include "user/source/live_processes.h"
#include "user/source/live_programs.h"
#include "user/source/live_wants.h"
#include "user/util/fd.h"

namespace tcpwhy::source {
namespace {

using std::chrono::milliseconds;
using util::BootTime;
using util::Duration;

constexpr Duration kTick = milliseconds{100};
constexpr Duration kHostEach = milliseconds{900};
constexpr Duration kClockMoved = milliseconds{50};  // worth a record: times are printed in milliseconds
constexpr Duration kClockSet = milliseconds{1000};  // worth a word
// A producer that never pauses must not keep the ticks from coming: so long one drain of the ring buffer goes on.
constexpr Duration kDrain = milliseconds{50};
constexpr int kSweepDrains = 10;                    // of what a sweep put into the ring buffer, at most
constexpr std::uint64_t kRecordsBetweenLooks = 64;  // at the clock
// How long the walk over all processes' files, at start, may keep everything else waiting: first of all, while what happens
// fits into the ring buffer, so that on most hosts the seed stands before the first event; and then in each poll.
constexpr Duration kFirstSeeds = milliseconds{50};
constexpr Duration kSeeds = milliseconds{10};
// What the ring buffer still holds when tracing ends is handed over for so long.
constexpr Duration kLastDrain = milliseconds{600};

std::uint64_t to_ns(BootTime time) { return static_cast<std::uint64_t>(time.time_since_epoch().count()); }

struct FreeRing {
  void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
};

class Live final : public LiveSource {
 public:
  Live(std::unique_ptr<Programs> programs, core::KernelNames names, std::vector<std::string> missing)
      : programs_(std::move(programs)),
        names_(std::move(names)),
        missing_(std::move(missing)),
        identity_(host::read_identity()),
        wall_told_(identity_.wall.at_start()) {}
  Live(const Live&) = delete;
  Live& operator=(const Live&) = delete;

  util::Status prepare();

  [[nodiscard]] std::vector<std::string> missing() const override { return missing_; }
  [[nodiscard]] const core::KernelNames& names() const override { return names_; }
  [[nodiscard]] const core::RunIdentity& identity() const override { return identity_; }
  [[nodiscard]] std::uint64_t connections_seen() const override {
    const tw_counters counters = programs_->counters();
    return counters.connects + counters.accepts;
  }
  [[nodiscard]] bool needs_bpf_capability() const override {
    const host::Without without{{host::Capability::bpf, host::Capability::perfmon, host::Capability::sys_admin}};
    return !programs_->can_be_used();
  }
  [[nodiscard]] SweepCosts sweep_costs() const override {
    SweepCosts costs = costs_;
    costs.of_one_cpu = walk_pace_.of_one_cpu() + sweep_pace_.of_one_cpu() + active_.of_one_cpu();
    return costs;
  }
  void want(const core::Wants& wants) override {
    if (wants.whole_sweep) whole_.want();
    wants_.add(wants.sockets);
    processes_.add(wants.processes, host::boot_now());
  }
  [[nodiscard]] bool can_count_held() const override { return programs_->can_count_held(); }
  bool count_held(BootTime now, const std::function<void(const core::HeldSocket&)>& tell) override;

  util::Status start(const Handler& handler) override;
  [[nodiscard]] bool seeded() const override { return seeded_; }
  util::Status poll(const Handler& handler) override;
  util::Status stop(const Handler& handler) override;

 private:
  // Where the ring buffer's records go while ring_buffer__consume() runs.
  struct Drain {
    const Handler* handler = nullptr;  // absent: they are counted as lost
    std::uint64_t records = 0;
    BootTime until{};
    std::array<std::uint64_t, TW_KERNEL_KINDS> lost{};
  };
  static int on_ring_record(void* self, void* record, std::size_t size);

  template <typename Record>
  void emit(const Handler& handler, Record& record, std::uint16_t kind);
  void pass_on(const Handler& handler, std::span<const std::byte> record);

  util::Status wait_for_tick() const;
  bool drain(const Handler& handler, Duration most);  // false: more is left
  void lose_what_is_left(const Handler& handler);
  void seed(const Handler& handler, Duration most);
  void end_seeding(const Handler& handler, bool complete);
  void end_walk(const Handler& handler, std::uint64_t sockets, bool initial, bool complete);
  void do_tick(const Handler& handler);
  void tell_losses(const Handler& handler, bool at_end = false);
  void note_run(SweepPace& pace, Duration& cost, BootTime now, const util::Result<IteratorRun>& run);
  void walk_for_suspects(const OnRecord& tell, BootTime now);
  std::optional<SweepRun> sweep_tracked(const Handler& handler, const OnRecord& tell, BootTime now);
  void sweep_if_due(const Handler& handler, BootTime now);
  void tell_host(const Handler& handler, BootTime now);
  void walk_active(const Handler& handler, BootTime now);
  void observe_processes(const Handler& handler, BootTime now);
  void answer_wants(const Handler& handler, BootTime now);
  void walk_for_wants(const Handler& handler, BootTime now);
  void tell_counters(const Handler& handler);
  void emit_tick(const Handler& handler);
  void tell_clock(const Handler& handler);

  std::unique_ptr<Programs> programs_;
  core::KernelNames names_;
  std::vector<std::string> missing_;
  core::RunIdentity identity_;
  util::WallOffset wall_told_;
  std::unique_ptr<ring_buffer, FreeRing> ring_;
  util::Fd epoll_;
  Drain drain_;
  bool seeded_ = false;
  std::uint64_t seeds_ = 0;
  PendingWants wants_;
  ProcessObservations processes_;
  NamespaceCounters counters_;
  // The walk finds who is suspect, the sweep looks at those; where there are many sockets, only the walk is expensive.
  SweepPace walk_pace_{"the walk over all sockets"};
  SweepPace sweep_pace_{"the sweep over the tracked sockets"};
  SweepPace held_pace_{"the count of what processes hold"};
  WalkRation walk_ration_;
  // Between two walks over all files: those of the processes that used the network lately.
  ActiveWalks active_;
  std::uint64_t active_samples_ = 0;  // since the last sweep's end
  SweepCosts costs_;
  LossCounts losses_;
  KernelLosses kernel_losses_;
  WholeSweeps whole_;
  bool more_in_ring_ = false;  // the last drain was cut short, and no wake-up is to come for the rest
  std::uint64_t last_ns_ = 0;  // the latest time of a record handed over
  BootTime next_tick_{};
  BootTime next_host_{};
  bool host_told_ = false;
};

util::Status Live::prepare() {
  ring_.reset(ring_buffer__new(programs_->events_fd(), on_ring_record, this, nullptr));
  if (!ring_) return util::Error{"cannot map the ring buffer", errno, "give it less memory"};
  epoll_ = util::Fd{::epoll_create1(EPOLL_CLOEXEC)};
  if (!epoll_.is_open()) return util::Error{"cannot make an epoll instance", errno, ""};
  // Edge-triggered: only the kernel side's wake-up (at a fill level) counts, not that there is something to read.
  // Level-triggered, a busy host would make this a busy loop.
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, programs_->events_fd(), &event) != 0)
    return util::Error{"cannot wait for the ring buffer", errno, ""};
  return util::Done{};
}

void Live::pass_on(const Handler& handler, std::span<const std::byte> record) {
  tw_header header;
  if (record.size() < sizeof(header)) return;
  std::memcpy(&header, record.data(), sizeof(header));
  last_ns_ = std::max<std::uint64_t>(last_ns_, header.time_ns);
  if (header.kind == TW_KIND_SEED || header.kind == TW_KIND_STATE) counters_.note_listener(record, header.kind);
  handler(record);
}

int Live::on_ring_record(void* self, void* record, std::size_t size) {
  Live& live = *static_cast<Live*>(self);
  Drain& drain = live.drain_;
  const std::span bytes{static_cast<const std::byte*>(record), size};
  if (drain.handler) {
    live.pass_on(*drain.handler, bytes);
  } else if (tw_header header; size >= sizeof(header)) {
    std::memcpy(&header, record, sizeof(header));
    drain.lost.at(header.kind < TW_KERNEL_KINDS ? header.kind : 0) += 1;
  }
  const bool looks = ++drain.records % kRecordsBetweenLooks == 0;
  return looks && drain.handler && host::boot_now() >= drain.until ? -EAGAIN : 0;
}

bool Live::drain(const Handler& handler, Duration most) {
  programs_->begin_reading();
  drain_ = {&handler, 0, host::boot_now() + most, {}};
  const bool all = ring_buffer__consume(ring_.get()) >= 0;
  drain_ = {};
  return all;
}

// Nothing produces any more: this ends.
void Live::lose_what_is_left(const Handler& handler) {
  drain_ = {};
  ring_buffer__consume(ring_.get());
  const auto lost = std::exchange(drain_, {}).lost;
  for (std::uint32_t kind = 0; kind < TW_KERNEL_KINDS; ++kind) {
    if (lost.at(kind) == 0) continue;
    tw_lost record{};
    record.count = lost.at(kind);
    record.kind = kind;
    record.way = TW_LOST_RING;
    emit(handler, record, TW_KIND_LOST);
  }
}

// What user space makes is stamped now, and never before what was handed over.
template <typename Record>
void Live::emit(const Handler& handler, Record& record, std::uint16_t kind) {
  record.header.time_ns = std::max(to_ns(host::boot_now()), last_ns_);
  record.header.kind = kind;
  record.header.size = sizeof(Record);
  pass_on(handler, std::as_bytes(std::span{&record, 1}));
}

void Live::end_walk(const Handler& handler, std::uint64_t sockets, bool initial, bool complete) {
  tw_seed_end record{};
  record.sockets = sockets;
  record.initial = initial ? 1 : 0;
  record.complete = complete ? 1 : 0;
  emit(handler, record, TW_KIND_SEED_END);
}

void Live::end_seeding(const Handler& handler, bool complete) {
  seeded_ = true;
  end_walk(handler, seeds_, true, complete);
}

// The next piece of the walk over all processes' files.
void Live::seed(const Handler& handler, Duration most) {
  if (!programs_->can_walk()) return end_seeding(handler, false);
  const BootTime until = host::boot_now() + most;
  const auto count = [&](std::span<const std::byte> record) {
    pass_on(handler, record);
    ++seeds_;
  };
  const auto ended = programs_->walk_all(count, [until] { return host::boot_now() >= until; });
  if (ended && !*ended) return;
  if (ended) {
    // Not on the ration: it wrote a record for each socket, a walk for wanted ones costs a fraction of that.
    log_debug("the walk at start took " + std::to_string(programs_->walk_all_cost().count() / 1000) +
              " us of CPU for " + std::to_string(seeds_) + " sockets");
  } else {
    losses_.add(TW_KIND_SEED, TW_LOST_WALK, 1);
    log_info(ended.error().what + ": what was there before is known only in part");
  }
  end_seeding(handler, ended.has_value());
}

util::Status Live::start(const Handler& handler) {
  if (auto status = programs_->attach(); !status) return status;
  seed(handler, kFirstSeeds);
  next_tick_ = host::boot_now() + kTick;
  return util::Done{};
}

util::Status Live::wait_for_tick() const {
  const Duration left = next_tick_ - host::boot_now();
  if (left <= Duration::zero() || !seeded_ || more_in_ring_) return util::Done{};
  epoll_event event;
  const auto ms = std::chrono::ceil<milliseconds>(left).count();
  if (::epoll_wait(epoll_.get(), &event, 1, static_cast<int>(ms)) < 0 && errno != EINTR)
    return util::Error{"cannot wait for the ring buffer", errno, ""};
  return util::Done{};
}

util::Status Live::poll(const Handler& handler) {
  if (auto status = wait_for_tick(); !status) return status;
  more_in_ring_ = !drain(handler, kDrain);
  if (!seeded_) seed(handler, kSeeds);
  if (host::boot_now() >= next_tick_) do_tick(handler);
  return util::Done{};
}

void Live::do_tick(const Handler& handler) {
  const BootTime now = host::boot_now();
  tell_clock(handler);
  tell_losses(handler);
  walk_active(handler, now);
  sweep_if_due(handler, now);
  active_.learn(now, *programs_, walk_pace_);
  answer_wants(handler, now);
  more_in_ring_ = !drain(handler, kDrain);  // what came meanwhile: it belongs before the tick
  emit_tick(handler);
  // Ticks that were missed are not made up for.
  next_tick_ = std::max(next_tick_ + kTick, host::boot_now());
}

void Live::emit_tick(const Handler& handler) {
  tw_tick record{};
  emit(handler, record, TW_KIND_TICK);
}

// Somebody set the wall clock, or NTP stepped it, at once or in small steps that add up.
void Live::tell_clock(const Handler& handler) {
  const util::WallOffset offset = host::read_wall_offset();
  const Duration moved{offset.nanoseconds - wall_told_.nanoseconds};
  if (moved < kClockMoved && moved > -kClockMoved) return;
  wall_told_ = offset;
  tw_clock record{};
  record.wall_offset_ns = offset.nanoseconds;
  record.moved_ns = moved.count();
  emit(handler, record, TW_KIND_CLOCK);
  if (moved >= kClockSet || moved <= -kClockSet)
    log_info("the wall clock was set " + util::moved_words(moved) + ": times from here on are of the new one");
}

void Live::tell_losses(const Handler& handler, bool at_end) {
  kernel_losses_.read(*programs_, host::boot_now(), at_end, losses_);
  for (tw_lost& record : losses_.take_growth()) emit(handler, record, TW_KIND_LOST);
  for (tw_lost& record : kernel_losses_.take_limited()) emit(handler, record, TW_KIND_LIMITED);
}

void Live::note_run(SweepPace& pace, Duration& cost, BootTime now, const util::Result<IteratorRun>& run) {
  if (!run) {
    log_debug(run.error().what);
    losses_.add(TW_KIND_SAMPLE, TW_LOST_ITERATOR, 1);
  }
  const Duration cpu = run ? run->cpu : Duration::zero();
  cost += cpu;
  const std::string note = pace.swept(now, cost_of_looking(cpu, run ? run->records : 0));
  if (!note.empty()) log_info(note);
}

void Live::walk_for_suspects(const OnRecord& tell, BootTime now) {
  note_run(walk_pace_, costs_.walks, now, programs_->walk_suspects(tell));
  losses_.level(TW_KIND_SAMPLE, TW_LOST_UNSWEPT, programs_->unswept());
}

std::optional<SweepRun> Live::sweep_tracked(const Handler& handler, const OnRecord& tell, BootTime now) {
  const auto sweep = programs_->sweep(whole_.begins(now), tell, [&] {
    for (int tries = 0; tries < kSweepDrains && !drain(handler, kDrain); ++tries) {
    }
  });
  util::Result<IteratorRun> run = sweep ? util::Result<IteratorRun>{sweep->run} : sweep.error();
  if (run) run->records += sweep->in_ring;
  note_run(sweep_pace_, costs_.tracked, now, run);
  if (!sweep) return std::nullopt;
  losses_.stands_at(TW_KIND_SAMPLE, TW_LOST_QUEUE, sweep->unreported_in_queues);
  return *sweep;
}

void Live::sweep_if_due(const Handler& handler, BootTime now) {
  const bool walk = programs_->can_sweep() && programs_->can_walk() && seeded_ && walk_pace_.is_due(now);
  const bool sweep = programs_->can_sweep() && sweep_pace_.is_due(now);
  if (!walk && !sweep) return;
  std::uint64_t samples = std::exchange(active_samples_, 0);
  const OnRecord tell = [&](std::span<const std::byte> record) {
    if (record.size() == sizeof(tw_sample)) samples += 1;  // else a tw_still
    pass_on(handler, record);
  };
  if (walk) walk_for_suspects(tell, now);
  const std::optional<SweepRun> swept = sweep_tracked(handler, tell, now);
  tell_host(handler, now);
  if (!swept) return;  // without its end, a sweep confirms nothing
  // What a process has read is seen by the walk alone.
  const Duration interval = std::max(walk_pace_.interval(), sweep_pace_.interval());
  costs_.sweeps += 1;
  costs_.interval = interval;
  tw_sweep_end record = to_record(*swept, interval);
  record.sockets = samples + swept->in_ring;
  emit(handler, record, TW_KIND_SWEEP_END);
}

// Once a second at most, and only while TCP is near a limit, and once more after.
void Live::tell_host(const Handler& handler, BootTime now) {
  if (now < next_host_) return;
  next_host_ = now + kHostEach;
  const host::TcpUse use = host::read_tcp_use();
  const bool near_limit = use.near_limit();
  if (!near_limit && !host_told_) return;
  host_told_ = near_limit;
  counters_.want(static_cast<std::uint32_t>(::getpid()));
  tw_host record = to_record(use);
  emit(handler, record, TW_KIND_HOST);
}

void Live::walk_active(const Handler& handler, BootTime now) {
  if (!seeded_ || !programs_->can_sweep()) return;
  costs_.walks += active_.walk(now, *programs_, walk_pace_, [&](std::span<const std::byte> record) {
    pass_on(handler, record);
    active_samples_ += 1;
  });
}

void Live::observe_processes(const Handler& handler, BootTime now) {
  processes_.observe(now, [&](const host::Process& process) {
    tw_process record = to_record(process);
    const std::uint64_t read_ns = programs_->last_read_ns(process.pid);
    record.read_age_ms =
        read_ns == 0 ? TW_NEVER : static_cast<__u32>((to_ns(now) - std::min(read_ns, to_ns(now))) / 1'000'000);
    emit(handler, record, TW_KIND_PROCESS);
    counters_.want(process.pid);
  });
  losses_.add(TW_KIND_PROCESS, TW_LOST_WANT, processes_.take_late(now));
}

void Live::answer_wants(const Handler& handler, BootTime now) {
  observe_processes(handler, now);
  const Duration before = thread_cpu();
  tell_counters(handler);
  processes_.spend(thread_cpu() - before);
  if (wants_.any_socket()) walk_for_wants(handler, now);
}

void Live::tell_counters(const Handler& handler) {
  counters_.read([&](tw_mib& record) { emit(handler, record, TW_KIND_MIB); });
}

void Live::walk_for_wants(const Handler& handler, BootTime now) {
  if (programs_->can_walk() && !walk_ration_.allows(now)) return;
  const PendingWants::Sockets wanted = wants_.take_sockets();
  if (!programs_->can_walk()) return end_walk(handler, 0, false, false);
  const auto run =
      programs_->walk_wanted(wanted.keys, [&](std::span<const std::byte> record) { pass_on(handler, record); });
  if (run) {
    walk_ration_.walked(now, run->cpu);
    costs_.walks += run->cpu;
    log_debug("a walk for " + std::to_string(wanted.keys.size()) + " wanted sockets took " +
              std::to_string(run->cpu.count() / 1000) + " us of CPU");
  } else {
    log_debug(run.error().what);
  }
  const bool complete = run && wanted.all && run->not_looked_for == 0;
  if (!complete) losses_.add(TW_KIND_SEED, TW_LOST_WALK, 1);
  end_walk(handler, run ? run->records : 0, false, complete);
}

bool Live::count_held(BootTime now, const std::function<void(const core::HeldSocket&)>& tell) {
  if (!programs_->can_count_held() || !held_pace_.is_due(now)) return false;
  const auto run = programs_->count_held([&](std::span<const std::byte> record) {
    tw_held held;
    if (record.size() < sizeof(held)) return;
    std::memcpy(&held, record.data(), sizeof(held));
    tell(to_held(held));
  });
  if (!run) log_debug(run.error().what);
  if (const std::string note = held_pace_.swept(now, run ? run->cpu : Duration::zero()); !note.empty()) log_debug(note);
  return run.has_value();
}

util::Status Live::stop(const Handler& handler) {
  programs_->detach();
  if (!drain(handler, kLastDrain)) lose_what_is_left(handler);
  if (!seeded_) end_seeding(handler, false);
  tell_losses(handler, true);
  emit_tick(handler);
  return util::Done{};
}

}  // namespace

util::Result<std::unique_ptr<LiveSource>> LiveSource::open(const LiveOptions& options) {
  capture_libbpf_messages();
  if (auto status = check_host(options.buffer_bytes); !status) return std::move(status.error());
  auto btf = kernel::Btf::open(options.btf_file);
  if (!btf) return std::move(btf.error());
  if (auto status = check_btf(*btf, options.btf_file); !status) return std::move(status.error());
  const kernel::Survey survey{*btf, options.without};
  if (auto status = check_kernel(survey); !status) return std::move(status.error());
  core::KernelNames names{
      survey.has_program("tw_kfree_skb") ? kernel::drop_reasons(*btf) : kernel::ReasonNames{},
      survey.has_argument("tcp_send_reset", 3) ? kernel::reset_reasons(*btf) : kernel::ReasonNames{}};
  raise_memlock_limit();
  auto programs = Programs::load({make_config(options, survey, names), options.buffer_bytes, options.btf_file,
                                  options.filter.ports, options.count_held, options.lose_each},
                                 survey);
  if (!programs) return std::move(programs.error());
  std::vector<std::string> missing = survey.missing();
  missing.insert(missing.end(), (*programs)->missing().begin(), (*programs)->missing().end());
  auto live = std::make_unique<Live>(std::move(*programs), std::move(names), std::move(missing));
  if (auto status = live->prepare(); !status) return std::move(status.error());
  return std::unique_ptr<LiveSource>{std::move(live)};
}

}  // namespace tcpwhy::source
