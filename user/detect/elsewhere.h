// SPDX-License-Identifier: GPL-2.0-only
// Where several hosts' recordings are read together: which side saw what of a trouble between two of them.
#pragma once

#include "user/core/detector.h"

namespace tcpwhy::detect {

// Each sets evidence seen_elsewhere, a sentence, where the other end is in another host's recording, and both recordings
// cover the time since then and lost nothing.
//
// Of a request whose handshake does not end.
void add_elsewhere_of_request(core::Verdict& verdict, const core::Connection& request, util::BootTime since,
                              const core::Scene& scene);
// Of a connect that nobody answers.
void add_elsewhere_of_connect(core::Verdict& verdict, const core::Connection& client, util::BootTime since,
                              const core::Scene& scene);
// Of data that nobody acknowledges.
void add_elsewhere_of_data(core::Verdict& verdict, const core::Connection& sender, util::BootTime since,
                           const core::Scene& scene);
// Of a segment to an end that is not there any more.
void add_elsewhere_of_stray(core::Verdict& verdict, const core::Connection& end, util::BootTime since,
                            const core::Scene& scene);

// The sentence, behind the evidence in words.
void explain_elsewhere(core::Finding& finding);

}  // namespace tcpwhy::detect
