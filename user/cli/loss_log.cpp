// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/loss_log.h"

#include <fmt/format.h>

#include <string>

namespace tcpwhy::cli {
namespace {

constexpr auto kEach = std::chrono::seconds{10};

}  // namespace

void LossLog::look(const core::Losses& losses, Clock::time_point now) {
  if (losses.total() == total_) return;
  if (last_ == Clock::time_point{} || now - last_ >= kEach) log(losses, now);
}

void LossLog::finish(const core::Losses& losses, Clock::time_point now) {
  if (losses.total() != total_) log(losses, now);
}

// "1200 events were lost (the ring buffer was full); 3 sockets in trouble were not swept (...); in the last 10 s"
void LossLog::log(const core::Losses& losses, Clock::time_point now) {
  std::string text;
  const core::LossCounts counts = losses.by_way();
  for (const auto& [way, count] : counts) {
    const auto before = logged_.find(way);
    const std::uint64_t more = count - (before == logged_.end() ? 0 : before->second);
    if (more == 0) continue;
    text += fmt::format("{}{} {} ({})", text.empty() ? "" : "; ", more, core::loss_phrase(way, more),
                        core::loss_reason(way));
  }
  if (last_ != Clock::time_point{})
    text += fmt::format("; in the last {:.0f} s", std::chrono::duration<double>{now - last_}.count());
  write_(text);
  logged_ = counts;
  total_ = losses.total();
  last_ = now;
}

}  // namespace tcpwhy::cli
