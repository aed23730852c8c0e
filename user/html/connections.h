// SPDX-License-Identifier: GPL-2.0-only
// The page's table of connections.
#pragma once

#include <string>
#include <vector>

#include "user/core/ledger.h"
#include "user/html/people.h"

namespace tcpwhy::html {

inline constexpr std::size_t kMostRows = 50'000;

// A list, one entry for each of `rows`: [id or "", first and last event (us since 1970), events, severity and slug of its
// worst finding or "", client, server]; an end: [address, port, number of its process, state, bytes sent, retransmits,
// errno, namespace, host], the state and the host "" where nobody saw it.
std::string connections_json(const std::vector<const core::LedgerRow*>& rows, const core::RunIdentity& run,
                             People& people);

}  // namespace tcpwhy::html
