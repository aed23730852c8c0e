// SPDX-License-Identifier: GPL-2.0-only
// Where findings go. A sink prints what it is given, in the order given; it judges nothing and reads no clock.
#pragma once

#include "user/core/event_view.h"
#include "user/core/finding.h"

namespace tcpwhy::sink {

class Sink {
 public:
  virtual ~Sink() = default;
  // The findings of one moment (one tick), in order; the root of a story stands before its symptoms.
  virtual void findings(const std::vector<core::Finding>& batch) = 0;
  // That moment is over, whether or not it had findings.
  virtual void tick(util::BootTime) {}
  // One line for one event (--events).
  virtual void event(const core::EventView& event) = 0;
  virtual void summary(const core::Summary& summary) = 0;
};

}  // namespace tcpwhy::sink
