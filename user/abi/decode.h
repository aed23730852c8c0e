// SPDX-License-Identifier: GPL-2.0-only
// From the bytes of one record to an Event.
#pragma once

#include <cstddef>
#include <span>

#include "user/abi/event.h"
#include "user/util/result.h"

struct tw_tuple;  // bpf/tcpwhy_abi.h

namespace tcpwhy::abi {

// record: exactly one record. An error names what is wrong (too short for its kind, unknown kind, a length that does
// not fit); the caller counts it and goes on. A record longer than known (a later version's) is read as far as known.
util::Result<Event> decode(std::span<const std::byte> record);

Tuple to_tuple(const tw_tuple& tuple);

// The kind and the name of a record without decoding it; empty where the header itself is cut.
std::string_view peek_kind(std::span<const std::byte> record);

}  // namespace tcpwhy::abi
