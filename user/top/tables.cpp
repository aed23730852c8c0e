// SPDX-License-Identifier: GPL-2.0-only
#include "user/top/tables.h"

#include <fmt/format.h>

#include <algorithm>

#include "user/core/host.h"
#include "user/top/text.h"
#include "user/util/printable.h"

namespace tcpwhy::top {
namespace {

// How the columns beyond 80 are shared: up to so many to each of those that can use them, in this order.
class Room {
 public:
  explicit Room(std::size_t width) : extra_(width > 80 ? width - 80 : 0), missing_(width < 80 ? 80 - width : 0) {}
  // A column that has `base` at 80 columns and never needs more than `most`; `least` where the screen is narrower.
  std::size_t take(std::size_t base, std::size_t most, std::size_t least) {
    const std::size_t less = std::min(missing_, base - std::min(base, least));
    missing_ -= less;
    const std::size_t more = std::min(extra_, most - std::min(most, base));
    extra_ -= more;
    return base - less + more;
  }
  // A whole further column, with the blank before it, where there is room; else 0.
  std::size_t add(std::size_t width) {
    if (extra_ < width + 1) return 0;
    extra_ -= width + 1;
    return width;
  }

 private:
  std::size_t extra_;
  std::size_t missing_;
};

std::string cell(const std::string& text) { return text + " "; }

// Findings: SEV FINDING CULPRIT SERVICE COUNT FOR, and the id in front.
struct FindingColumns {
  explicit FindingColumns(std::size_t width) {
    Room room{width};
    culprit = room.take(17, 24, 8);
    service = room.take(10, 21, 7);
    slug = room.take(28, 28, 18);
    cause = room.add(22);
  }
  std::size_t culprit, service, slug, cause;
};

std::string culprit_of(const core::Finding& f, std::size_t width) {
  if (f.culprit.process) return process_name(f.culprit.process, width);
  if (f.culprit.remote) return keep_end(util::to_string(f.culprit.remote->addr), width);
  return left(core::to_string(f.culprit.kind), width);
}

std::string when_of(const FindingRow& row, util::BootTime now) {
  if (row.state == FindingRow::State::open) return right(duration(row.duration), 6);
  return right(duration(now - row.finding.time), 6);
}

Line finding_line(const Model& model, const FindingRow& row, std::size_t width) {
  const FindingColumns c{width};
  const core::Finding& f = row.finding;
  const bool open = row.state == FindingRow::State::open;
  const std::string service = f.service ? util::to_string(*f.service) : std::string{"-"};
  std::string text = cell(right("f-" + std::to_string(f.id), 5)) + cell(left(f.slug, c.slug));
  if (c.cause > 0) text += cell(left(f.cause, c.cause));
  text += cell(culprit_of(f, c.culprit)) + cell(keep_end(service, c.service)) + cell(right(bytes(row.count), 4));
  text += when_of(row, model.header.now);
  Line line;
  // What is over says how, and takes no colour.
  if (open)
    line.spans.push_back(severity_span(f.severity));
  else
    line.spans.push_back({row.state == FindingRow::State::event ? "once"
                          : f.ended == core::Ended::forgotten   ? "?   "
                                                                : "over",
                          Style::dim});
  line.spans.push_back({" " + text, open ? Style::plain : Style::dim});
  return line;
}

std::string finding_heading(std::size_t width) {
  const FindingColumns c{width};
  std::string text = cell(right("ID", 5)) + cell(left("FINDING", c.slug));
  if (c.cause > 0) text += cell(left("CAUSE", c.cause));
  return text + cell(left("CULPRIT", c.culprit)) + cell(left("SERVICE", c.service)) + cell(right("N", 4)) +
         right("FOR", 6);
}

// Connections: SEV WHAT FOR PROCESS PORT REMOTE UNREAD UNACK, and where there is room RETRANSMITS and STATE.
struct ConnectionColumns {
  explicit ConnectionColumns(std::size_t width) {
    Room room{width};
    remote = room.take(15, 21, 11);
    owner = room.take(13, 22, 9);
    what = room.take(20, 28, 10);
    state = room.add(12);
    retransmits = room.add(5);
    local = room.add(21);
  }
  std::size_t what, owner, remote, state, retransmits, local;
};

Line connection_line(const Model& model, const ConnectionRow& row, std::size_t width) {
  const ConnectionColumns c{width};
  std::string text = cell(left(row.what, c.what)) + cell(right(duration(model.header.now - row.since), 6)) +
                     cell(process_name(row.owner, c.owner));
  if (c.local > 0)
    text += cell(keep_end(util::to_string(row.tuple.local), c.local));
  else
    text += cell(right(std::to_string(row.tuple.local.port), 5));
  text += cell(keep_end(util::to_string(row.tuple.remote), c.remote)) + cell(right(bytes(row.unread), 5)) +
          right(bytes(row.unacked), 5);
  if (c.retransmits > 0) text += " " + right(std::to_string(row.retransmits), c.retransmits);
  if (c.state > 0) text += " " + left(abi::to_string(row.state), c.state);
  return {{severity_span(row.severity), {" " + text}}};
}

std::string connection_heading(std::size_t width) {
  const ConnectionColumns c{width};
  std::string text = cell(left("WHAT", c.what)) + cell(right("FOR", 6)) + cell(left("PROCESS", c.owner));
  text += c.local > 0 ? cell(left("LOCAL", c.local)) : cell(right("PORT", 5));
  text += cell(left("REMOTE", c.remote)) + cell(right("UNRD", 5)) + right("UNACK", 5);
  if (c.retransmits > 0) text += " " + right("AGAIN", c.retransmits);
  if (c.state > 0) text += " " + left("STATE", c.state);
  return text;
}

// Listeners: SEV LISTENER PROCESS BAR QUEUE/LIMIT HEAD REFUSED
struct ListenerColumns {
  explicit ListenerColumns(std::size_t width) {
    Room room{width};
    endpoint = room.take(19, 30, 9);
    owner = room.take(17, 24, 9);
    bar = room.take(12, 32, 7);
  }
  std::size_t endpoint, owner, bar;
};

Line listener_line(const ListenerRow& row, std::size_t width) {
  const ListenerColumns c{width};
  const std::string head = row.head_waits ? duration(*row.head_waits) : std::string{"-"};
  // Since listen() nobody has looked at it: then it is in no trouble, and its limit is not known.
  const bool known = row.queue > 0 || row.limit > 0;
  const std::string queue = known ? fmt::format("{}/{}", row.queue, row.limit) : "-";
  const std::string before =
      cell(keep_end(util::to_string(row.endpoint), c.endpoint)) + cell(process_name(row.owner, c.owner));
  const std::string after =
      cell(right(queue, 11)) + cell(right(head, 6)) + right(row.refused > 0 ? bytes(row.refused) : "-", 5);
  return {{severity_span(row.severity),
           {" " + before},
           {bar(row.queue, row.limit, c.bar), style_of(row.severity)},
           {" " + after}}};
}

std::string listener_heading(std::size_t width) {
  const ListenerColumns c{width};
  return cell(left("LISTENER", c.endpoint)) + cell(left("PROCESS", c.owner)) + cell(left("ACCEPT QUEUE", c.bar)) +
         cell(right("OF", 11)) + cell(right("HEAD", 6)) + right("REFSD", 5);
}

// Processes: SEV PID NAME CONN ESTAB CLOSEW CLOSNG OPENG LIST UNREAD UNACK
std::size_t name_width(std::size_t width) { return Room{width}.take(15, 15, 4); }

Line process_line(const ProcessRow& row, std::size_t width) {
  const ProcessUse& use = row.use;
  const auto number = [](std::uint64_t n) { return cell(right(n == 0 ? "-" : std::to_string(n), 6)); };
  std::string text = cell(right(std::to_string(core::plain_pid(use.pid)), 7)) +
                     cell(left(util::printable(use.comm), name_width(width)));
  text += number(use.connections()) + number(use.established) + number(use.close_wait) + number(use.closing) +
          number(use.opening) + cell(right(use.listening == 0 ? "-" : std::to_string(use.listening), 4)) +
          cell(right(use.unread == 0 ? "-" : bytes(use.unread), 5)) +
          right(use.unacked == 0 ? "-" : bytes(use.unacked), 5);
  return {{severity_span(row.severity), {" " + text}}};
}

std::string process_heading(std::size_t width) {
  return cell(right("PID", 7)) + cell(left("NAME", name_width(width))) + cell(right("CONNS", 6)) +
         cell(right("ESTAB", 6)) + cell(right("CLOSEW", 6)) + cell(right("CLOSNG", 6)) + cell(right("OPENNG", 6)) +
         cell(right("LSTN", 4)) + cell(right("UNRD", 5)) + right("UNACK", 5);
}

}  // namespace

Style style_of(Level level) {
  if (!level) return Style::plain;
  switch (*level) {
    case core::Severity::critical:
      return Style::critical;
    case core::Severity::warning:
      return Style::warning;
    case core::Severity::info:
      break;
  }
  return Style::info;
}

Span severity_span(Level level) {
  if (!level) return {"    "};
  switch (*level) {
    case core::Severity::critical:
      return {"CRIT", Style::critical};
    case core::Severity::warning:
      return {"WARN", Style::warning};
    case core::Severity::info:
      break;
  }
  return {"info", Style::info};
}

Line heading_of(Page page, const Model&, const View&, std::size_t width) {
  std::string text;
  switch (page) {
    case Page::connections:
      text = connection_heading(width);
      break;
    case Page::listeners:
      text = listener_heading(width);
      break;
    case Page::processes:
      text = process_heading(width);
      break;
    default:
      text = finding_heading(width);
  }
  return {{{left(cell("SEV ") + text, width), Style::strong}}};
}

Line line_of(Page page, const Model& model, std::size_t row, std::size_t width) {
  switch (page) {
    case Page::connections:
      return connection_line(model, model.connections[row], width);
    case Page::listeners:
      return listener_line(model.listeners[row], width);
    case Page::processes:
      return process_line(model.processes[row], width);
    default:
      return finding_line(model, model.findings[row], width);
  }
}

std::string nothing_on(Page page, const Model& model, const View& view) {
  if (!view.filter.empty()) return "nothing has \"" + view.filter + "\" in it (Esc takes the filter away)";
  switch (page) {
    case Page::connections:
      return "no connection is in trouble";
    case Page::listeners:
      return "no process listens";
    case Page::processes:
      if (model.all_processes) return "no process holds a TCP socket";
      return view.from_file ? "nothing is in trouble: a recording does not tell of healthy connections"
                            : "not counted yet";
    default:
      break;
  }
  const bool hidden = std::any_of(model.findings.begin(), model.findings.end(),
                                  [](const FindingRow& r) { return r.finding.severity == core::Severity::info; });
  return hidden && !view.show_info ? "no finding above info (i shows those, too)" : "no finding";
}

}  // namespace tcpwhy::top
