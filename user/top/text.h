// SPDX-License-Identifier: GPL-2.0-only
// Text of a given width, for columns. Input is valid UTF-8 without control characters (util::printable).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "user/core/finding.h"
#include "user/util/address.h"
#include "user/util/time.h"

namespace tcpwhy::top {

// Of a terminal: East Asian wide characters take two, combining ones none.
std::size_t columns_of(std::string_view text);
// Exactly so wide: padded with blanks, or cut with a ~ at its end.
std::string left(std::string_view text, std::size_t width);
std::string right(std::string_view text, std::size_t width);
// The same, where the end says more than the beginning: "~:38367".
std::string keep_end(std::string_view text, std::size_t width);
// "queue-server[22189]"; where it does not fit the name is cut, not the pid: "queue-s~[22189]".
std::string process_name(const std::optional<core::Process>& process, std::size_t width);
// At most five columns: "0", "999", "64K", "1.2M", "560G".
std::string bytes(std::uint64_t count);
// At most six columns: "0.5s", "12s", "2m05s", "3h10m", "12d".
std::string duration(util::Duration d);
// "1,234,567".
std::string grouped(std::uint64_t count);
// "[###.......]", of the whole width; full from limit on. At least one # where the value is not 0.
std::string bar(std::uint64_t value, std::uint64_t limit, std::size_t width);
// Broken between words; the lines after the first are indented by `hang`.
std::vector<std::string> wrapped(std::string_view text, std::size_t width, std::size_t hang = 0);

}  // namespace tcpwhy::top
