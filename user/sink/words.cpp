// SPDX-License-Identifier: GPL-2.0-only
#include "user/sink/words.h"

#include <fmt/format.h>

#include <array>

#include "user/core/host.h"

namespace tcpwhy::sink {
namespace {

// How a condition ended, in words that "after 5.2 s" follows; in the order of core::Ended.
constexpr std::array<std::string_view, 8> kEndWords = {"recovered",
                                                       "drained",
                                                       "reset",
                                                       "closed",
                                                       "timed out",
                                                       "its process exited",
                                                       "still open at the end of the trace,",
                                                       "no longer observed"};
constexpr std::string_view kForgotten = ": tcpwhy's table had no room; whether it still holds is unknown";

}  // namespace

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (auto place = static_cast<std::ptrdiff_t>(digits.size()) - 3; place > 0; place -= 3) {
    digits.insert(static_cast<std::size_t>(place), ",");
  }
  return digits;
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", grouped(count), noun, count == 1 ? "" : "s");
}

std::string end_of(const core::Finding& finding) {
  std::string how{finding.ended ? kEndWords[static_cast<std::size_t>(*finding.ended)] : "over"};
  if (finding.ended == core::Ended::process_exit && finding.owner && finding.owner->exit) {
    how = fmt::format("{} {}", core::name_of(*finding.owner), core::was(core::exit_words(*finding.owner->exit)));
  }
  if (finding.ended == core::Ended::closed) {
    const std::string_view connections = finding.count_total > 1 ? "connections closed" : "connection closed";
    how = finding.connection ? connections : "listener closed";
  }
  return fmt::format("{} after {}{}", how, util::human(finding.duration), is_forgotten(finding) ? kForgotten : "");
}

std::string place_of(const core::Finding& finding, const core::RunIdentity& run, std::uint32_t known) {
  const std::uint32_t netns = core::netns_of(finding);
  const std::uint32_t own = run.netns_of(finding.host);
  const bool elsewhere = netns != 0 && own != 0 && core::plain_netns(netns) != own && netns != known;
  const std::string host = run.several() ? "   on " + run.host_name(finding.host) : std::string{};
  return host + (elsewhere ? fmt::format("   netns {}", core::plain_netns(netns)) : std::string{});
}

}  // namespace tcpwhy::sink
