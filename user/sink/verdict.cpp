// SPDX-License-Identifier: GPL-2.0-only
#include "user/sink/verdict.h"

#include <array>

namespace tcpwhy::sink {
namespace {

constexpr std::array<std::string_view, 4> kWords = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
constexpr std::array<std::string_view, 4> kSlugs = {"ok", "warning", "critical", "unknown"};

}  // namespace

std::string_view word_of(Health health) { return kWords[static_cast<std::size_t>(health)]; }
std::string_view slug_of(Health health) { return kSlugs[static_cast<std::size_t>(health)]; }

Health judge(const Problems& problems, core::Severity fail_on, const std::vector<std::string>& doubts) {
  if (problems.count(core::Severity::critical) > 0) return Health::critical;
  if (!doubts.empty()) return Health::unknown;
  if (problems.count(core::Severity::warning) > 0 && fail_on != core::Severity::critical) return Health::warning;
  return Health::ok;
}

}  // namespace tcpwhy::sink
