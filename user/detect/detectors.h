// SPDX-License-Identifier: GPL-2.0-only
// One maker for each detector; registry.cpp lists them.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "user/core/book.h"
#include "user/core/thresholds.h"

namespace tcpwhy::detect {

// A detector keeps its own copy and asks for the service port of each case. That it is off for a port is the book's
// business: it does not tell the verdict.
using core::Thresholds;

std::unique_ptr<core::Detector> make_accept_queue_overflow(const Thresholds&);
std::unique_ptr<core::Detector> make_synack_retransmit_unexpected(const Thresholds&);
std::unique_ptr<core::Detector> make_synack_retransmit(const Thresholds&);
std::unique_ptr<core::Detector> make_connect_stalled(const Thresholds&);
std::unique_ptr<core::Detector> make_connect_timeout(const Thresholds&);
std::unique_ptr<core::Detector> make_connect_refused(const Thresholds&);
std::unique_ptr<core::Detector> make_stall_unacked(const Thresholds&);
std::unique_ptr<core::Detector> make_stall_zero_window(const Thresholds&);
std::unique_ptr<core::Detector> make_stall_unread(const Thresholds&);
std::unique_ptr<core::Detector> make_stall_awaiting_reply(const Thresholds&);
std::unique_ptr<core::Detector> make_stall_closing(const Thresholds&);
std::unique_ptr<core::Detector> make_close_wait_leak(const Thresholds&);
std::unique_ptr<core::Detector> make_half_open_risk(const Thresholds&);
std::unique_ptr<core::Detector> make_memory_pressure(const Thresholds&);
std::unique_ptr<core::Detector> make_closed_mid_request(const Thresholds&);
std::unique_ptr<core::Detector> make_reset(const Thresholds&);
std::unique_ptr<core::Detector> make_timed_out(const Thresholds&);

// False for findings of the contract that no detector of this build looks for.
bool is_looked_for(std::string_view slug);
// Every detector that is not switched off for all ports.
std::vector<std::unique_ptr<core::Detector>> make_all(const Thresholds& thresholds);

}  // namespace tcpwhy::detect
