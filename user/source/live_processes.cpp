// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/live_processes.h"

#include <algorithm>

#include "user/source/live_iterator.h"

namespace tcpwhy::source {
namespace {

using std::chrono::seconds;

constexpr util::Duration kLongestAgain = seconds{5};
constexpr util::Duration kKeptFor = seconds{3};  // descriptors, limit, cgroup
constexpr std::size_t kMostKept = 4096;
constexpr double kWeightOfLast = 0.1;
constexpr double kShare = 0.02;  // of one CPU
// Kept while it is not used: enough for a thousand processes that get stuck at once.
constexpr util::Duration kBurst =
    std::chrono::milliseconds{250};  // a thousand processes that got stuck at once, on a busy host

}  // namespace

void ProcessQueue::add(const std::vector<std::uint32_t>& pids, util::BootTime now) {
  for (const std::uint32_t pid : pids) {
    const auto waits = known_.find(pid);
    if (waits != known_.end() && waits->second.waits) continue;
    if (waiting_.size() >= kMost) {
      refused_ += 1;
      continue;
    }
    Known& known = known_[pid];
    known.waits = true;
    const bool is_new = known.observed == util::BootTime{};
    waiting_.emplace(is_new ? now : std::max(now, known.observed + again()), pid);
  }
}

util::Duration ProcessQueue::again() const {
  const auto round = std::chrono::duration<double, std::nano>{cost_} * static_cast<double>(waiting_.size()) / share_;
  return std::clamp(std::chrono::duration_cast<util::Duration>(round), kAgain, kLongestAgain);
}

std::optional<std::uint32_t> ProcessQueue::take(util::BootTime now) {
  const auto first = waiting_.begin();
  if (first == waiting_.end() || first->first > now) return std::nullopt;
  const std::uint32_t pid = first->second;
  waiting_.erase(first);
  known_[pid].waits = false;
  return pid;
}

void ProcessQueue::observed(std::uint32_t pid, util::BootTime now, util::Duration cpu) {
  known_[pid].observed = now;
  const auto change = std::chrono::duration<double, std::nano>{cpu - cost_} * kWeightOfLast;
  cost_ = cost_ == util::Duration::zero() ? cpu : cost_ + std::chrono::duration_cast<util::Duration>(change);
}

std::uint64_t ProcessQueue::take_late(util::BootTime now) {
  std::uint64_t late = std::exchange(refused_, 0);
  for (auto it = waiting_.begin(); it != waiting_.end() && now - it->first > kLate; it = waiting_.erase(it)) {
    known_[it->second].waits = false;
    late += 1;
  }
  if (now - tidied_ > kLongestAgain) {
    tidied_ = now;
    std::erase_if(known_, [&](const auto& k) { return !k.second.waits && now - k.second.observed > kLongestAgain; });
  }
  return late;
}

host::Process ProcessObserver::observe(std::uint32_t pid, util::BootTime now) {
  host::Process process = look_(pid);
  if (process.state == '?') {
    kept_.erase(pid);
    return process;
  }
  if (kept_.size() >= kMostKept && !kept_.contains(pid)) forget_old(now);
  Kept& kept = kept_[pid];
  if (kept.start_ns == process.start_ns && now - kept.read < kKeptFor) {
    process.open_fds = kept.open_fds;
    process.fd_limit = kept.fd_limit;
    process.cgroup = kept.cgroup;
    return process;
  }
  read_(process);
  kept = {process.start_ns, now, process.open_fds, process.fd_limit, process.cgroup};
  return process;
}

void ProcessObserver::forget_old(util::BootTime now) {
  std::erase_if(kept_, [now](const auto& k) { return now - k.second.read >= kKeptFor; });
  if (kept_.size() >= kMostKept) kept_.clear();  // then each is read in full once more
}

ProcessObservations::ProcessObservations() : queue_(kShare), credit_(kShare, kBurst) {}

void ProcessObservations::observe(util::BootTime now, const std::function<void(const host::Process&)>& on_process) {
  credit_.earn(now);
  const util::Duration at_first = thread_cpu();
  util::Duration before = at_first;
  while (before - at_first < credit_.left()) {
    const auto pid = queue_.take(now);
    if (!pid) break;
    on_process(observer_.observe(*pid, now));
    const util::Duration after = thread_cpu();
    queue_.observed(*pid, now, after - before);
    before = after;
  }
  credit_.spend(before - at_first);
}

}  // namespace tcpwhy::source
