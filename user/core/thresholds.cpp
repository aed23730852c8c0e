// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/thresholds.h"

#include <algorithm>

namespace tcpwhy::core {
namespace {

// nullptr: nothing was said.
const Thresholds::Limit* find(const Thresholds::BySlug& said, std::string_view slug) {
  const auto it = said.find(slug);
  return it == said.end() ? nullptr : &it->second;
}

const Thresholds::Limit* find(const Thresholds& said, std::string_view slug, std::uint16_t service_port) {
  const auto port = said.ports.find(service_port);
  const Thresholds::Limit* own = port == said.ports.end() ? nullptr : find(port->second, slug);
  return own ? own : find(said.base, slug);
}

void put_over(Thresholds::BySlug& below, const Thresholds::BySlug& over) {
  for (const auto& [slug, limit] : over) below.insert_or_assign(slug, limit);
}

}  // namespace

Thresholds::Limit& Thresholds::operator[](std::string_view slug) { return base[std::string{slug}]; }

bool Thresholds::off(std::string_view slug) const {
  const Limit* limit = find(base, slug);
  return limit && !*limit;
}

bool Thresholds::off(std::string_view slug, std::uint16_t service_port) const {
  const Limit* limit = find(*this, slug, service_port);
  return limit && !*limit;
}

bool Thresholds::off_everywhere(std::string_view slug) const {
  return off(slug) && std::none_of(ports.begin(), ports.end(), [slug](const auto& port) {
           const Limit* limit = find(port.second, slug);
           return limit && *limit;
         });
}

util::Duration Thresholds::of(const FindingSpec& finding) const {
  const util::Duration otherwise = finding.threshold.value_or(util::Duration::zero());
  const Limit* limit = find(base, finding.slug);
  return limit ? limit->value_or(otherwise) : otherwise;
}

util::Duration Thresholds::of(const FindingSpec& finding, std::uint16_t service_port) const {
  const util::Duration otherwise = finding.threshold.value_or(util::Duration::zero());
  const Limit* limit = find(*this, finding.slug, service_port);
  return limit ? limit->value_or(otherwise) : otherwise;
}

util::Duration Thresholds::least_of(const FindingSpec& finding) const {
  util::Duration least = of(finding);
  for (const auto& [port, limits] : ports) least = std::min(least, of(finding, port));
  return least;
}

Thresholds Thresholds::overlaid_with(const Thresholds& over) const {
  Thresholds both = *this;
  put_over(both.base, over.base);
  for (const auto& [port, said] : over.ports) put_over(both.ports[port], said);
  return both;
}

}  // namespace tcpwhy::core
