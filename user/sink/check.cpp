// SPDX-License-Identifier: GPL-2.0-only
#include "user/sink/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>
#include <tuple>
#include <utility>

#include "user/sink/flood.h"
#include "user/sink/json.h"
#include "user/sink/words.h"
#include "user/util/printable.h"

namespace tcpwhy::sink {
namespace {

using core::Severity;

constexpr std::array<std::string_view, 3> kSeverityWords = {"INFO", "WARNING", "CRITICAL"};
constexpr std::array<std::string_view, 3> kColours = {"36", "33", "1;31"};
constexpr std::size_t kMostHints = 3;
constexpr util::Duration kWithoutDate = std::chrono::hours{12};  // longer ago, a time of day would mislead
// A cause is judged again until it is known; its symptoms follow it.
constexpr util::Duration kSettles = std::chrono::seconds{2};

// Transitions of healthy life: no detector looks at them.
constexpr std::string_view kOrdinary = "transition";

std::size_t index(Severity severity) { return static_cast<std::size_t>(severity); }

// One line that a plugin may print: a "|" would begin performance data.
std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : util::printable(text)) out += c == '|' ? std::string{"\\x7c"} : std::string{c};
  return out;
}

std::string sentence(const std::string& words) { return words.ends_with('?') ? words : words + '.'; }

// "2 critical, 1 warning"
std::string counts_words(const Problems& problems) {
  std::string text;
  for (const Severity severity : {Severity::critical, Severity::warning})
    if (const std::uint64_t count = problems.count(severity); count > 0)
      text += fmt::format("{}{} {}{}", text.empty() ? "" : ", ", grouped(count), core::to_string(severity),
                          severity == Severity::warning && count > 1 ? "s" : "");
  return text;
}

double seconds(util::Duration d) { return std::chrono::duration<double>(d).count(); }

// 'label'=value[unit];warn;crit;min, as the plugins' guidelines have it: above the thresholds is an alert.
std::string performance(const Problems& problems, Severity fail_on, const core::Summary& summary) {
  std::uint64_t events = 0;
  for (const auto& [kind, count] : summary.events) events += count;
  return fmt::format("critical={};;0;0 warning={};{};;0 info={};;;0 events={};;;0 lost={};0;;0 watched={:.1f}s;;;0",
                     problems.count(Severity::critical), problems.count(Severity::warning),
                     fail_on == Severity::critical ? "" : "0", problems.count(Severity::info), events,
                     summary.events_lost + summary.recorder_lost, seconds(summary.ended - summary.started));
}

// What happens and is over, as a reset; not a condition, which lasts.
bool is_event(const core::Finding& f) {
  return f.phase == core::Phase::event || (f.phase == core::Phase::update && f.duration == util::Duration::zero());
}

// That nothing listens any more is what is left of a story, whatever came of it later.
std::tuple<Severity, bool, util::BootTime> weight(const core::Finding& f) {
  return {f.severity, f.slug == "connect-refused", f.time};
}

// Every condition that was told has ended, and no event says that connects go on failing.
bool over_by_now(const std::vector<const core::Finding*>& listed) {
  const auto goes_on = [](const core::Finding* f) {
    return is_event(*f) ? f->slug == "connect-refused" || f->slug == "connect-timeout" : !is_over(*f);
  };
  return std::any_of(listed.begin(), listed.end(), [](const core::Finding* f) { return is_over(*f); }) &&
         std::none_of(listed.begin(), listed.end(), goes_on);
}

// What the worst story came to: the last thing that happened in it, where that is as bad as its root, or worse.
const core::Finding* outcome_of(const std::vector<const core::Finding*>& listed) {
  const core::Finding* last = nullptr;
  for (const core::Finding* f : listed) {
    const core::Finding& root = *listed.front();
    if (f == &root || f->story != root.story || !is_event(*f)) continue;
    if (f->severity < root.severity || f->time < root.since) continue;
    if (!last || weight(*f) > weight(*last)) last = f;
  }
  return last;
}

