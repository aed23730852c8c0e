// SPDX-License-Identifier: GPL-2.0-only
#include "user/sink/text.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ostream>
#include <set>
#include <utility>

#include "user/sink/paragraph.h"
#include "user/sink/words.h"
#include "user/util/printable.h"

namespace tcpwhy::sink {
namespace {

constexpr std::size_t kSentenceIndent = 4;
constexpr std::size_t kLabelColumn = 12;  // "  evidence  "
constexpr std::size_t kNarrowest = 60;
constexpr std::size_t kWidest = 140;

// SGR codes by what they mark.
constexpr std::string_view kDim = "2";
constexpr std::string_view kGood = "32";
constexpr std::array<std::string_view, 3> kSeverityColours = {"36", "33", "1;31"};
constexpr std::array<std::string_view, 3> kSeverityWords = {"INFO", "WARNING", "CRITICAL"};

std::size_t index(auto value) { return static_cast<std::size_t>(value); }

std::string ends_of(const core::ConnectionView& connection) {
  static constexpr std::array<std::string_view, 3> kArrows = {"->", "<-", "--"};  // client, server, unknown
  return fmt::format("{} {} {}", util::to_string(connection.local), kArrows[index(connection.role)],
                     util::to_string(connection.remote));
}

// What the finding is about: a connection, or a listener.
std::string subject_of(const core::Finding& finding) {
  if (finding.connection) {
    return ends_of(*finding.connection);
  }
  if (finding.listener) {
    return "listener " + util::to_string(finding.listener->endpoint);
  }
  return finding.service ? util::to_string(*finding.service) : std::string{};
}

// "synack-retransmit-unexpected   127.0.0.1:8080 <- 127.0.0.1:49186"
std::string title_of(const core::Finding& finding, const std::string& subject) {
  return subject.empty() ? std::string{finding.slug} : fmt::format("{}   {}", finding.slug, subject);
}

std::string title_of(const core::Finding& finding) { return title_of(finding, subject_of(finding)); }

std::string oldest_of(const core::Finding& finding) {
  if (finding.count < 2 || !finding.connection) {
    return {};
  }
  const std::string_view rank = finding.phase == core::Phase::event ? "first" : "oldest";
  return fmt::format(" ({} of {})", rank, grouped(finding.count));
}

std::string progress_of(const core::Finding& finding, core::Severity before) {
  std::vector<std::string> parts;
  if (finding.severity != before) {
    parts.push_back(fmt::format("{} (was {})", core::to_string(finding.severity), core::to_string(before)));
  }
  if (finding.connection || finding.count > 1) {  // one of a listener is the listener
    const std::string all = fmt::format(" ({} in all)", grouped(finding.count_total));
    parts.push_back(counted(finding.count, "connection") + (finding.count_total > finding.count ? all : ""));
  }
  if (finding.duration > util::Duration::zero()) {
    parts.push_back(util::human(finding.duration));
  }
  return fmt::format("update: {}", fmt::join(parts, ", "));
}

std::string evidence_of(const core::Finding& finding) {
  if (finding.confidence == core::Confidence::certain || finding.words.evidence.empty()) {
    return finding.words.evidence;
  }
  return fmt::format("{} ({})", finding.words.evidence, core::to_string(finding.confidence));
}

std::uint64_t sum(const std::map<std::string, std::uint64_t>& counts) {
  std::uint64_t total = 0;
  for (const auto& [name, count] : counts) {
    total += count;
  }
  return total;
}

std::string findings_line(const core::Summary& summary) {
  if (summary.findings.empty()) {
    if (summary.events_lost + summary.recorder_lost > 0) {
      return "No finding, but events were lost: something may have been missed.";
    }
    return core::may_hide_a_finding(summary.losses)
               ? "No finding, but not everything was observed: something may have been missed."
               : "No finding: nothing of what this version looks for went wrong.";
  }
  std::string list;
  for (const auto& [slug, count] : summary.findings) {
    list += fmt::format("{}{} {}", list.empty() ? "" : ", ", grouped(count), slug);
  }
  const std::string_view worst = summary.worst ? core::to_string(*summary.worst) : "none";
  return fmt::format("Findings: {}. The worst is {}.", list, worst);
}

// "12 sockets in trouble were not swept: the table of tracked sockets is full; their stalls are not reported."
std::string loss_lines(const core::Summary& summary) {
  std::string text;
  for (const auto& [way, count] : summary.losses) {
    text += fmt::format("{} {}: {}; {}.\n", grouped(count), core::loss_phrase(way, count), core::loss_reason(way),
                        core::loss_effect(way));
  }
  return text;
}

std::string eviction_line(const core::Summary& summary) {
  std::string tables;
  for (const auto& [table, count] : summary.evictions) {
    if (count > 0) {
      tables += fmt::format("{}{} of {}", tables.empty() ? "" : ", ", grouped(count), table);
    }
  }
  return tables.empty() ? tables
                        : fmt::format("Evicted from full tables: {}; what these entries held is unknown.\n", tables);
}

// What the run could not see or keep; empty where it missed nothing.
std::string shortfalls(const core::Summary& summary) {
  std::string text = loss_lines(summary);
  if (summary.recorder_lost > 0) {
    text += fmt::format("{} did not get into the recording.\n", counted(summary.recorder_lost, "record"));
  }
  if (summary.connections_evicted > 0) {
    text += fmt::format("Forgot {} to stay within --max-connections.\n",
                        counted(summary.connections_evicted, "connection"));
  }
  text += eviction_line(summary);
  if (summary.behind > util::Duration::zero()) {
    text += fmt::format("Verdicts were up to {} late: more cases were due than are judged in one tick.\n",
                        util::human(summary.behind));
  }
  return text;
}

}  // namespace

TextStyle style_for(int fd, core::Severity minimum) {
  TextStyle style{.minimum = minimum};
  if (isatty(fd) == 0) {
    return style;
  }
  const char* no_color = std::getenv("NO_COLOR");  // no-color.org: set and not empty
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::string_view{term} == "dumb";
  style.colour = !dumb && (no_color == nullptr || *no_color == '\0');
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    style.columns = std::clamp<std::size_t>(size.ws_col, kNarrowest, kWidest);
  }
  return style;
}

