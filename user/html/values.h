// SPDX-License-Identifier: GPL-2.0-only
// How values stand in a page's data. For the sources of this layer: it needs nlohmann's JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "user/core/finding.h"
#include "user/util/address.h"
#include "user/util/time.h"

namespace tcpwhy::html {

using Json = nlohmann::ordered_json;

// Microseconds since 1970: a number that JavaScript holds exactly.
inline std::int64_t micros(util::BootTime time, const util::WallClock& wall) { return wall.wall_ns(time) / 1000; }
inline std::int64_t micros(util::Duration d) { return d.count() / 1000; }

// ASCII only, as findings are; what is not UTF-8 is replaced.
inline std::string text_of(const Json& json) { return json.dump(-1, ' ', true, Json::error_handler_t::replace); }

}  // namespace tcpwhy::html
