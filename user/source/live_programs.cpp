// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/live_programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "tcpwhy.skel.h"
#include "user/source/live_log.h"
#include "user/util/fd.h"

namespace tcpwhy::source {
namespace {

std::string reason_of(int code) { return std::generic_category().message(code); }

std::string with_warnings(const std::string& what) {
  const std::string warnings = take_libbpf_warnings();
  return warnings.empty() ? what : what + " (" + warnings + ")";
}

util::Error load_error(int code) {
  const std::string warnings = take_libbpf_warnings();
  switch (code) {
    case EPERM:
      return {"the kernel allows no BPF here", code,
              "run as root on the host itself: in a user namespace or an unprivileged container BPF is refused"};
    case ENOMEM:
      return {"no memory for the BPF maps", code,
              "give the ring buffer less, or raise the memory limit of this cgroup"};
    case ESRCH:  // with a BTF file, too: the kernel attaches tracepoint programs by its own type ids
      return {"the kernel's own BTF cannot be found", code,
              "mount /sys, or boot a kernel with CONFIG_DEBUG_INFO_BTF=y: --btf cannot stand in for all of it"};
    default:
      return {"the kernel does not take the BPF programs (" + warnings + ")", code,
              "`tcpwhy doctor` tells what this kernel offers; please report the text above with `uname -r`"};
  }
}

constexpr std::size_t kListed = TW_LISTED_MOST;

using PortBits = std::array<std::uint64_t, 65536 / 64>;

}  // namespace

bool WantedKey::operator<(const WantedKey& other) const { return std::memcmp(&tuple, &other.tuple, sizeof(tuple)) < 0; }

void Programs::Destroy::operator()(tcpwhy_bpf* skeleton) const { tcpwhy_bpf__destroy(skeleton); }

Programs::~Programs() = default;

util::Result<std::unique_ptr<Programs>> Programs::load(const ProgramOptions& options, const kernel::Survey& survey) {
  DECLARE_LIBBPF_OPTS(bpf_object_open_opts, open_options);
  if (!options.btf_file.empty()) open_options.btf_custom_path = options.btf_file.c_str();
  tcpwhy_bpf* skeleton = tcpwhy_bpf__open_opts(&open_options);
  if (!skeleton) return util::Error{with_warnings("cannot open the BPF programs"), errno, ""};
  std::unique_ptr<Programs> programs{new Programs{skeleton}};
  if (auto status = programs->configure(options, survey); !status) return status.error();
  if (auto status = programs->load_into_kernel(); !status) return status.error();
  if (auto status = programs->fill_ports(options.ports); !status) return status.error();
  programs->attach_iterators(survey);
  return programs;
}

util::Status Programs::configure(const ProgramOptions& options, const kernel::Survey& survey) {
  skeleton_->rodata->tw_config = options.config;
  skeleton_->bss->tw_lose_each = options.lose_each;
  const auto bytes = static_cast<__u32>(options.buffer_bytes);
  if (const int error = bpf_map__set_max_entries(skeleton_->maps.tw_events, bytes); error != 0)
    return util::Error{"cannot size the ring buffer", -error, ""};
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton_->obj) {
    if (!survey.has_program(bpf_program__name(program))) bpf_program__set_autoload(program, false);
  }
  if (!options.count_held) bpf_program__set_autoload(skeleton_->progs.tw_held, false);
  return choose_tracking();
}

// By the kernel's own socket storages, or by ours where tracing programs have none, or none that can be swept; what is not
// used stays empty.
util::Status Programs::choose_tracking() {
  by_address_ = skeleton_->rodata->tw_config.sweeps_storages == 0;
  numbers_sockets_ = skeleton_->rodata->tw_config.has_cookies == 0;
  bpf_program__set_autoload(by_address_ ? skeleton_->progs.tw_sweep : skeleton_->progs.tw_sweep_run, false);
  const std::pair<bpf_map*, bool> needed[] = {{skeleton_->maps.tw_tracked_by_address, by_address_},
                                              {skeleton_->maps.tw_ids, numbers_sockets_}};
  for (const auto& [map, is_needed] : needed) {
    if (is_needed) continue;
    if (const int error = bpf_map__set_max_entries(map, 1); error != 0)
      return util::Error{"cannot size a map", -error, ""};
  }
  // The iterators are attached one by one, with what to iterate over.
  bpf_program__set_autoattach(skeleton_->progs.tw_walk, false);
  bpf_program__set_autoattach(skeleton_->progs.tw_sweep, false);
  bpf_program__set_autoattach(skeleton_->progs.tw_sweep_run, false);  // it is run, and never attached
  bpf_program__set_autoattach(skeleton_->progs.tw_held, false);
  return util::Done{};
}

