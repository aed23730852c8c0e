// SPDX-License-Identifier: GPL-2.0-only
// The healthy neighbours of what lasts: waits, full queues and idle connections that nobody suffers from.
#pragma once

#include <vector>

#include "cause.hpp"

namespace cause {

std::vector<Variant> healthy_stalls();

}  // namespace cause