TextSink::TextSink(std::ostream& out, core::RunIdentity run, TextStyle style)
    : out_(out), run_(std::move(run)), style_(style), shown_(style.minimum), flood_(style.window) {}

void TextSink::findings(const Batch& batch) {
  std::set<const core::Finding*> told;  // below their roots
  for (const core::Finding& finding : batch) {
    const Shown::Verdict verdict = shown_.judge(finding);
    if (flood_.follows(finding) || verdict == Shown::Verdict::hidden || told.contains(&finding)) {
      continue;
    }
    if (verdict == Shown::Verdict::again) {
      one_line(finding);
      continue;
    }
    if (flood_.takes(finding)) {
      continue;
    }
    const std::vector<const core::Finding*> symptoms = new_symptoms(finding, batch);
    block(finding, symptoms);
    told.insert(symptoms.begin(), symptoms.end());
  }
}

void TextSink::tick(util::BootTime now) { flood_lines(now, false); }

void TextSink::event(const core::EventView& event) {
  const std::string text =
      fmt::format("{}  {:<18}  {}", util::clock_time(event.time, run_.wall), event.kind, event.line);
  write(paint(kDim, util::printable(text)) + '\n');
}

void TextSink::summary(const core::Summary& summary) {
  flood_lines(summary.ended, true);
  const auto clock = [this](util::BootTime time) { return util::clock_time(time, run_.wall).substr(0, 8); };
  std::string text = anything_written_ ? "\n" : "";
  std::string watched = run_.host;
  for (const core::RunIdentity::Other& other : run_.others) watched += ", " + other.host;
  text += fmt::format("Watched {} for {}, {} to {}: {}, {}, {} lost.\n", util::printable(watched),
                      util::human(summary.ended - summary.started), clock(summary.started), clock(summary.ended),
                      counted(summary.connections, "connection end"), counted(sum(summary.events), "event"),
                      summary.events_lost == 0 ? "none" : grouped(summary.events_lost));
  for (const std::string& sentence : core::clock_sentences(run_)) text += util::printable(sentence) + ".\n";
  text += paragraph(findings_line(summary), {.hang = kSentenceIndent, .columns = style_.columns});
  const std::uint64_t opened = sum(summary.findings);
  const std::uint64_t told = shown_.count() + flood_.taken();
  if (opened > told) {
    text += fmt::format("{} below {} not shown: --severity info shows {}.\n", counted(opened - told, "finding"),
                        core::to_string(shown_.minimum()), opened - told == 1 ? "it" : "them");
  }
  if (flood_.taken() > 0) {
    text += fmt::format("{} only counted above (\"and ... more\"): --format json has {}.\n",
                        counted(flood_.taken(), "finding"), flood_.taken() == 1 ? "it" : "each");
  }
  write(text + shortfalls(summary));
}

// The symptoms of a new root that are new in the same moment: they are printed below it.
std::vector<const core::Finding*> TextSink::new_symptoms(const core::Finding& root, const Batch& batch) {
  std::vector<const core::Finding*> symptoms;
  for (const core::Finding& other : batch) {
    const bool is_symptom = other.role == core::StoryRole::symptom && other.story == root.id && other.id != root.id;
    if (is_symptom && other.phase != core::Phase::closed && shown_.judge(other) == Shown::Verdict::first &&
        !flood_.follows(other) && !flood_.takes(other)) {
      symptoms.push_back(&other);
    }
  }
  return symptoms;
}

