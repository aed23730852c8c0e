// SPDX-License-Identifier: GPL-2.0-only
// A finding is defined in the file of its detector; this is the list of them, and registry.cpp the other.
#pragma once

#include <memory>

#include "user/core/book.h"
#include "user/core/detector.h"
#include "user/core/finding_spec.h"
#include "user/core/thresholds.h"

namespace tcpwhy::detect {

// A detector keeps its own copy and asks for the service port of each case. That it is off for a port is the book's
// business: it does not tell the verdict.
using core::Thresholds;

struct Definition {
  const core::FindingSpec& spec;  // outlives every detector
  std::unique_ptr<core::Detector> (*make)(const Thresholds&);
};

template <typename D>
std::unique_ptr<core::Detector> make(const Thresholds& thresholds) {
  return std::make_unique<D>(thresholds);
}

extern const Definition kSynackRetransmitUnexpected;
extern const Definition kSynackRetransmit;
extern const Definition kConnectStalled;
extern const Definition kConnectTimeout;
extern const Definition kConnectRefused;
extern const Definition kAcceptQueueOverflow;
extern const Definition kStallUnacked;
extern const Definition kStallZeroWindow;
extern const Definition kStallUnread;
extern const Definition kStallAwaitingReply;
extern const Definition kStallClosing;
extern const Definition kCloseWaitLeak;
extern const Definition kHalfOpenRisk;
extern const Definition kMemoryPressure;
extern const Definition kReset;
extern const Definition kClosedMidRequest;
extern const Definition kTimedOut;

}  // namespace tcpwhy::detect
