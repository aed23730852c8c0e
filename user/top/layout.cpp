// SPDX-License-Identifier: GPL-2.0-only
#include "user/top/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "user/top/sheets.h"
#include "user/top/tables.h"
#include "user/top/text.h"
#include "user/util/printable.h"

namespace tcpwhy::top {
namespace {

constexpr std::size_t kHeaderLines = 3;
constexpr std::size_t kFooterLines = 2;

void fit(Line& line, std::size_t width) {
  std::size_t used = 0;
  for (Span& span : line.spans) {
    const std::size_t room = width - used;
    if (columns_of(span.text) > room) span.text = left(span.text, room);
    used += columns_of(span.text);
  }
}

// Two texts, one at each side; where both do not fit the right one goes.
std::string both_sides(const std::string& at_left, const std::string& at_right, std::size_t width) {
  const std::size_t needed = columns_of(at_left) + 1 + columns_of(at_right);
  if (needed > width) return left(at_left, width);
  return at_left + std::string(width - needed + 1, ' ') + at_right;
}

std::string mode_of(const Model& model, const View& view) {
  const Header& h = model.header;
  if (!view.from_file) return fmt::format("{}watching {}", view.paused ? "PAUSED  " : "", duration(h.watched));
  const char* const state = view.at_end ? "AT ITS END" : view.paused ? "PAUSED" : "playing";
  return fmt::format("{}  {}  x{:g}", view.title, state, view.speed);
}

Line title_line(const Model& model, const View& view, std::size_t width) {
  const Header& h = model.header;
  const std::string at_left =
      fmt::format(" tcpwhy top  {}  {}", util::printable(h.host), util::clock_time(h.now, h.wall).substr(0, 8));
  return {{{both_sides(at_left, util::printable(mode_of(model, view)) + " ", width), Style::title}}};
}

std::string rate(const std::optional<double>& per_second) {
  return per_second ? fmt::format("{}/s", grouped(static_cast<std::uint64_t>(std::llround(*per_second)))) : "-";
}

Line sockets_line(const Model& model, std::size_t width) {
  const Header& h = model.header;
  std::string text;
  if (h.connections) {
    text = fmt::format(" connections {} in {} processes", grouped(*h.connections), grouped(h.processes));
    if (h.now - h.counted > std::chrono::seconds{3}) text += fmt::format(" ({} ago)", duration(h.now - h.counted));
  } else {
    text = " connections -";
  }
  text += fmt::format("   new {}   in trouble {}   listeners {}", rate(h.connections_per_second), grouped(h.in_trouble),
                      grouped(h.listeners));
  return {{{left(text, width)}}};
}

Line load_line(const Model& model, std::size_t width) {
  const Header& h = model.header;
  std::string text = fmt::format(" events {}   ", rate(h.events_per_second));
  Line line{{{text}}};
  line.spans.push_back({fmt::format("lost {}", grouped(h.lost)), h.lost > 0 ? Style::warning : Style::plain});
  text = "   sweep ";
  if (h.sweep_share) text += fmt::format("{:.2f}% CPU ", *h.sweep_share * 100);
  text += h.sweep_interval > util::Duration::zero() ? "each " + duration(h.sweep_interval) : "-";
  line.spans.push_back({text + "   "});
  if (h.open_critical > 0)
    line.spans.push_back({fmt::format("worst CRITICAL ({} open)", h.open_critical), Style::critical});
  else if (h.open_warning > 0)
    line.spans.push_back({fmt::format("worst WARNING ({} open)", h.open_warning), Style::warning});
  else if (h.open_info > 0)
    line.spans.push_back({fmt::format("worst info ({} open)", h.open_info), Style::info});
  else
    line.spans.push_back({"no finding is open"});
  fit(line, width);
  return line;
}

Line footer_line(const View& view, std::size_t width) {
  const char* keys = " 1-5 page  Enter open  / filter  o order  space pause  s save  ? help  q quit";
  if (view.from_file) keys = " 1-5 page  Enter open  / filter  space pause  + - speed  n next  ? help  q quit";
  if (view.sheet != Sheet::none) keys = " Esc back  Up Down scroll  ? help";
  if (view.sheet == Sheet::finding) keys = " Esc back  Up Down scroll  e explain  l its connection  ? help";
  return {{{left(keys, width), Style::title}}};
}

Line note_line(const View& view, std::size_t width) {
  if (view.typing) return {{{left(" filter: " + view.filter + "_", width), Style::strong}}};
  std::string text = view.note.empty() ? std::string{} : " " + util::printable(view.note);
  if (text.empty() && !view.filter.empty()) text = " filter: " + view.filter + "  (Esc takes it away)";
  return {{{left(text, width)}}};
}

const char* name_of(Page page) {
  switch (page) {
    case Page::connections:
      return "CONNECTIONS IN TROUBLE";
    case Page::listeners:
      return "LISTENERS";
    case Page::processes:
      return "PROCESSES";
    default:
      return "FINDINGS";
  }
}

// A table in so many lines, its heading among them.
void add_table(Frame& frame, Page page, const Model& model, const View& view, Size size, bool choosing) {
  const std::vector<std::size_t> rows = rows_of(page, model, view);
  const std::size_t end = frame.size() + size.rows;
  frame.push_back(heading_of(page, model, view, size.columns));
  const std::size_t room = size.rows - 1;
  // On the overview findings are chosen on its own behalf.
  const std::size_t place = choosing ? place_of(page == Page::findings ? view.page : page, model, view, rows) : 0;
  const std::size_t first = place >= room ? place - room + 1 : 0;
  for (std::size_t i = first; i < rows.size() && frame.size() < end; ++i) {
    Line line = line_of(page, model, rows[i], size.columns);
    line.selected = choosing && i == place;
    frame.push_back(std::move(line));
  }
  if (rows.empty() && room > 0) frame.push_back({{{"     " + nothing_on(page, model, view), Style::dim}}});
  frame.resize(end);
}

// " CONNECTIONS IN TROUBLE 3": so many, and how many are not here.
std::string caption(Page page, const Model& model, const View& view) {
  const std::size_t shown = rows_of(page, model, view).size();
  std::string text = fmt::format("{} {}", name_of(page), grouped(shown));
  if (page == Page::connections && model.connections_left_out > 0)
    text += fmt::format(" (the worst; {} more)", grouped(model.connections_left_out));
  if (page == Page::processes && !model.all_processes && view.from_file) text += " (of connections told of)";
  return text + fmt::format(", by {}", orders_of(page)[view.order[static_cast<std::size_t>(page)]]);
}

void add_page(Frame& frame, const Model& model, const View& view, Size size) {
  frame.push_back({{{" " + caption(view.page, model, view), Style::dim}}});
  add_table(frame, view.page, model, view, {size.rows - 1, size.columns}, true);
}

// Findings get the largest share, then connections; each its heading and a row at least.
void add_overview(Frame& frame, const Model& model, const View& view, Size size) {
  struct Share {
    Page page;
    std::size_t of_16;
  };
  static constexpr Share kShares[] = {{Page::connections, 4}, {Page::listeners, 4}, {Page::processes, 4}};
  std::size_t left_over = size.rows;
  std::size_t heights[3];
  for (std::size_t i = 0; i < 3; ++i) {
    heights[i] = std::max<std::size_t>(2, size.rows * kShares[i].of_16 / 17);
    left_over -= std::min(left_over, heights[i]);
  }
  add_table(frame, Page::findings, model, view, {std::max<std::size_t>(2, left_over), size.columns}, true);
  for (std::size_t i = 0; i < 3; ++i) add_table(frame, kShares[i].page, model, view, {heights[i], size.columns}, false);
}

void add_sheet(Frame& frame, const Model& model, const View& view, Size size) {
  frame.push_back({{{" " + title_of(model, view), Style::strong}}});
  std::vector<Line> lines = sheet_of(model, view, size.columns - 1);
  const std::size_t room = size.rows - 1;
  const std::size_t first = std::min(view.scroll, lines.size() - std::min(lines.size(), room));
  for (std::size_t i = first; i < lines.size() && i < first + room; ++i) {
    lines[i].spans.insert(lines[i].spans.begin(), Span{" "});
    frame.push_back(std::move(lines[i]));
  }
}

}  // namespace

std::string Line::text() const {
  std::string text;
  for (const Span& span : spans) text += span.text;
  return text;
}

std::size_t rows_on_screen(Size size) {
  const std::size_t used = kHeaderLines + kFooterLines + 2;
  return size.rows > used ? size.rows - used : 1;
}

Frame lay_out(const Model& model, const View& view, Size size) {
  Frame frame;
  if (size.rows < kSmallest.rows || size.columns < kSmallest.columns) {
    frame.push_back({{{fmt::format("needs {}x{} (q quits)", kSmallest.columns, kSmallest.rows)}}});
  } else {
    frame.push_back(title_line(model, view, size.columns));
    frame.push_back(sockets_line(model, size.columns));
    frame.push_back(load_line(model, size.columns));
    const Size body{size.rows - kHeaderLines - kFooterLines, size.columns};
    if (view.sheet != Sheet::none)
      add_sheet(frame, model, view, body);
    else if (view.page == Page::overview)
      add_overview(frame, model, view, body);
    else
      add_page(frame, model, view, body);
    frame.resize(size.rows - kFooterLines);
    frame.push_back(note_line(view, size.columns));
    frame.push_back(footer_line(view, size.columns));
  }
  frame.resize(size.rows);
  for (Line& line : frame) fit(line, size.columns);
  return frame;
}

}  // namespace tcpwhy::top
