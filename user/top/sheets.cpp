// SPDX-License-Identifier: GPL-2.0-only
#include "user/top/sheets.h"

#include <fmt/format.h>

#include <algorithm>

#include "user/top/tables.h"
#include "user/top/text.h"
#include "user/util/printable.h"

namespace tcpwhy::top {
namespace {

constexpr std::size_t kLabel = 10;

void add(std::vector<Line>& lines, std::string_view label, std::string_view text, std::size_t width) {
  if (text.empty()) return;
  bool first = true;
  for (std::string& part : wrapped(util::printable(text), width - std::min(width, kLabel))) {
    lines.push_back({{{left(first ? label : "", kLabel), Style::dim}, {std::move(part)}}});
    first = false;
  }
}

std::string state_of(const FindingRow& row, const Header& header) {
  const core::Finding& f = row.finding;
  const std::string begun = util::clock_time(f.since, header.wall);
  switch (row.state) {
    case FindingRow::State::open:
      return fmt::format("open since {} ({})", begun, duration(row.duration));
    case FindingRow::State::event:
      return fmt::format("happened at {}", begun);
    case FindingRow::State::ended:
      break;
  }
  if (f.ended == core::Ended::forgotten)
    return fmt::format(
        "no longer observed at {}, after {}: tcpwhy's table had no room; whether it still holds is unknown",
        util::clock_time(f.time, header.wall), duration(row.duration));
  return fmt::format("{} at {}, after {}", f.ended ? core::to_string(*f.ended) : "over",
                     util::clock_time(f.time, header.wall), duration(row.duration));
}

std::string connection_text(const core::ConnectionView& c, const std::string& boot_id) {
  return fmt::format("{} -> {}  {}  {}-{}", util::to_string(c.local), util::to_string(c.remote), c.state, boot_id,
                     c.number);
}

std::vector<Line> finding_sheet(const Model& model, const FindingRow& row, std::size_t width) {
  const core::Finding& f = row.finding;
  std::vector<Line> lines;
  Span severity = severity_span(f.severity);
  severity.text += " ";
  lines.push_back({{severity, {fmt::format("{}  f-{}", f.slug, f.id), Style::strong}}});
  lines.push_back({{{state_of(row, model.header)}}});
  lines.emplace_back();
  for (std::string& part : wrapped(util::printable(f.words.summary), width))
    lines.push_back({{{std::move(part), Style::strong}}});
  lines.emplace_back();
  add(lines, "cause", f.words.cause, width);
  add(lines, "effect", f.words.effect, width);
  add(lines, "evidence", f.words.evidence, width);
  add(lines, "certainty", core::to_string(f.confidence), width);
  const char* label = "next";
  for (const std::string& advice : f.words.advice) {
    add(lines, label, advice, width);
    label = "";
  }
  if (f.role == core::StoryRole::symptom) add(lines, "story", fmt::format("a symptom of f-{}", f.story), width);
  add(lines, "count", fmt::format("{} now, {} in all", row.count, f.count_total), width);
  label = "such as";
  for (const core::ConnectionView& c : f.examples) {
    add(lines, label, connection_text(c, model.boot_id), width);
    label = "";
  }
  return lines;
}

std::vector<Line> ladder_sheet(const Model& model, const View& view, std::size_t width) {
  const Ladder& ladder = model.ladder;
  std::vector<Line> lines;
  add(lines, "client", util::to_string(ladder.client) + "  " + process_name(ladder.client_owner, 24), width);
  add(lines, "server", util::to_string(ladder.server) + "  " + process_name(ladder.server_owner, 24), width);
  lines.emplace_back();
  if (ladder.lines.empty())
    add(lines, "",
        view.from_file ? "nothing was told of it so far"
                       : "nothing was told of it: the kernel side tells of what is in trouble only",
        width);
  if (ladder.lines.empty()) return lines;
  lines.push_back({{{left("time", 14) + left("at", 8) + "what", Style::dim}}});
  constexpr std::size_t kHang = 22;
  for (const LadderLine& step : ladder.lines) {
    const char* const at = step.at == LadderLine::At::client   ? "client"
                           : step.at == LadderLine::At::server ? "server"
                                                               : "finding";
    std::string head = left(util::clock_time(step.time, model.header.wall), 14) + left(at, 8);
    for (std::string& part : wrapped(util::printable(step.text), width - std::min(width, kHang))) {
      lines.push_back({{{head, style_of(step.severity)}, {std::move(part)}}});
      head = std::string(kHang, ' ');
    }
  }
  return lines;
}

std::vector<Line> explain_sheet(const Model& model) {
  std::vector<Line> lines;
  for (const std::string& line : model.explanation) lines.push_back({{{util::printable(line)}}});
  return lines;
}

std::vector<Line> help_sheet(const View& view) {
  struct Row {
    const char* key;
    const char* what;
  };
  static constexpr Row kRows[] = {
      {"1 2 3 4 5, Tab", "all, findings, connections, listeners, processes"},
      {"Up Down PgUp PgDn", "choose a row; Home, End"},
      {"Enter", "open it: a finding, or a connection step by step"},
      {"l", "on a finding: its connection step by step"},
      {"e", "on a finding: what it means, how it is known, what to do"},
      {"Esc", "close what is open; take the filter away"},
      {"/", "filter: rows that have a text in them"},
      {"o", "another order"},
      {"i", "findings of severity info, too, or not"},
      {"space", "pause: the screen stands still, watching goes on"},
      {"s", "save the flight recorder (--flight-recorder)"},
      {"q", "close what is open; quit"},
  };
  static constexpr Row kPlayed[] = {
      {"space", "pause, go on"},
      {"+ -", "twice as fast, half as fast"},
      {"n", "on to the next finding, and pause there"},
  };
  static constexpr const char* kWords[] = {
      "",
      "once, over  a finding that happened in an instant, or that is over (FOR: how long ago)",
      "N           connections in the finding now",
      "UNRD        bytes that wait for the process",
      "UNACK       bytes that the other end has not acknowledged, unsent ones too",
      "OF, HEAD    accept queue of its limit; how long its first connection waits",
      "REFSD       segments of clients that the full queue refused",
      "CLOSEW      CLOSE_WAIT: the peer has closed, the process has not",
      "CLOSNG      FIN_WAIT1, FIN_WAIT2, CLOSING, LAST_ACK     OPENNG  SYN_SENT, SYN_RECV",
  };
  std::vector<Line> lines;
  for (const Row& row : kRows) {
    if (view.from_file && (std::string_view{row.key} == "space" || std::string_view{row.key} == "s")) continue;
    lines.push_back({{{left(row.key, 20), Style::strong}, {row.what}}});
  }
  if (view.from_file)
    for (const Row& row : kPlayed) lines.push_back({{{left(row.key, 20), Style::strong}, {row.what}}});
  for (const char* words : kWords) lines.push_back({{{words}}});
  return lines;
}

const FindingRow* finding_of(const Model& model, const View& view) {
  const auto it = std::find_if(model.findings.begin(), model.findings.end(),
                               [&](const FindingRow& r) { return r.finding.id == view.finding; });
  return it == model.findings.end() ? nullptr : &*it;
}

}  // namespace

std::vector<Line> sheet_of(const Model& model, const View& view, std::size_t width) {
  if (view.sheet == Sheet::help) return help_sheet(view);
  if (view.sheet == Sheet::explain) return explain_sheet(model);
  if (view.sheet == Sheet::ladder) return ladder_sheet(model, view, width);
  if (const FindingRow* row = finding_of(model, view)) return finding_sheet(model, *row, width);
  return {{{{"this finding was over long ago and is not kept any more"}}}};
}

std::string title_of(const Model&, const View& view) {
  switch (view.sheet) {
    case Sheet::finding:
      return fmt::format("FINDING f-{}", view.finding);
    case Sheet::explain:
      return fmt::format("FINDING f-{} EXPLAINED", view.finding);
    case Sheet::ladder:
      return "CONNECTION STEP BY STEP";
    case Sheet::help:
      return "KEYS";
    case Sheet::none:
      break;
  }
  return {};
}

}  // namespace tcpwhy::top
