// SPDX-License-Identifier: GPL-2.0-only
// The detectors of this build: one line each.
#include "user/detect/detectors.h"

namespace tcpwhy::detect {
namespace {

struct Row {
  std::string_view slug;
  std::unique_ptr<core::Detector> (*make)(const Thresholds&);
};

constexpr Row kDetectors[] = {
    {"accept-queue-overflow", make_accept_queue_overflow},
    {"synack-retransmit-unexpected", make_synack_retransmit_unexpected},
    {"synack-retransmit", make_synack_retransmit},
    {"connect-stalled", make_connect_stalled},
    {"connect-timeout", make_connect_timeout},
    {"connect-refused", make_connect_refused},
    {"stall-unacked", make_stall_unacked},
    {"stall-zero-window", make_stall_zero_window},
    {"stall-unread", make_stall_unread},
    {"stall-awaiting-reply", make_stall_awaiting_reply},
    {"stall-closing", make_stall_closing},
    {"close-wait-leak", make_close_wait_leak},
    {"half-open-risk", make_half_open_risk},
    {"memory-pressure", make_memory_pressure},
    {"closed-mid-request", make_closed_mid_request},
    {"reset", make_reset},
    {"timed-out", make_timed_out},
};

}  // namespace

bool is_looked_for(std::string_view slug) {
  for (const Row& row : kDetectors)
    if (row.slug == slug) return true;
  return false;
}

std::vector<std::unique_ptr<core::Detector>> make_all(const Thresholds& thresholds) {
  std::vector<std::unique_ptr<core::Detector>> result;
  for (const Row& row : kDetectors)
    if (!thresholds.off_everywhere(row.slug)) result.push_back(row.make(thresholds));
  return result;
}

}  // namespace tcpwhy::detect
