// SPDX-License-Identifier: GPL-2.0-only
// Every finding of this build. Help texts, threshold checks and explanations all read it.
#pragma once

#include <span>
#include <string_view>

#include "user/core/finding_spec.h"

namespace tcpwhy::detect {

using core::Family;
using core::FindingSpec;

// In the order of the contract.
std::span<const FindingSpec> catalogue();
// nullptr where there is no such finding.
const FindingSpec* find_in_catalogue(std::string_view slug);

}  // namespace tcpwhy::detect
