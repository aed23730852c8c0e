// SPDX-License-Identifier: GPL-2.0-only
// One JSON object a line: tcpwhy.finding/1, tcpwhy.event/1 and, last, tcpwhy.summary/1.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "user/sink/shown.h"
#include "user/sink/sink.h"

namespace tcpwhy::sink {

// What each line says of itself; a number grows only where a reader of the one before would be misled.
inline constexpr const char* kFindingSchema = "tcpwhy.finding/1";
inline constexpr const char* kSummarySchema = "tcpwhy.summary/1";
inline constexpr const char* kEventSchema = "tcpwhy.event/1";

// Writes to `out`, which it does not own and which must outlive it; flushes each line. Text that is not UTF-8 is
// replaced, so that every line is valid JSON.
class JsonSink : public Sink {
 public:
  JsonSink(std::ostream& out, core::RunIdentity run, core::Severity minimum = core::Severity::info);

  void findings(const std::vector<core::Finding>& batch) override;
  void event(const core::EventView& event) override;
  void summary(const core::Summary& summary) override;

 private:
  std::ostream& out_;
  core::RunIdentity run_;
  Shown shown_;
};

}  // namespace tcpwhy::sink
