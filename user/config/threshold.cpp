// SPDX-License-Identifier: GPL-2.0-only
#include "user/config/threshold.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "user/util/address.h"
#include "user/util/nearest.h"

namespace tcpwhy::config {
namespace {

using util::Error;
using util::Result;

std::vector<std::string_view> slugs() {
  std::vector<std::string_view> all;
  for (const detect::FindingSpec& row : detect::catalogue()) {
    all.push_back(row.slug);
  }
  return all;
}

}  // namespace

Result<const detect::FindingSpec*> find_finding(const std::string& slug) {
  if (const detect::FindingSpec* row = detect::find_in_catalogue(slug)) {
    return row;
  }
  const std::vector<std::string_view> all = slugs();
  const std::string_view meant = util::nearest(slug, all);
  return Error{fmt::format("there is no finding '{}'", slug), 0,
               meant.empty() ? fmt::format("the findings are {}", fmt::join(all, ", "))
                             : fmt::format("did you mean {}?", meant)};
}

Result<Limit> parse_limit(const detect::FindingSpec& finding, const std::string& text,
                          const std::string& how_to_say_off) {
  if (text == "off") {
    return Limit{};
  }
  if (!finding.threshold) {
    return Error{fmt::format("{} does not wait for a time to pass", finding.slug), 0,
                 "it can only be switched off: " + how_to_say_off};
  }
  Result<util::Duration> duration = util::parse_positive_duration(text);
  if (!duration) {
    Error error = std::move(duration.error());
    error.hint += "; or off";
    return error;
  }
  return Limit{*duration};
}

Result<Threshold> parse_threshold(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) {
    return Error{fmt::format("'{}' is not a threshold", text), 0,
                 "write FINDING=DURATION or FINDING=off, as in stall-unacked=5s; for one service port 5432:reset=off"};
  }
  Threshold threshold;
  std::string finding = text.substr(0, equals);
  if (const std::size_t colon = finding.find(':'); colon != std::string::npos) {
    Result<std::uint16_t> port = util::parse_port(finding.substr(0, colon));
    if (!port) {
      return std::move(port.error());
    }
    threshold.service_port = *port;
    finding.erase(0, colon + 1);
  }
  Result<const detect::FindingSpec*> row = find_finding(finding);
  if (!row) {
    return std::move(row.error());
  }
  Result<Limit> limit = parse_limit(**row, text.substr(equals + 1), text.substr(0, equals) + "=off");
  if (!limit) {
    return std::move(limit.error());
  }
  threshold.slug = finding;
  threshold.limit = *limit;
  return threshold;
}

}  // namespace tcpwhy::config
