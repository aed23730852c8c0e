// SPDX-License-Identifier: GPL-2.0-only
#include "user/sink/flood.h"

#include <fmt/format.h>

#include <algorithm>

#include "user/core/host.h"
#include "user/sink/words.h"

namespace tcpwhy::sink {
namespace {

// Printed within one window: with one process at fault, and at all. Of the processes of one program one has its findings
// printed: a block is eight lines, and a program may have a thousand workers.
constexpr std::size_t kOfOneProgram = 1;
constexpr std::size_t kOfOneCulprit = 4;
constexpr std::size_t kOfOneKind = 12;
// A burst is counted for this long before its line is printed.
constexpr util::Duration kSettles = std::chrono::seconds{1};
// Findings that happened in an instant never close: the oldest are forgotten instead.
constexpr std::size_t kMostFollowed = 65536;
// So many processes are named in a line.
constexpr std::size_t kFewPids = 3;

std::string what_of(const core::Finding& f) { return fmt::format("{} {}", f.slug, f.cause); }

std::string kind_key(const core::Finding& f) {
  return fmt::format("{} {}", what_of(f), core::to_string(f.culprit.kind));
}

std::string process_key(const core::Process& process) {
  return fmt::format("{}@{}", process.pid, process.start.time_since_epoch().count());
}

std::string program_key(const core::Finding& f) {
  return fmt::format("{} of {} {}", kind_key(f), f.culprit.process->host, f.culprit.process->comm);
}

std::string culprit_key(const core::Finding& f) {
  std::string key = kind_key(f) + " by";
  if (f.culprit.process) {
    key += ' ' + process_key(*f.culprit.process);
  } else if (f.culprit.remote) {
    key += ' ' + util::to_string(f.culprit.remote->addr);
  }
  return key;
}

// " of 10.0.0.9", " of 12 hosts"
std::string hosts_words(const std::set<util::Endpoint>& services) {
  std::set<util::Address> hosts;
  for (const util::Endpoint& service : services) {
    hosts.insert(service.addr);
  }
  if (hosts.empty()) {
    return {};
  }
  return hosts.size() == 1 ? " of " + util::to_string(*hosts.begin()) : fmt::format(" of {} hosts", hosts.size());
}

// ", port 443", ", ports 1005 to 1400"
std::string ports_words(const std::set<util::Endpoint>& services) {
  std::set<std::uint16_t> ports;
  for (const util::Endpoint& service : services) {
    ports.insert(service.port);
  }
  if (ports.size() < 2) {
    return ports.empty() ? std::string{} : fmt::format(", port {}", *ports.begin());
  }
  const std::uint16_t low = *ports.begin();
  const std::uint16_t high = *ports.rbegin();
  const bool every_one = ports.size() == high - low + 1U;
  return every_one ? fmt::format(", ports {} to {}", low, high) : fmt::format(", ports between {} and {}", low, high);
}

// "findings"; of several processes of one program "processes of worker", "processes of worker (pids 12, 13)", "findings of 3
// processes of worker".
std::string processes_words(const std::string& program, std::size_t processes, const std::set<std::uint32_t>& pids,
                            std::uint64_t findings) {
  std::string text = processes == findings ? std::string{} : fmt::format("finding{}", findings == 1 ? "" : "s");
  if (program.empty()) {
    return text;
  }
  if (processes != findings) {
    text += fmt::format(" of {} ", processes);
  }
  text += fmt::format("process{} of {}", processes == 1 ? "" : "es", program);
  if (processes <= kFewPids && pids.size() == processes) {
    text += fmt::format(" (pid{} {})", processes == 1 ? "" : "s", fmt::join(pids, ", "));
  }
  return text;
}

}  // namespace

bool Flood::takes(const core::Finding& finding) {
  Group* group = group_of(finding);
  if (group != nullptr) {
    take(*group, finding);
  }
  return group != nullptr;
}

// Where it is to be counted; nullptr where it is to be printed.
Flood::Group* Flood::group_of(const core::Finding& finding) {
  if (finding.culprit.process && !finding.culprit.process->comm.empty()) {
    Group& program = groups_[program_key(finding)];
    const std::string process = process_key(*finding.culprit.process);
    const bool flooded = floods(program, kOfOneProgram, finding.time);
    if (!flooded) {
      program.printed = process;
    }
    if (program.printed != process) {
      program.program = finding.culprit.process->comm;
      return &program;
    }
  }
  Group& culprit = groups_[culprit_key(finding)];
  if (floods(culprit, kOfOneCulprit, finding.time)) {
    return &culprit;
  }
  Group& kind = groups_[kind_key(finding)];
  return floods(kind, kOfOneKind, finding.time) ? &kind : nullptr;
}

// Whether it is one too many. Those that were taken count as well: a flood lasts until it has been calm for a window.
bool Flood::floods(Group& group, std::size_t few, util::BootTime now) const {
  const bool full = group.met.size() == few;
  const bool one_too_many = full && now - group.met.front() < window_;
  if (full) {
    group.met.pop_front();
  }
  group.met.push_back(now);
  return one_too_many;
}

void Flood::take(Group& group, const core::Finding& finding) {
  const bool instants = finding.phase == core::Phase::event;
  if (instants && finding.time - group.last_taken > window_) {
    begin_anew(group);
  }
  group.what = what_of(finding);
  group.taken += 1;
  taken_ += 1;
  group.last_taken = finding.time;
  group.severity = std::max(group.severity, finding.severity);
  if (finding.service && group.services.size() < kMostFollowed) {
    group.services.insert(*finding.service);
  }
  if (!group.program.empty() && group.processes.size() < kMostFollowed) {
    group.processes.insert(process_key(*finding.culprit.process));
    if (group.pids.size() <= kFewPids) {
      group.pids.insert(core::plain_pid(finding.culprit.process->pid));
    }
  }
  note_news(group, finding.time);
  if (finding.phase == core::Phase::closed) {
    end(group, finding);
    return;
  }
  followed_[finding.id] = &group;
  group.followed += 1;
  if (followed_.size() > kMostFollowed) {
    forget_oldest();
  }
}

bool Flood::follows(const core::Finding& finding) {
  const auto entry = followed_.find(finding.id);
  if (entry == followed_.end()) {
    return false;
  }
  Group& group = *entry->second;
  if (finding.severity > group.severity) {
    group.severity = finding.severity;
    note_news(group, finding.time);
  }
  if (finding.phase == core::Phase::closed) {
    end(group, finding);
    group.followed -= 1;
    followed_.erase(entry);
  }
  return true;
}

void Flood::end(Group& group, const core::Finding& finding) {
  (open_at_end(finding) ? group.open_at_end : is_forgotten(finding) ? group.forgotten : group.over) += 1;
  note_news(group, finding.time);
}

void Flood::note_news(Group& group, util::BootTime now) {
  if (!group.news) {
    group.due = std::max(group.due, now + kSettles);
  }
  group.news = true;
}

void Flood::forget_oldest() {
  followed_.begin()->second->followed -= 1;
  followed_.erase(followed_.begin());
}

void Flood::begin_anew(Group& group) {
  group.services.clear();
  group.processes.clear();
  group.pids.clear();
  group.taken = group.over = group.open_at_end = group.forgotten = 0;
  group.severity = core::Severity::info;
}

std::vector<Flood::Line> Flood::due(util::BootTime now, bool last) {
  std::vector<Line> lines;
  for (auto& [key, group] : groups_) {
    if (!group.news || (now < group.due && !last)) {
      continue;
    }
    lines.push_back(line_of(group));
    group.news = false;
    group.due = now + window_;
    if (lines.back().state != Line::State::open) {
      begin_anew(group);
    }
  }
  std::erase_if(groups_, [&](const auto& entry) {
    const Group& group = entry.second;
    return !group.news && group.followed == 0 && now >= group.due && now - group.met.back() > window_;
  });
  return lines;
}

Flood::Line Flood::line_of(const Group& group) {
  Line line;
  line.severity = group.severity;
  const std::size_t services = group.services.size();
  line.text = fmt::format("and {} more ", group.taken);
  if (services == group.taken && group.program.empty()) {
    line.text += services == 1 ? "service" : "services";
  } else {
    line.text += processes_words(group.program, group.processes.size(), group.pids, group.taken);
    line.text += services > 0 ? fmt::format(" at {} service{}", services, services == 1 ? "" : "s") : "";
  }
  line.text += fmt::format("{}: {}{}", hosts_words(group.services), group.what, ports_words(group.services));
  if (group.open_at_end > 0) {
    line.state = Line::State::open_at_end;
  } else if (group.over == group.taken) {
    line.state = Line::State::over;
  } else if (group.forgotten > 0 && group.over + group.forgotten == group.taken) {
    line.state = Line::State::unknown;
  }
  if (group.over > 0 && group.over < group.taken) {
    line.text += fmt::format("; {} of them {} over", group.over, group.over == 1 ? "is" : "are");
  }
  if (group.forgotten > 0) {
    line.text += fmt::format("; {} {} no longer observed", group.forgotten, group.forgotten == 1 ? "is" : "are");
  }
  return line;
}

}  // namespace tcpwhy::sink