// How to read more about what is listed, worst first: the roots, and what the first of them came to.
std::string hints(const std::vector<const core::Finding*>& listed) {
  std::string text;
  std::set<std::string> told;
  const core::Finding* outcome = listed.empty() ? nullptr : outcome_of(listed);
  for (const core::Finding* f : listed) {
    const std::string hint = fmt::format("tcpwhy explain {} --cause {}", f->slug, f->cause);
    if (f->role != core::StoryRole::root && f != outcome) continue;
    if (told.size() == kMostHints || !told.insert(hint).second) continue;
    text += fmt::format("more: {}\n", hint);
  }
  return text;
}

}  // namespace

CheckSink::CheckSink(std::ostream& out, core::RunIdentity run, CheckStyle style)
    : out_(out), run_(std::move(run)), style_(std::move(style)) {}

void CheckSink::tick(util::BootTime now) {
  if (!critical_since_ && problems_.count(Severity::critical) > 0) critical_since_ = now;
  decided_ = critical_since_ && now - *critical_since_ >= kSettles;
}

void CheckSink::summary(const core::Summary& summary) {
  Listed listed;
  for (const Problem* problem : problems_.in_order())
    if (problem->told.severity != Severity::info) listed.push_back(&problem->told);
  const std::string head = headline(summary, listed);
  if (style_.json) {
    write_json(summary, head);
    return;
  }
  out_ << fmt::format("{} | {}\n", head, performance(problems_, style_.fail_on, summary)) << lines(listed, summary)
       << hints(listed) << std::flush;
}

std::string CheckSink::headline(const core::Summary& summary, const Listed& listed) const {
  const Health verdict = health();
  const std::string counts = counts_words(problems_);
  const std::string watched = util::human(summary.ended - summary.started);
  std::string text = fmt::format("TCPWHY {} - ", word_of(verdict));
  if (verdict == Health::unknown) {
    text += fmt::format("{}: a finding may have been missed{}", fmt::join(doubts_, "; "),
                        counts.empty() ? "" : " (" + counts + ")");
  } else if (verdict == Health::ok) {
    text += counts.empty() ? fmt::format("no problem in {}", watched)
                           : fmt::format("{} in {}, none critical (--fail-on critical)", counts, watched);
    if (!style_.missing.empty()) text += ", as far as this kernel tells (tcpwhy doctor)";
  } else {
    text += counts + (over_by_now(listed) ? ", over by now" : "");
    if (!listed.empty()) {
      const core::Words& words = listed.front()->words;
      text += fmt::format("{}: {}", is_over(*listed.front()) ? "; while it lasted" : "", words.summary);
      if (!words.cause.empty()) text += " Why: " + sentence(words.cause);
      if (const core::Finding* outcome = outcome_of(listed)) text += " Then: " + outcome->words.summary;
    }
  }
  return one_line(text);
}

std::string CheckSink::lines(const Listed& listed, const core::Summary& summary) const {
  std::string text;
  Flood flood{style_.window};
  const core::Finding* root = nullptr;
  for (const core::Finding* f : listed) {
    core::Finding at_end = *f;  // all are told in one moment
    at_end.time = summary.ended;
    if (flood.takes(at_end)) continue;
    if (f->role == core::StoryRole::root) root = f;
    text += line(*f, root && root != f && root->story == f->story, summary.ended);
  }
  for (const Flood::Line& more : flood.due(summary.ended, true))
    text += fmt::format("{}  {}\n", paint(more.severity, fmt::format("{:<8}", kSeverityWords[index(more.severity)])),
                        one_line(more.text));
  return text;
}

// ", since 12:09:54", ", since 12:09:54; no longer observed after 3 s: ...; while it was observed", ", at 12:09:54", ", 12:09:54 to 12:09:59", "..., recovered after 4.6 s; while it lasted"
std::string CheckSink::when(const core::Finding& finding, util::BootTime end) const {
  const auto clock = [&](util::BootTime time) {
    return end - time < kWithoutDate ? util::clock_time(time, run_.wall).substr(0, 8) : util::rfc3339(time, run_.wall);
  };
  const std::string since = clock(finding.since);
  if (is_over(finding))
    return fmt::format(", {} to {}, {}; while it lasted", since, clock(finding.since + finding.duration),
                       end_of(finding));
  if (is_forgotten(finding)) return fmt::format(", since {}; {}; while it was observed", since, end_of(finding));
  if (!is_event(finding)) return ", since " + since;
  const std::string last = clock(finding.time);
  return finding.count_total <= 1 || since == last ? ", at " + last : fmt::format(", {} to {}", since, last);
}

