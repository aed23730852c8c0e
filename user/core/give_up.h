// SPDX-License-Identifier: GPL-2.0-only
// When the kernel will give a connection up: the retransmission timer simulated.
#pragma once

#include <optional>

#include "user/abi/event.h"
#include "user/util/time.h"

namespace tcpwhy::core {

// The time from the record at which ETIMEDOUT ends the connection if nothing is acknowledged until then.
// Source: net/ipv4/tcp_timer.c tcp_write_timeout(), retransmits_timed_out(), tcp_model_timeout(); the plain formula
// 2^n x RTO is wrong by up to a factor of 2, for the kernel looks only when its timer expires. Absent where the facts
// do not suffice.
std::optional<util::Duration> give_up_in(const abi::Socket& socket);

}  // namespace tcpwhy::core