void TextSink::block(const core::Finding& finding, const std::vector<const core::Finding*>& symptoms) {
  std::string text = anything_written_ ? "\n" : "";
  text += header(finding, oldest_of(finding)) + '\n';
  text += indented(finding.words.summary, kSentenceIndent);
  const Shown::Met* root = finding.role == core::StoryRole::symptom ? shown_.find(finding.story) : nullptr;
  if (root != nullptr) {
    text += labelled("symptom", fmt::format("of {} at {}", root->slug, util::clock_time(root->time, run_.wall)));
  } else {
    text += details(finding);
  }
  if (finding.phase == core::Phase::closed) {
    text += labelled(open_at_end(finding) ? "open" : is_forgotten(finding) ? "unknown" : "ended", end_of(finding));
  }
  shown_.remember(finding, subject_of(finding));
  for (const core::Finding* symptom : symptoms) {
    text += below_root(*symptom, finding);
    shown_.remember(*symptom, subject_of(*symptom));
  }
  write(text);
}

void TextSink::one_line(const core::Finding& finding) {
  if (finding.phase == core::Phase::closed) {
    const bool unknown = is_forgotten(finding);
    const bool over = !unknown && !open_at_end(finding);
    std::string text = lead(finding.time, over ? kGood : kSeverityColours[index(finding.severity)],
                            over      ? "CLOSED"
                            : unknown ? "UNKNOWN"
                                      : "OPEN");
    // Under the name that it was opened with, so that the two can be paired.
    text += fmt::format("{}{}   {}", title_of(finding, shown_.find(finding.id)->subject), place_of(finding, run_),
                        util::printable(end_of(finding)));
    if (finding.count_total > 1) {
      const std::string connections = counted(finding.count_total, "connection");
      text += unknown ? " (" + connections + ")" : ", " + connections;
    }
    shown_.remember(finding);
    write(text + '\n');
    return;
  }
  const core::Severity before = shown_.find(finding.id)->severity;
  std::string text = fmt::format("{}   {}\n", header(finding), progress_of(finding, before));
  if (finding.severity > before) {
    text += indented(finding.words.summary, kSentenceIndent);
  }
  shown_.remember(finding);
  write(text);
}

void TextSink::flood_lines(util::BootTime now, bool last) {
  for (const Flood::Line& line : flood_.due(now, last)) {
    std::string_view label = kSeverityWords[index(line.severity)];
    std::string_view code = kSeverityColours[index(line.severity)];
    if (line.state == Flood::Line::State::over) {
      label = "CLOSED";
      code = kGood;
    } else if (line.state == Flood::Line::State::open_at_end) {
      label = "OPEN";
    } else if (line.state == Flood::Line::State::unknown) {
      label = "UNKNOWN";
    }
    write(lead(now, code, label) + util::printable(line.text) + '\n');
  }
}

// "12:09:54.954  CRITICAL  "
std::string TextSink::lead(util::BootTime time, std::string_view code, std::string_view label) const {
  return fmt::format("{}  {}  ", util::clock_time(time, run_.wall), paint(code, fmt::format("{:<8}", label)));
}

std::string TextSink::header(const core::Finding& finding, const std::string& more) const {
  const std::size_t severity = index(finding.severity);
  return lead(finding.time, kSeverityColours[severity], kSeverityWords[severity]) + title_of(finding) + more +
         place_of(finding, run_);
}

std::string TextSink::details(const core::Finding& finding) const {
  std::string text = labelled("cause", finding.words.cause) + labelled("effect", finding.words.effect) +
                     labelled("evidence", evidence_of(finding));
  std::string_view label = "next";
  for (const std::string& advice : finding.words.advice) {
    text += labelled(label, advice);
    label = "";
  }
  return text;
}

std::string TextSink::below_root(const core::Finding& finding, const core::Finding& root) const {
  const std::size_t severity = index(finding.severity);
  std::string text = paint(kDim, "  symptom   ");
  text += paint(kSeverityColours[severity], fmt::format("{:<8}", kSeverityWords[severity]));
  text +=
      fmt::format("  {}{}{}\n", title_of(finding), oldest_of(finding), place_of(finding, run_, core::netns_of(root)));
  return text + indented(finding.words.summary, kLabelColumn);
}

// "  cause     accept queue of ..."; nothing where there is nothing to say.
std::string TextSink::labelled(std::string_view label, std::string_view text) const {
  if (text.empty()) {
    return {};
  }
  return paragraph(util::printable(text), {.head = paint(kDim, fmt::format("  {:<10}", label)),
                                           .head_columns = kLabelColumn,
                                           .hang = kLabelColumn,
                                           .columns = style_.columns});
}

std::string TextSink::indented(std::string_view text, std::size_t indent) const {
  return paragraph(
      util::printable(text),
      {.head = std::string(indent, ' '), .head_columns = indent, .hang = indent, .columns = style_.columns});
}

std::string TextSink::paint(std::string_view code, std::string_view text) const {
  return style_.colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string{text};
}

void TextSink::write(const std::string& text) {
  out_ << text << std::flush;
  anything_written_ = true;
}

}  // namespace tcpwhy::sink
