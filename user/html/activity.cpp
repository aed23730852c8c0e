// SPDX-License-Identifier: GPL-2.0-only
#include "user/html/activity.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "user/html/values.h"

namespace tcpwhy::html {
namespace {

using abi::TcpState;

struct Count {
  std::size_t series = 0;
  std::uint64_t events = 1;
};

std::size_t series_of(std::string_view name) {
  return static_cast<std::size_t>(std::find(Activity::kSeries.begin(), Activity::kSeries.end(), name) -
                                  Activity::kSeries.begin());
}

std::optional<Count> begun(TcpState from, TcpState to) {
  if (to != TcpState::established) return std::nullopt;
  if (from == TcpState::syn_sent) return Count{series_of("connected")};
  if (from == TcpState::syn_recv) return Count{series_of("accepted")};
  return std::nullopt;
}

std::optional<Count> counted(const abi::Event& event) {
  if (const auto* e = std::get_if<abi::Transition>(&event.body)) return begun(e->from, e->to);
  if (const auto* e = std::get_if<abi::StateChange>(&event.body)) return begun(e->from, e->to);
  const std::size_t series = series_of(abi::name_of(event));
  if (series == Activity::kSeries.size()) return std::nullopt;
  if (const auto* e = std::get_if<abi::Lost>(&event.body))
    return Count{series, abi::loses_events(e->way) ? e->count : 0};
  return Count{series};
}

}  // namespace

void Activity::on(const abi::Event& event) {
  const std::optional<Count> count = counted(event);
  if (!count) return;
  if (buckets_.empty()) begins_ = event.time;
  // Of several processors the events come a little out of order.
  const util::Duration since = std::max(util::Duration{}, event.time - begins_);
  while (static_cast<std::size_t>(since / width_) >= kMostBuckets) widen();
  const auto bucket = static_cast<std::size_t>(since / width_);
  if (buckets_.size() <= bucket) buckets_.resize(bucket + 1);
  std::uint32_t& at = buckets_[bucket][count->series];
  at = static_cast<std::uint32_t>(std::min<std::uint64_t>(UINT32_MAX, at + count->events));
}

// Two become one.
void Activity::widen() {
  width_ *= 2;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    const Counts counts = buckets_[i];
    if (i % 2 == 0)
      buckets_[i / 2] = counts;
    else
      std::transform(counts.begin(), counts.end(), buckets_[i / 2].begin(), buckets_[i / 2].begin(), std::plus<>{});
  }
  buckets_.resize((buckets_.size() + 1) / 2);
}

std::string Activity::json(const util::WallClock& wall) const {
  nlohmann::ordered_json series = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < kSeries.size(); ++i) {
    std::vector<std::uint32_t> counts;
    counts.reserve(buckets_.size());
    for (const Counts& bucket : buckets_) counts.push_back(bucket[i]);
    if (std::any_of(counts.begin(), counts.end(), [](std::uint32_t n) { return n > 0; })) series[kSeries[i]] = counts;
  }
  return text_of(
      {{"begins", micros(begins_, wall)}, {"bucket_ms", util::to_ms(width_)}, {"series", std::move(series)}});
}

}  // namespace tcpwhy::html
