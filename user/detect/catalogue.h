// SPDX-License-Identifier: GPL-2.0-only
// The one table of every finding: its slug, causes, default threshold and meaning. Help texts, threshold checks and
// explanations all read it.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "user/util/time.h"

namespace tcpwhy::detect {

enum class Family { handshake, stall, ending };

struct CatalogueRow {
  std::string_view slug;
  Family family;
  // What --threshold SLUG=DURATION replaces; none where the finding does not wait for a time to pass.
  std::optional<util::Duration> threshold;
  std::string_view threshold_means;          // "nothing acknowledged for this long"; empty where there is none
  std::span<const std::string_view> causes;  // in their order of precedence; "unknown" is always possible
  std::string_view meaning;                  // one sentence
};

// In the order of the contract.
std::span<const CatalogueRow> catalogue();
// nullptr where there is no such finding.
const CatalogueRow* find_in_catalogue(std::string_view slug);

}  // namespace tcpwhy::detect
