// SPDX-License-Identifier: GPL-2.0-only
// The detectors of every finding in the catalogue.
#pragma once

#include <memory>
#include <vector>

#include "user/core/detector.h"
#include "user/core/thresholds.h"

namespace tcpwhy::detect {

using core::Thresholds;

// Every detector that is not switched off for all ports.
std::vector<std::unique_ptr<core::Detector>> make_all(const Thresholds& thresholds);

}  // namespace tcpwhy::detect