util::Status Programs::load_into_kernel() {
  const int error = tcpwhy_bpf__load(skeleton_.get());
  if (error != 0) return load_error(-error);
  return util::Done{};
}

util::Status Programs::fill_ports(const std::vector<std::uint16_t>& ports) {
  if (ports.empty()) return util::Done{};
  PortBits bits{};
  for (const std::uint16_t port : ports) bits[port / 64U] |= std::uint64_t{1} << (port % 64U);
  for (__u32 word = 0; word < bits.size(); ++word) {
    if (bits[word] == 0) continue;
    const int error =
        bpf_map__update_elem(skeleton_->maps.tw_ports, &word, sizeof(word), &bits[word], sizeof(bits[word]), BPF_ANY);
    if (error != 0) return util::Error{"cannot hand the filtered ports to the kernel", -error, ""};
  }
  return util::Done{};
}

void Programs::attach_iterators(const kernel::Survey& survey) {
  const auto attach = [&](bpf_program* program, int map_fd, std::optional<Iterator>& to) {
    if (!survey.has_program(bpf_program__name(program))) return;  // the survey says so itself
    util::Result<Iterator> iterator = Iterator::attach(program, map_fd);
    if (iterator)
      to.emplace(std::move(*iterator));
    else
      missing_.push_back(iterator.error().what + ": " + reason_of(iterator.error().code));
  };
  attach(skeleton_->progs.tw_walk, -1, walk_);
  if (by_address_)
    can_run_sweep_ = bpf_program__autoload(skeleton_->progs.tw_sweep_run);
  else
    attach(skeleton_->progs.tw_sweep, bpf_map__fd(skeleton_->maps.tw_tracked), sweep_);
  if (numbers_sockets_ && walk_) learn_socket_files();
  can_walk_one_ = walk_ && Iterator::attach_to_process(skeleton_->progs.tw_walk, skeleton_->rodata->tw_config.self_pid);
  // Before 5.12 it knows sockets by what that walk has learnt.
  const bool knows_sockets = !numbers_sockets_ || walk_;
  if (bpf_program__autoload(skeleton_->progs.tw_held) && knows_sockets) attach(skeleton_->progs.tw_held, -1, held_);
}