// "CRITICAL  accept-queue-overflow (not-accepting), since 12:09:54: web[12] has accepted nothing ... Why: ... Next: ..."
std::string CheckSink::line(const core::Finding& finding, bool below_root, util::BootTime end) const {
  std::string text = fmt::format("{}{} ({}){}: {}", is_over(finding) ? "was " : "", finding.slug, finding.cause,
                                 when(finding, end), finding.words.summary);
  const std::string count = counted(finding.count_total, "connection");
  // "... The same on 199 more connections." has said it.
  const bool said = text.find(count) != std::string::npos ||
                    (finding.count == finding.count_total &&
                     text.find(counted(finding.count - 1, "more connection")) != std::string::npos);
  if (finding.count_total > 1 && !said) text += fmt::format(" {} over the whole time.", count);
  if (!below_root && !finding.words.cause.empty()) text += " Why: " + sentence(finding.words.cause);
  if (!below_root && !finding.words.advice.empty()) text += " Next: " + sentence(finding.words.advice.front());
  return fmt::format("{}  {}{}\n",
                     paint(finding.severity, fmt::format("{:<8}", kSeverityWords[index(finding.severity)])),
                     below_root ? "  " : "", one_line(text + place_of(finding, run_)));
}

std::string CheckSink::paint(Severity severity, std::string_view text) const {
  return style_.colour ? fmt::format("\x1b[{}m{}\x1b[0m", kColours[index(severity)], text) : std::string{text};
}

void CheckSink::write_json(const core::Summary& summary, const std::string& headline) {
  JsonSink lines{out_, run_};
  nlohmann::ordered_json verdict = {{"schema", kCheckSchema},
                                    {"host", run_.host},
                                    {"verdict", slug_of(health())},
                                    {"exit_code", static_cast<int>(health())},
                                    {"fail_on", core::to_string(style_.fail_on)},
                                    {"started", util::rfc3339(summary.started, run_.wall)},
                                    {"ended", util::rfc3339(summary.ended, run_.wall)}};
  for (const Severity severity : {Severity::critical, Severity::warning, Severity::info})
    verdict["counts"][std::string{core::to_string(severity)}] = problems_.count(severity);
  verdict["problems"] = nlohmann::json::array();
  for (const Problem* problem : problems_.in_order()) {
    lines.findings({problem->last});
    if (problem->last.severity != Severity::info) verdict["problems"].push_back(fmt::format("f-{}", problem->last.id));
  }
  lines.summary(summary);
  verdict["only_counted"] = problems_.only_counted();
  verdict["could_not_tell"] = doubts_;
  verdict["missing"] = style_.missing;
  verdict["text"] = headline;
  out_ << verdict.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace) << '\n' << std::flush;
}

std::vector<std::string> doubts_of(const core::Losses& losses) {
  std::vector<std::string> doubts;
  std::uint64_t events = 0;
  std::string kinds;
  for (const auto& [kind, count] : losses.events_by_kind()) {
    if (kind == kOrdinary || count == 0) continue;
    events += count;
    if (kind != "lost") kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", kind, count);
  }
  if (events > 0)
    doubts.push_back(fmt::format("{} event{} lost{}", events, events == 1 ? " was" : "s were",
                                 kinds.empty() ? "" : " (" + kinds + ")"));
  for (const auto& [way, count] : losses.by_way())
    if (!abi::loses_events(way) && core::may_hide_a_finding(way))
      doubts.push_back(fmt::format("{} {} ({})", count, core::loss_phrase(way, count), core::loss_reason(way)));
  return doubts;
}

std::string could_not_check(bool json, const std::string& why) {
  const std::string text = one_line(fmt::format("TCPWHY {} - {}", word_of(Health::unknown), why));
  if (!json) return text + '\n';
  const nlohmann::ordered_json verdict = {{"schema", kCheckSchema},
                                          {"verdict", slug_of(Health::unknown)},
                                          {"exit_code", static_cast<int>(Health::unknown)},
                                          {"could_not_tell", nlohmann::json::array({why})},
                                          {"text", text}};
  return verdict.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

}  // namespace tcpwhy::sink
