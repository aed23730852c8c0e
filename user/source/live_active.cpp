// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/live_active.h"

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <tuple>

#include "user/source/live_programs.h"

namespace tcpwhy::source {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr util::Duration kActiveFor = seconds{60};
// Until it was measured: attaching, starting and reading, and each file (measured on 6.18: 20 us and 0.25 us).
constexpr util::Duration kCostOfWalk = microseconds{30};
constexpr util::Duration kCostOfFile = std::chrono::nanoseconds{300};
constexpr double kWeightOfLast = 0.2;
constexpr double kShare = 0.004;  // of one CPU: the walk over all files keeps the rest of its 1%
constexpr util::Duration kBurst = milliseconds{4};
constexpr util::Duration kEach = milliseconds{500};
constexpr util::Duration kHalfATick = milliseconds{50};
constexpr util::Duration kTooLong =
    milliseconds{1500};  // since the last look at a process: it may run the budget into debt

// The kernel walks the files of a process that has ended, too, and finds none.
bool exists(std::uint32_t pid) { return ::kill(static_cast<pid_t>(pid), 0) == 0 || errno != ESRCH; }

}  // namespace

void ActiveProcesses::saw(std::uint32_t pid, util::BootTime used, std::uint32_t files) {
  if (processes_.size() >= kMost && !processes_.contains(pid)) make_room();
  // Newcomers wait for their turn: a host that makes a process for each connection has more of them than can be walked.
  Process& process = processes_.try_emplace(pid, Process{used, used, {}}).first->second;
  process.used = std::max(process.used, used);
  if (files != 0 || process.cost == util::Duration::zero()) process.cost = kCostOfWalk + files * kCostOfFile;
}

// Who used the network longest ago; a quarter at once, so that this is not done for each newcomer.
void ActiveProcesses::make_room() {
  std::vector<util::BootTime> times;
  times.reserve(processes_.size());
  for (const auto& [pid, process] : processes_) times.push_back(process.used);
  const auto quarter = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 4);
  std::nth_element(times.begin(), quarter, times.end());
  std::size_t left = kMost / 4 + 1;
  std::erase_if(processes_, [&](const auto& p) { return p.second.used <= *quarter && left > 0 && left-- > 0; });
}

void ActiveProcesses::all_walked(util::BootTime now) {
  for (auto& [pid, process] : processes_) process.walked = now;
}

void ActiveProcesses::walked(std::uint32_t pid, util::BootTime now, util::Duration cpu) {
  const auto it = processes_.find(pid);
  if (it == processes_.end()) return;
  it->second.walked = now;
  it->second.cost = cpu;
}

std::vector<ActiveProcesses::Due> ActiveProcesses::due(util::BootTime now) {
  std::erase_if(processes_, [now](const auto& p) { return now - p.second.used > kActiveFor; });
  struct Row {
    util::BootTime walked;
    util::BootTime used;
    Due due;
  };
  std::vector<Row> rows;
  rows.reserve(processes_.size());
  for (const auto& [pid, process] : processes_)
    rows.push_back({process.walked, process.used, {pid, process.cost, now - process.walked}});
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return std::tie(a.walked, b.used, a.due.pid) < std::tie(b.walked, a.used, b.due.pid);
  });
  std::vector<Due> result;
  result.reserve(rows.size());
  for (const Row& row : rows) result.push_back(row.due);
  return result;
}

void ActiveCost::add(util::BootTime now, util::Duration cpu) {
  using Seconds = std::chrono::duration<double>;
  if (last_ != util::BootTime{} && now > last_) {
    const double share = Seconds{cpu} / Seconds{now - last_};
    share_ += kWeightOfLast * (share - share_);
  }
  last_ = now;
}

ActiveWalks::ActiveWalks() : credit_(kShare, kBurst) {}

util::Duration ActiveWalks::walk(util::BootTime now, Programs& programs, SweepPace& all, const OnRecord& on_record) {
  if (!programs.can_walk_one()) return {};
  credit_.earn(now);
  if (now + kHalfATick < next_ || all.is_due(now)) return {};
  next_ = now + kEach;
  util::Duration cpu{};
  const util::Duration spent =
      all.interval() > kEach ? walk_round(now, programs, on_record, cpu) : util::Duration::zero();
  credit_.spend(spent);
  cost_.add(now, spent);
  all.leave(std::min(cost_.of_one_cpu(), kShare));  // the more of a moment is a debt, paid by the next rounds
  return cpu;
}

util::Duration ActiveWalks::walk_round(util::BootTime now, Programs& programs, const OnRecord& on_record,
                                       util::Duration& cpu) {
  const util::Duration before = thread_cpu();
  for (const std::uint32_t pid : programs.take_connecting()) processes_.saw(pid, now, 0);
  programs.begin_round();
  util::Duration spent{};
  for (const ActiveProcesses::Due& due : processes_.due(now)) {
    const util::Duration left = credit_.left() - spent;
    // One that is too expensive now does not keep those after it from their turn, and gets its own all the same.
    if (due.cost > left && (left <= util::Duration::zero() || due.not_seen < kTooLong)) continue;
    const util::Duration begun = thread_cpu();
    std::uint64_t reports = 0;
    const bool walked = exists(due.pid) && programs.walk_suspects_of(due.pid, [&](std::span<const std::byte> record) {
      ++reports;
      on_record(record);
    });
    const util::Duration cost = cost_of_looking(thread_cpu() - begun, reports);
    spent += cost;
    if (walked)
      processes_.walked(due.pid, now, cost);
    else
      processes_.gone(due.pid);
  }
  cpu = thread_cpu() - before;
  return spent;
}

void ActiveWalks::learn(util::BootTime now, Programs& programs, const SweepPace& all) {
  for (const ActiveProcess& process : programs.take_active())
    processes_.saw(process.pid, now - process.age, process.files);
  if (all.began() == now) processes_.all_walked(now);
}

}  // namespace tcpwhy::source
