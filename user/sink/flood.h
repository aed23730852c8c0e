// SPDX-License-Identifier: GPL-2.0-only
// The cap on blocks. Of findings alike that are met within one window the first few are printed; the others are counted
// here, and a line now and then stands for them all.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "user/core/finding.h"

namespace tcpwhy::sink {

class Flood {
 public:
  struct Line {
    enum class State : std::uint8_t { open, over, open_at_end, unknown };
    State state = State::open;
    core::Severity severity = core::Severity::info;  // the worst among them
    // "and 396 more services of 10.0.0.9: connect-timeout dropped-locally, ports 1005 to 1400",
    // "and 999 more processes of worker at 1 service of 127.0.0.1: stall-unread process-stopped, port 80".
    // With the name that a process gave itself: not printable as it is.
    std::string text;
  };

  explicit Flood(util::Duration window) : window_(window) {}

  // Of a finding that the reader has not met: true where it is only counted. Asked once for each.
  bool takes(const core::Finding& finding);
  // What becomes of one that it took; false where it is not one of those.
  bool follows(const core::Finding& finding);
  // What there is to say: at most once a window for findings alike, and all of it at the end of the run.
  std::vector<Line> due(util::BootTime now, bool last = false);
  // Findings taken so far, each counted once.
  [[nodiscard]] std::uint64_t taken() const { return taken_; }

 private:
  // Findings alike.
  struct Group {
    std::string what;                   // "connect-timeout dropped-locally"
    std::deque<util::BootTime> met;     // the last few
    std::set<util::Endpoint> services;  // of those that were taken
    // Findings of several processes of one program: its name, the process whose findings are printed, and the others.
    std::string program;
    std::string printed;
    std::set<std::string> processes;
    std::set<std::uint32_t> pids;  // the first few of them
    std::uint64_t taken = 0;
    std::uint64_t over = 0;
    std::uint64_t open_at_end = 0;
    std::uint64_t forgotten = 0;
    std::uint64_t followed = 0;  // ids that lead here
    core::Severity severity = core::Severity::info;
    util::BootTime last_taken{};
    util::BootTime due{};
    bool news = false;
  };

  Group* group_of(const core::Finding& finding);
  bool floods(Group& group, std::size_t few, util::BootTime now) const;
  void take(Group& group, const core::Finding& finding);
  void end(Group& group, const core::Finding& finding);
  static void note_news(Group& group, util::BootTime now);
  void forget_oldest();
  static void begin_anew(Group& group);
  static Line line_of(const Group& group);

  util::Duration window_;
  std::map<std::string, Group> groups_;
  std::map<std::uint64_t, Group*> followed_;  // by finding id, so the oldest first
  std::uint64_t taken_ = 0;
};

}  // namespace tcpwhy::sink