// Without bpf_sock_from_file() a walk knows a socket by what its file has in common with one of ours.
void Programs::learn_socket_files() {
  const util::Fd own{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const auto give_up = [&](const std::string& why) {
    missing_.push_back("no walk over sockets: " + why);
    walk_.reset();
  };
  if (!own.is_open()) return give_up("cannot make a socket to know others by: " + reason_of(errno));
  skeleton_->bss->tw_own_socket = static_cast<__u32>(own.get());
  skeleton_->bss->tw_walk_mode = TW_WALK_LEARN;
  const auto run = walk_->run([](std::span<const std::byte>) {});
  skeleton_->bss->tw_walk_mode = TW_WALK_WANTED;
  if (!run) return give_up(run.error().what);
  if (skeleton_->bss->tw_socket_ops == 0) give_up("this process was not found in it (a process namespace of its own?)");
}

util::Status Programs::attach() {
  const int error = tcpwhy_bpf__attach(skeleton_.get());
  if (error == 0) return util::Done{};
  detach();
  return util::Error{with_warnings("cannot attach to the kernel's tracepoints"), -error,
                     "`tcpwhy doctor` tells what this kernel offers"};
}

void Programs::detach() { tcpwhy_bpf__detach(skeleton_.get()); }

void Programs::begin_reading() { skeleton_->bss->tw_woken = 0; }

int Programs::events_fd() const { return bpf_map__fd(skeleton_->maps.tw_events); }

bool Programs::can_be_used() const {
  const WantedKey none{};  // no socket has port 0 at both ends
  const __u32 present = 1;
  bpf_map* map = skeleton_->maps.tw_wanted;
  return bpf_map__update_elem(map, &none.tuple, sizeof(none.tuple), &present, sizeof(present), BPF_ANY) == 0 &&
         bpf_map__delete_elem(map, &none.tuple, sizeof(none.tuple), 0) == 0 && (!walk_ || walk_->can_start()) &&
         (!sweep_ || sweep_->can_start()) &&
         (!can_walk_one_ ||
          Iterator::attach_to_process(skeleton_->progs.tw_walk, skeleton_->rodata->tw_config.self_pid));
}

tw_counters Programs::counters() const {
  static const auto cpus = static_cast<std::size_t>(libbpf_num_possible_cpus());
  std::vector<tw_counters> each(cpus);
  tw_counters sum{};
  const __u32 zero = 0;
  if (bpf_map__lookup_elem(skeleton_->maps.tw_counts, &zero, sizeof(zero), each.data(), cpus * sizeof(tw_counters),
                           0) != 0)
    return sum;
  for (const tw_counters& one : each) {
    for (std::size_t kind = 0; kind < TW_KERNEL_KINDS; ++kind) {
      sum.lost[kind] += one.lost[kind];
      sum.limited[kind] += one.limited[kind];
    }
    sum.connects += one.connects;
    sum.accepts += one.accepts;
    sum.unswept += one.unswept;
    sum.caught += one.caught;
  }
  return sum;
}

util::Result<bool> Programs::walk_all(const OnRecord& on_record, const std::function<bool()>& enough) {
  if (!all_) {
    auto started = walk_->start();
    if (!started) return started.error();
    all_.emplace(std::move(*started));
  }
  skeleton_->bss->tw_walk_mode = TW_WALK_ALL;
  auto ended = all_->read(on_record, enough);
  skeleton_->bss->tw_walk_mode = TW_WALK_WANTED;
  all_cost_ = all_->run().cpu;
  if (!ended || *ended) all_.reset();
  return ended;
}

void Programs::begin_round() { skeleton_->bss->tw_sweep_number += 1; }

util::Result<IteratorRun> Programs::run_for_suspects(const Iterator& walk, const OnRecord& on_record) {
  auto& state = *skeleton_->bss;
  // A walk that broke off has left a process behind.
  state.tw_walk_pid = state.tw_walk_files = state.tw_walk_active_ms = 0;
  state.tw_walk_reader = {};
  state.tw_walk_mode = TW_WALK_SUSPECT;
  std::uint64_t of_processes = 0;
  auto run = walk.run([&](std::span<const std::byte> record) {
    tw_active active;
    std::memcpy(&active.header, record.data(), sizeof(active.header));
    if (active.header.kind != TW_KIND_ACTIVE || record.size() < sizeof(active)) return on_record(record);
    std::memcpy(&active, record.data(), sizeof(active));
    of_processes += 1;
    active_.push_back({active.pid, std::chrono::milliseconds{active.age_ms}, active.files});
  });
  state.tw_walk_mode = TW_WALK_WANTED;
  if (run) run->records -= of_processes;
  return run;
}

util::Result<IteratorRun> Programs::walk_suspects(const OnRecord& on_record) {
  begin_round();
  skeleton_->bss->tw_walk_unswept = 0;
  return run_for_suspects(*walk_, on_record);
}

util::Result<IteratorRun> Programs::walk_suspects_of(std::uint32_t pid, const OnRecord& on_record) {
  const auto walk = Iterator::attach_to_process(skeleton_->progs.tw_walk, pid);
  if (!walk) return walk.error();
  return run_for_suspects(*walk, on_record);
}

std::vector<std::uint32_t> Programs::take_connecting() {
  std::vector<std::uint32_t> pids;
  for (__u32& slot : skeleton_->bss->tw_connecting)
    if (slot != 0) pids.push_back(std::exchange(slot, 0));
  return pids;
}

std::uint64_t Programs::last_read_ns(std::uint32_t pid) const {
  tw_reader reader{};
  if (bpf_map__lookup_elem(skeleton_->maps.tw_readers, &pid, sizeof(pid), &reader, sizeof(reader), 0) != 0) return 0;
  return reader.read_ns;
}

util::Result<IteratorRun> Programs::walk_wanted(const WantedKeys& wanted, const OnRecord& on_record) {
  bpf_map* map = skeleton_->maps.tw_wanted;
  const __u32 present = 1;
  std::uint64_t refused = 0;
  for (const WantedKey& key : wanted) {
    const int error = bpf_map__update_elem(map, &key.tuple, sizeof(key.tuple), &present, sizeof(present), BPF_ANY);
    if (error == 0) continue;
    refused += 1;
    log_debug("a wanted socket could not be asked for: " + reason_of(-error));
  }
  auto run = walk_->run(on_record);
  if (run) run->not_looked_for = refused;
  for (const WantedKey& key : wanted) bpf_map__delete_elem(map, &key.tuple, sizeof(key.tuple), 0);
  return run;
}

util::Result<IteratorRun> Programs::count_held(const OnRecord& on_record) { return held_->run(on_record); }

void Programs::begin_sweep(bool whole) {
  auto& state = *skeleton_->bss;
  state.tw_sweep_visited = 0;
  state.tw_sweep_still = 0;
  state.tw_sweep_idle = 0;
  state.tw_sweep_complete = 0;
  state.tw_sweep_turn += 1;
  state.tw_sweep_whole = whole ? 1 : 0;
  state.tw_sweep_crowded = by_address_ && visited_ > TW_TRACKED_MOST / 2 ? 1 : 0;
  state.tw_forget_count = 0;
  state.tw_ring_samples = 0;
  std::memset(&state.tw_still_now, 0, sizeof(state.tw_still_now));  // of a sweep that broke off
}

// Addresses of the sockets that are tracked by them.
util::Result<std::vector<std::uint64_t>> Programs::tracked_addresses() const {
  constexpr __u32 kAtOnce = 4096;
  const int map = bpf_map__fd(skeleton_->maps.tw_tracked_by_address);
  std::vector<std::uint64_t> addresses;
  std::vector<std::uint64_t> keys(kAtOnce);
  std::vector<std::byte> values(kAtOnce * bpf_map__value_size(skeleton_->maps.tw_tracked_by_address));
  __u32 place = 0;
  DECLARE_LIBBPF_OPTS(bpf_map_batch_opts, options);
  for (bool first = true, last = false; !last; first = false) {
    __u32 count = kAtOnce;
    const int error =
        bpf_map_lookup_batch(map, first ? nullptr : &place, &place, keys.data(), values.data(), &count, &options);
    last = error != 0;
    if (last && errno != ENOENT) return util::Error{"cannot list the sockets to sweep", errno, ""};
    addresses.insert(addresses.end(), keys.begin(), keys.begin() + count);
  }
  return addresses;
}

// Runs the program over some addresses, or, with none, once for the end of the sweep.
util::Status Programs::run_listed(std::span<const std::uint64_t> addresses, const std::function<void()>& drain) {
  constexpr int kTries = 8;  // an empty ring buffer holds what 64 sockets have to report
  auto& state = *skeleton_->bss;
  std::copy(addresses.begin(), addresses.end(), std::begin(state.tw_listed));
  state.tw_listed_count = static_cast<__u32>(addresses.size());
  state.tw_listed_done = 0;
  for (int tries = 0; tries < kTries; ++tries) {
    DECLARE_LIBBPF_OPTS(bpf_test_run_opts, options);
    if (bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.tw_sweep_run), &options) != 0)
      return util::Error{"cannot run the sweep", errno, ""};
    if (options.retval == 0) return util::Done{};
    drain();
  }
  return util::Error{"the ring buffer stays full", ENOBUFS, ""};
}

