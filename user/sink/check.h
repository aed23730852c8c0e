// SPDX-License-Identifier: GPL-2.0-only
// `tcpwhy check`: a verdict and one line a problem, all of it when the run is over. As a plugin of Nagios or its heirs is
// read: doc/check.md.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "user/sink/problems.h"
#include "user/sink/sink.h"
#include "user/sink/verdict.h"

namespace tcpwhy::sink {

inline constexpr const char* kCheckSchema = "tcpwhy.check/1";

struct CheckStyle {
  bool json = false;
  bool colour = false;                               // of the text
  core::Severity fail_on = core::Severity::warning;  // the mildest that is not OK
  util::Duration window = std::chrono::seconds{10};  // in which findings alike are counted (Flood)
  std::vector<std::string> missing = {};             // what this kernel cannot tell
};

// Writes to `out`, which it does not own and which must outlive it: nothing before summary(), everything then.
class CheckSink : public Sink {
 public:
  CheckSink(std::ostream& out, core::RunIdentity run, CheckStyle style);

  void findings(const std::vector<core::Finding>& batch) override { problems_.on(batch); }
  void tick(util::BootTime now) override;
  void event(const core::EventView&) override {}
  void summary(const core::Summary& summary) override;

  // What may have hidden a finding, a phrase (doubts_of). Before summary().
  void doubt(std::string why) { doubts_.push_back(std::move(why)); }
  // Whether nothing that may still come changes the verdict: a critical finding is there, and had the time to get its
  // cause and its story.
  [[nodiscard]] bool decided() const { return decided_; }
  [[nodiscard]] Health health() const { return judge(problems_, style_.fail_on, doubts_); }

 private:
  using Listed = std::vector<const core::Finding*>;  // as they are told

  [[nodiscard]] std::string headline(const core::Summary& summary, const Listed& listed) const;
  [[nodiscard]] std::string lines(const Listed& listed, const core::Summary& summary) const;
  [[nodiscard]] std::string when(const core::Finding& finding, util::BootTime end) const;
  [[nodiscard]] std::string line(const core::Finding& finding, bool below_root, util::BootTime end) const;
  [[nodiscard]] std::string paint(core::Severity severity, std::string_view text) const;
  void write_json(const core::Summary& summary, const std::string& headline);

  std::ostream& out_;
  core::RunIdentity run_;
  CheckStyle style_;
  Problems problems_;
  std::vector<std::string> doubts_;
  std::optional<util::BootTime> critical_since_;
  bool decided_ = false;
};

// What of the losses may have hidden a finding, a phrase each: "120 events were lost (state 100, retransmit 20)",
// "12 sockets in trouble were not swept (the table of tracked sockets is full)". Lost transitions of healthy life hide none.
std::vector<std::string> doubts_of(const core::Losses& losses);

// Where nothing could be watched or read at all: the same forms, UNKNOWN, with the one reason.
std::string could_not_check(bool json, const std::string& why);

}  // namespace tcpwhy::sink
