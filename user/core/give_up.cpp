// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/give_up.h"

#include <algorithm>

namespace tcpwhy::core {
namespace {

using namespace std::chrono_literals;
using util::Duration;

constexpr Duration kRtoMin = 200ms;  // TCP_RTO_MIN, the base of the model
constexpr int kMaxSteps = 4096;

// tcp_model_timeout(): the time that `retries` doublings from the base take, each at most rto_max.
Duration model_timeout(unsigned retries, Duration rto_max) {
  Duration total{};
  Duration step = kRtoMin;
  for (unsigned i = 0; i <= retries; ++i) {
    total += std::min(step, rto_max);
    step = std::min(step * 2, rto_max);
  }
  return total;
}

}  // namespace

std::optional<Duration> give_up_in(const abi::Socket& s) {
  if (!s.full || s.rto <= 0ms || s.retransmits == 0 || s.rto_max <= 0ms) return std::nullopt;
  const Duration since_first = s.retrans_age.value_or(Duration{});
  const unsigned orphan_retries = s.orphan_retries ? s.orphan_retries : 8U;
  const unsigned retries = s.orphan ? orphan_retries : s.retries2;
  const Duration limit = s.user_timeout > 0ms ? s.user_timeout : model_timeout(retries, s.rto_max);

  Duration rto = s.in_timer ? std::min(s.rto * 2, s.rto_max) : s.rto;
  Duration at = s.in_timer ? rto : std::max(s.timer_left, Duration{});
  // The next wait ends with TCP_USER_TIMEOUT at the latest (tcp_clamp_rto_to_user_timeout); an armed timer is cut already.
  if (s.in_timer && s.user_timeout > 0ms) at = std::clamp(limit - since_first, Duration{}, at);
  for (int i = 0; i < kMaxSteps; ++i) {
    if (since_first + at >= limit) return at;
    rto = std::min(rto * 2, s.rto_max);
    Duration next = at + rto;
    if (s.user_timeout > 0ms && since_first + next > limit) next = limit - since_first;
    at = next;
  }
  return std::nullopt;
}

}  // namespace tcpwhy::core