util::Result<IteratorRun> Programs::run_sweep(const std::function<void()>& drain) {
  IteratorRun run;
  const auto before = thread_cpu();
  const auto addresses = tracked_addresses();
  if (!addresses) return addresses.error();
  const std::span all{*addresses};
  for (std::size_t at = 0; at < all.size(); at += kListed)
    if (auto status = run_listed(all.subspan(at, std::min<std::size_t>(kListed, all.size() - at)), drain); !status)
      return status.error();
  if (auto status = run_listed({}, drain); !status) return status.error();
  run.cpu = thread_cpu() - before;
  drain();
  return run;
}

util::Result<SweepRun> Programs::sweep(bool whole, const OnRecord& on_record, const std::function<void()>& drain) {
  begin_sweep(whole);
  const auto run = can_run_sweep_ ? run_sweep(drain) : sweep_->run(on_record);
  if (!run) return run.error();
  const auto& state = *skeleton_->bss;
  if (state.tw_sweep_complete == 0) return util::Error{"the sweep did not come to its end", EIO, ""};
  visited_ = state.tw_sweep_visited;
  return SweepRun{*run, visited_, state.tw_sweep_still, state.tw_ring_samples, state.tw_queue_beyond};
}

std::uint64_t Programs::unswept() const { return skeleton_->bss->tw_walk_unswept; }

std::vector<SkippedRuns> Programs::skipped_runs() const {
  const auto& programs = skeleton_->progs;
  const std::pair<const bpf_program*, std::uint32_t> hooks[] = {
      {programs.tw_inet_sock_set_state, TW_KIND_STATE},
      {programs.tw_tcp_retransmit_skb, TW_KIND_RETRANSMIT},
      {programs.tw_tcp_retransmit_synack, TW_KIND_SYNACK_RETRANSMIT},
      {programs.tw_tcp_send_reset, TW_KIND_RESET_SENT},
      {programs.tw_tcp_receive_reset, TW_KIND_RESET_RECEIVED},
      {programs.tw_inet_sk_error_report, TW_KIND_SOCKET_ERROR},
      {programs.tw_kfree_skb, TW_KIND_DROP},
  };
  std::vector<SkippedRuns> skipped;
  for (const auto& [program, kind] : hooks) {
    const int fd = bpf_program__fd(program);
    if (fd < 0) continue;  // not on this kernel
    bpf_prog_info info{};
    __u32 size = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) continue;
    const std::uint64_t handled = kind == TW_KIND_STATE ? counters().caught : 0;  // after what was skipped was read
    if (info.recursion_misses > handled) skipped.push_back({kind, info.recursion_misses - handled});
  }
  return skipped;
}

}  // namespace tcpwhy::source
