// SPDX-License-Identifier: GPL-2.0-only
#include "user/config/threshold.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string_view>
#include <vector>

#include "user/util/address.h"

namespace tcpwhy::config {
namespace {

using util::Error;
using util::Result;

// Letters to change, to add or to leave out, from one word to the other (Levenshtein's distance).
std::size_t letters_apart(std::string_view a, std::string_view b) {
  std::vector<std::size_t> above(b.size() + 1);
  std::iota(above.begin(), above.end(), 0U);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::vector<std::size_t> row{i + 1};
    for (std::size_t j = 0; j < b.size(); ++j) {
      row.push_back(std::min({above[j + 1] + 1, row[j] + 1, above[j] + (a[i] == b[j] ? 0 : 1)}));
    }
    above = std::move(row);
  }
  return above.back();
}

// What was probably meant: a finding a few letters away, or the only one that has the word in its name.
const detect::CatalogueRow* nearest(std::string_view word) {
  constexpr std::size_t kLongest = 64;  // no finding's name is
  constexpr std::size_t kShortestPart = 4;
  if (word.size() > kLongest) {
    return nullptr;
  }
  const detect::CatalogueRow* near = nullptr;
  const detect::CatalogueRow* part = nullptr;
  std::size_t distance = std::max<std::size_t>(2, word.size() / 4) + 1;
  std::size_t parts = 0;
  for (const detect::CatalogueRow& row : detect::catalogue()) {
    if (const std::size_t letters = letters_apart(word, row.slug); letters < distance) {
      distance = letters;
      near = &row;
    }
    if (word.size() >= kShortestPart && row.slug.find(word) != std::string_view::npos) {
      parts += 1;
      part = &row;
    }
  }
  return near ? near : parts == 1 ? part : nullptr;
}

std::string all_slugs() {
  std::string list;
  for (const detect::CatalogueRow& row : detect::catalogue()) {
    list += fmt::format("{}{}", list.empty() ? "" : ", ", row.slug);
  }
  return list;
}

}  // namespace

Result<const detect::CatalogueRow*> find_finding(const std::string& slug) {
  if (const detect::CatalogueRow* row = detect::find_in_catalogue(slug)) {
    return row;
  }
  const detect::CatalogueRow* meant = nearest(slug);
  return Error{fmt::format("there is no finding '{}'", slug), 0,
               meant ? fmt::format("did you mean {}?", meant->slug) : "the findings are " + all_slugs()};
}

Result<Limit> parse_limit(const detect::CatalogueRow& finding, const std::string& text,
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
  Result<const detect::CatalogueRow*> row = find_finding(finding);
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
