// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/live_pace.h"

#include <algorithm>

namespace tcpwhy::source {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr util::Duration kShortest = milliseconds{500};
constexpr util::Duration kLongest = seconds{30};
constexpr util::Duration kBetweenWhole = seconds{2};
constexpr util::Duration kLong = seconds{1};             // worth a word
constexpr util::Duration kHalfATick = milliseconds{50};  // a tick that comes a little early is in time
constexpr util::Duration kCheapWalk = milliseconds{10};
constexpr double kShare = 0.01;  // of one CPU
constexpr double kLeastShare = 0.002;

constexpr util::Duration kReport = std::chrono::microseconds{8};  // about what a sample costs the thread that sweeps

}  // namespace

util::Duration cost_of_looking(util::Duration cpu, std::uint64_t reports) {
  return std::max<util::Duration>(cpu / 4, cpu - kReport * static_cast<std::int64_t>(reports));
}

bool SweepPace::is_due(util::BootTime now) const { return now + kHalfATick >= next_; }

std::string SweepPace::swept(util::BootTime now, util::Duration cpu) {
  began_ = now;
  cpu_ = cpu;
  // Where it may run each time, nobody else needs to look.
  const bool is_cheap = std::chrono::round<util::Duration>(cpu / kShare) <= kShortest;
  const double share = is_cheap ? kShare : std::max(kShare - left_, kLeastShare);
  interval_ = std::clamp(std::chrono::round<util::Duration>(cpu / share), kShortest, kLongest);
  next_ = now + interval_;
  if (told_ || interval_ <= kLong) return {};
  told_ = true;
  return what_ + " takes " + util::human(cpu) + " of CPU: sweeping each " + util::human(interval_) +
         ", so that it stays below 1% of one CPU";
}

double SweepPace::of_one_cpu() const {
  using Seconds = std::chrono::duration<double>;
  return interval_ > util::Duration::zero() ? Seconds{cpu_} / Seconds{interval_} : 0;
}

void CpuCredit::earn(util::BootTime now) {
  if (earned_ != util::BootTime{}) {
    // After a pause of any length (a suspended host) there is no more than the limit.
    const util::Duration passed = std::clamp(now - earned_, util::Duration::zero(), util::Duration{seconds{60}});
    left_ = std::min(most_, left_ + std::chrono::duration_cast<util::Duration>(passed * share_));
  }
  earned_ = now;
}

bool WholeSweeps::begins(util::BootTime now) {
  if (!wanted_ || now < next_) return false;
  wanted_ = false;
  next_ = now + kBetweenWhole;
  return true;
}

bool WalkRation::allows(util::BootTime now) const {
  return cost_ < kCheapWalk || now >= last_ + std::chrono::round<util::Duration>(cost_ / kShare);
}

void WalkRation::walked(util::BootTime now, util::Duration cpu) {
  last_ = now;
  cost_ = cpu;
}

}  // namespace tcpwhy::source
