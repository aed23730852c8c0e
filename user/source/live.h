// SPDX-License-Identifier: GPL-2.0-only
// The live source: loads and attaches the BPF programs and gives the one stream of records. The only place that reads
// clocks, sockets and /proc.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "user/core/filter.h"
#include "user/core/finding.h"
#include "user/core/held_socket.h"
#include "user/core/kernel_names.h"
#include "user/core/want.h"
#include "user/util/result.h"
#include "user/util/time.h"

namespace tcpwhy::source {

struct LiveOptions {
  core::Filter filter;  // ports, and the first of --local and of --remote if it is the only one, go to the kernel
  bool every_transition = false;  // --events, record
  std::size_t buffer_bytes = 8U << 20;
  std::string btf_file;
  std::vector<std::string> without;  // hooks that are taken as missing (kernel::Survey)
  util::Duration idle_from{};        // unguarded connections are told of once idle for so long; zero: never
  bool count_held = false;           // whether count_held() will be called
  std::uint32_t lose_each = 0;       // for tests: of so many samples of sweeps the last is lost, as nothing counts it
};

// What looking has cost so far, in CPU time of this thread; absent halves (this kernel has no iterator) stay zero.
struct SweepCosts {
  std::uint64_t sweeps = 0;   // whole ones
  util::Duration walks{};     // over all sockets for suspects, and for the sockets that findings asked for
  util::Duration tracked{};   // over the tracked ones
  util::Duration interval{};  // from one look to the next, now: the longer of both
  double of_one_cpu = 0;      // what both cost now, by the last of each; 0.01 is 1%
};

// One thread; the handler runs inside start() and poll(). A record is valid only while the handler runs.
class LiveSource {
 public:
  using Handler = std::function<void(std::span<const std::byte>)>;

  // Loads the programs. An error says what this kernel or user lacks, and what to do about it.
  static util::Result<std::unique_ptr<LiveSource>> open(const LiveOptions& options);
  virtual ~LiveSource() = default;  // detaches everything

  // What the kernel lacks and which findings suffer, a line each; to be said once.
  [[nodiscard]] virtual std::vector<std::string> missing() const = 0;
  [[nodiscard]] virtual const core::KernelNames& names() const = 0;
  [[nodiscard]] virtual const core::RunIdentity& identity() const = 0;

  // Once it is attached: whether the kernel asks for CAP_BPF (or CAP_SYS_ADMIN) even for what is loaded already, as
  // those before 5.19 do with kernel.unprivileged_bpf_disabled. Found out by trying.
  [[nodiscard]] virtual bool needs_bpf_capability() const = 0;

  // Attaches, and begins to walk the sockets of all processes (Seed records, SeedEnd{initial} at its end). Where that takes
  // long, poll() goes on with it, and hands over events meanwhile; else the seed stands before the first of them.
  virtual util::Status start(const Handler& handler) = 0;
  [[nodiscard]] virtual bool seeded() const = 0;  // SeedEnd{initial} was handed over
  // Waits at most until the next tick is due, hands over what the ring buffer holds, then, when due: Lost, the sweep's
  // Samples, Host where TCP is near a limit, SweepEnd, answers to wants, and one Tick. It waits for nothing that grows with
  // what happens on the host: what it does not get done is done by the next.
  virtual util::Status poll(const Handler& handler) = 0;
  // Asks; the answers come with a later poll. Walks are rationed to 1% of one CPU, observations of processes to 2%: what is
  // not observed within a second of being due is Lost (a want).
  virtual void want(const core::Wants& wants) = 0;
  // Detaches the hooks, hands over what is left for a good half second, counts the rest as Lost, and ends with a last Tick.
  virtual util::Status stop(const Handler& handler) = 0;

  // Every TCP socket that a process holds, once for each process and descriptor, as it is now; paced, so that it stays
  // below 1% of one CPU: false where the time for it has not come, this kernel has no such walk, or it broke off (what was
  // told is to be thrown away then). For the screen alone:
  // what is counted here is no record, no recording has it, and no finding rests on it. After start().
  virtual bool count_held(util::BootTime now, const std::function<void(const core::HeldSocket&)>& tell) = 0;
  [[nodiscard]] virtual bool can_count_held() const = 0;
  [[nodiscard]] virtual SweepCosts sweep_costs() const = 0;
  // Connections that the hooks saw begin (connect and accept), for the summary. 0 where reduced events do not tell.
  [[nodiscard]] virtual std::uint64_t connections_seen() const = 0;
};

}  // namespace tcpwhy::source
