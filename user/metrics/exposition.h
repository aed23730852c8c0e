// SPDX-License-Identifier: GPL-2.0-only
// A snapshot as text: OpenMetrics 1.0 (https://github.com/OpenObservability/OpenMetrics), or Prometheus' own format 0.0.4,
// and which of both a client wants.
#pragma once

#include <string>
#include <string_view>

#include "user/metrics/snapshot.h"

namespace tcpwhy::metrics {

enum class Exposition : std::uint8_t { prometheus, openmetrics };

// From the value of an Accept header (RFC 9110 12.5.1): OpenMetrics where it is asked for at least as much as plain text,
// plain text for whatever says neither. Of OpenMetrics 1.0.0 is given, which readers of 0.0.1 read, too.
Exposition negotiate(std::string_view accept);
std::string_view content_type(Exposition exposition);
std::string render(const Snapshot& snapshot, Exposition exposition);

}  // namespace tcpwhy::metrics
