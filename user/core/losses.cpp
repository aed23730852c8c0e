// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/losses.h"

#include <algorithm>
#include <numeric>

namespace tcpwhy::core {
namespace {

struct Wording {
  std::string_view one;
  std::string_view many;
  std::string_view reason;
  std::string_view effect;
};

constexpr std::string_view kMissing = "findings may be missing or incomplete";

// In the order of abi::LossWay.
constexpr std::array<Wording, abi::kLossWays> kWordings{{
    {"event was lost", "events were lost", "the ring buffer was full", kMissing},
    {"event was lost", "events were lost", "its program was already running on that CPU", kMissing},
    {"read of a socket iterator failed", "reads of a socket iterator failed",
     "the sockets after that point were not visited", "stalls may be missing or reported late"},
    {"walk over the files of processes was incomplete", "walks over the files of processes were incomplete",
     "each was cut short or skipped sockets that were asked for", "stalls may be missing, owners may be unknown"},
    {"entry of a kernel-side table was lost", "entries of kernel-side tables were lost", "a table was full",
     "findings may be missing, their cause may be unknown"},
    {"socket in trouble was not swept", "sockets in trouble were not swept", "the table of tracked sockets is full",
     "their stalls are not reported"},
    {"connection in an accept queue was not reported", "connections in accept queues were not reported",
     "a sweep reports a bounded number for each listener", "the listeners themselves are reported"},
    {"question about a process or a socket was not answered in time",
     "questions about processes or sockets were not answered in time", "the walks over processes were late",
     "owners and causes may be unknown"},
}};

const Wording& wording(abi::LossWay way) { return kWordings.at(static_cast<std::size_t>(way)); }

}  // namespace

void Losses::add(const abi::Lost& lost) {
  counts_.at(static_cast<std::size_t>(lost.way)) += lost.count;
  if (abi::loses_events(lost.way)) events_[std::string{lost.kind}] += lost.count;
}

LossCounts Losses::by_way() const {
  LossCounts counts;
  for (std::size_t way = 0; way < counts_.size(); ++way)
    if (counts_[way] > 0) counts[static_cast<abi::LossWay>(way)] = counts_[way];
  return counts;
}

std::uint64_t Losses::total() const { return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0}); }

std::uint64_t Losses::events() const {
  std::uint64_t sum = 0;
  for (const auto& [kind, count] : events_) sum += count;
  return sum;
}

bool may_hide_a_finding(const LossCounts& losses) {
  return std::any_of(losses.begin(), losses.end(),
                     [](const auto& loss) { return loss.second > 0 && may_hide_a_finding(loss.first); });
}

std::string_view loss_phrase(abi::LossWay way, std::uint64_t count) {
  return count == 1 ? wording(way).one : wording(way).many;
}

std::string_view loss_reason(abi::LossWay way) { return wording(way).reason; }

std::string_view loss_effect(abi::LossWay way) { return wording(way).effect; }

}  // namespace tcpwhy::core
