// SPDX-License-Identifier: GPL-2.0-only
// What was said of thresholds: how long a trouble must last before it is told, and where it is not told at all. What
// nobody said anything of has the default of its detector.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "user/core/finding_spec.h"
#include "user/util/time.h"

namespace tcpwhy::core {

struct Thresholds {
  using Limit = std::optional<util::Duration>;  // nullopt: off
  using BySlug = std::map<std::string, Limit, std::less<>>;

  BySlug base;                            // for every port
  std::map<std::uint16_t, BySlug> ports;  // over it, for one service port: that of the listening side

  // Of the base; made where it is not there.
  Limit& operator[](std::string_view slug);
  [[nodiscard]] bool empty() const { return base.empty() && ports.empty(); }

  // Of the base alone, for what has no service port.
  [[nodiscard]] bool off(std::string_view slug) const;
  [[nodiscard]] bool off(std::string_view slug, std::uint16_t service_port) const;
  // Off for every port: nobody needs to look for it.
  [[nodiscard]] bool off_everywhere(std::string_view slug) const;

  // The duration, that of the specification where none was said; what is off is asked with off(), and the book does.
  [[nodiscard]] util::Duration of(const FindingSpec& finding) const;
  [[nodiscard]] util::Duration of(const FindingSpec& finding, std::uint16_t service_port) const;
  // The least of any port's.
  [[nodiscard]] util::Duration least_of(const FindingSpec& finding) const;

  // This, and what `over` says instead, word by word: its base does not touch a port's own words here.
  [[nodiscard]] Thresholds overlaid_with(const Thresholds& over) const;
};

}  // namespace tcpwhy::core
