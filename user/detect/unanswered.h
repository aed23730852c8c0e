// SPDX-License-Identifier: GPL-2.0-only
// Why nothing answers: shared by what waits for an answer to a SYN and by what gave up waiting.
#pragma once

#include "user/core/book.h"

namespace tcpwhy::detect {

// Cause, culprit, service and evidence of a SYN that nobody answers; severity is the caller's.
core::Verdict unanswered_syn(const core::Connection& client, util::BootTime since, const core::Scene& scene);
// The words for it: cause and advice.
void explain_unanswered(core::Finding& finding);
// The same for what has the cause unreachable, from the errno in its evidence.
void explain_unreachable(core::Finding& finding);
// Of a finding whose culprit is a firewall: how its rule is found, while it drops or afterwards.
std::string firewall_advice(const core::Finding& f);
// Where the kernel does not tell its firewall's drops, a cause that is no more than a guess says so.
void add_firewall_doubt(core::Finding& finding);

// Cause, culprit, service and evidence of data that nobody acknowledges.
core::Verdict unanswered_data(const core::Connection& sender, util::BootTime since, const core::Scene& scene);

}  // namespace tcpwhy::detect
