// SPDX-License-Identifier: GPL-2.0-only
#include "user/source/live_pace.h"

#include <algorithm>

namespace tcpwhy::source {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr util::Duration kShortest = milliseconds{500};
constexpr util::Duration kLongest = seconds{30};
constexpr util::Duration kLong = seconds{1};             // worth a word
constexpr util::Duration kHalfATick = milliseconds{50};  // a tick that comes a little early is in time
constexpr util::Duration kCheapWalk = milliseconds{10};
constexpr int kShare = 100;  // 1%

}  // namespace

bool SweepPace::is_due(util::BootTime now) const { return now + kHalfATick >= next_; }

std::string SweepPace::swept(util::BootTime now, util::Duration cpu) {
  cpu_ = cpu;
  interval_ = std::clamp(cpu * kShare, kShortest, kLongest);
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

bool WalkRation::allows(util::BootTime now) const { return cost_ < kCheapWalk || now >= last_ + cost_ * kShare; }

void WalkRation::walked(util::BootTime now, util::Duration cpu) {
  last_ = now;
  cost_ = cpu;
}

}  // namespace tcpwhy::source
