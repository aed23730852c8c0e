// SPDX-License-Identifier: GPL-2.0-only
#include "user/top/view.h"

#include <algorithm>
#include <cctype>
#include <tuple>

#include "user/core/host.h"

namespace tcpwhy::top {
namespace {

std::size_t index(Page page) { return static_cast<std::size_t>(page); }

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string text_of(const std::optional<core::Process>& process) { return process ? core::name_of(*process) : ""; }
std::string text_of(Level level) { return level ? std::string{core::to_string(*level)} : ""; }

// What the filter looks at.
std::string text_of(const FindingRow& row) {
  const core::Finding& f = row.finding;
  std::string text = std::string{f.slug} + " " + std::string{f.cause} + " " + text_of(Level{f.severity}) + " f-" +
                     std::to_string(f.id) + " " + text_of(f.culprit.process) + " " + text_of(f.owner) + " " +
                     f.words.summary;
  if (f.service) text += " " + util::to_string(*f.service);
  if (f.culprit.remote) text += " " + util::to_string(*f.culprit.remote);
  return text;
}
std::string text_of(const ConnectionRow& row) {
  return std::string{row.what} + " " + text_of(row.owner) + " " + util::to_string(row.tuple.local) + " " +
         util::to_string(row.tuple.remote) + " " + std::string{abi::to_string(row.state)} + " " + text_of(row.severity);
}
std::string text_of(const ListenerRow& row) {
  return util::to_string(row.endpoint) + " " + text_of(row.owner) + " " + text_of(row.severity);
}
std::string text_of(const ProcessRow& row) {
  return row.use.comm + "[" + std::to_string(core::plain_pid(row.use.pid)) + "] " + text_of(row.severity);
}

template <typename Row, typename Passes>
std::vector<std::size_t> passing(const std::vector<Row>& rows, const std::string& filter, Passes passes) {
  const std::string wanted = lower(filter);
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (passes(rows[i]) && (wanted.empty() || lower(text_of(rows[i])).find(wanted) != std::string::npos))
      out.push_back(i);
  return out;
}
template <typename Row>
std::vector<std::size_t> passing(const std::vector<Row>& rows, const std::string& filter) {
  return passing(rows, filter, [](const Row&) { return true; });
}

// By a key that no two rows share: its last part is the row's id.
template <typename Row, typename KeyOf>
void sort_by(std::vector<std::size_t>& shown, const std::vector<Row>& rows, KeyOf key_of) {
  std::sort(shown.begin(), shown.end(),
            [&](std::size_t a, std::size_t b) { return key_of(rows[a]) < key_of(rows[b]); });
}

// Descending, for keys that are compared upwards.
std::uint64_t most_first(std::uint64_t value) { return ~value; }
int worst_first(Level level) { return level ? -1 - static_cast<int>(*level) : 0; }
std::int64_t ns(util::BootTime time) { return time.time_since_epoch().count(); }

std::vector<std::size_t> findings_of(const Model& model, const View& view) {
  auto shown = passing(model.findings, view.filter, [&](const FindingRow& row) {
    return view.show_info || row.finding.severity > core::Severity::info;
  });
  const auto is_open = [](const FindingRow& r) { return r.state == FindingRow::State::open; };
  const auto& rows = model.findings;
  switch (view.order[index(Page::findings)]) {
    case 0:  // open ones by severity; below them, what is over, the newest first
      sort_by(shown, rows, [&](const FindingRow& r) {
        const core::Finding& f = r.finding;
        return is_open(r) ? std::tuple{0, worst_first(f.severity), ns(f.since), std::int64_t(f.id)}
                          : std::tuple{1, 0, -ns(f.time), std::int64_t(f.id)};
      });
      break;
    case 1:  // the newest first
      sort_by(shown, rows, [](const FindingRow& r) { return std::tuple{most_first(r.finding.id)}; });
      break;
    default:
      sort_by(shown, rows, [&](const FindingRow& r) {
        return std::tuple{is_open(r) ? 0 : 1, most_first(r.count), r.finding.id};
      });
  }
  return shown;
}

std::vector<std::size_t> connections_of(const Model& model, const View& view) {
  auto shown = passing(model.connections, view.filter);
  const auto& rows = model.connections;
  using Row = ConnectionRow;
  switch (view.order[index(Page::connections)]) {
    case 0:
      sort_by(shown, rows, [](const Row& r) { return std::tuple{worst_first(r.severity), ns(r.since), r.number}; });
      break;
    case 1:
      sort_by(shown, rows, [](const Row& r) { return std::tuple{most_first(r.unread_order), r.number}; });
      break;
    case 2:
      sort_by(shown, rows, [](const Row& r) { return std::tuple{most_first(r.unacked_order), r.number}; });
      break;
    case 3:
      sort_by(shown, rows, [](const Row& r) { return std::tuple{most_first(r.retransmits), r.number}; });
      break;
    default:
      sort_by(shown, rows, [](const Row& r) { return std::tuple{ns(r.since), r.number}; });
  }
  return shown;
}

std::vector<std::size_t> listeners_of(const Model& model, const View& view) {
  auto shown = passing(model.listeners, view.filter);
  const auto& rows = model.listeners;
  using Row = ListenerRow;
  // In tenths of its limit: a queue that breathes does not make its row jump.
  const auto fullness = [](const Row& r) { return std::uint64_t{r.queue} * 10 / (std::uint64_t{r.limit} + 1); };
  switch (view.order[index(Page::listeners)]) {
    case 0:
      sort_by(shown, rows, [&](const Row& r) {
        return std::tuple{worst_first(r.severity), most_first(fullness(r)), r.endpoint.port, r.id};
      });
      break;
    case 1:
      sort_by(shown, rows, [](const Row& r) { return std::tuple{r.endpoint.port, r.id}; });
      break;
    default:
      sort_by(shown, rows, [](const Row& r) {
        return std::tuple{r.owner ? r.owner->comm : std::string{"~"}, r.owner ? r.owner->pid : 0, r.id};
      });
  }
  return shown;
}

std::vector<std::size_t> processes_of(const Model& model, const View& view) {
  auto shown = passing(model.processes, view.filter);
  const auto& rows = model.processes;
  using Row = ProcessRow;
  switch (view.order[index(Page::processes)]) {
    case 0:
      sort_by(shown, rows, [](const Row& r) {
        return std::tuple{worst_first(r.severity), most_first(r.connections_order), r.use.pid};
      });
      break;
    case 1:
      sort_by(shown, rows, [](const Row& r) { return std::tuple{most_first(r.connections_order), r.use.pid}; });
      break;
    case 2:
      sort_by(shown, rows, [](const Row& r) { return std::tuple{most_first(r.held_order), r.use.pid}; });
      break;
    case 3:
      sort_by(shown, rows, [](const Row& r) { return std::tuple{most_first(r.use.close_wait), r.use.pid}; });
      break;
    default:
      sort_by(shown, rows, [](const Row& r) { return std::tuple{r.use.comm, r.use.pid}; });
  }
  return shown;
}

void move(View& view, const Model& model, Key::Kind kind, std::size_t step) {
  const std::vector<std::size_t> rows = rows_of(view.page, model, view);
  if (rows.empty()) return;
  std::size_t at = place_of(view.page, model, view, rows);
  const std::size_t last = rows.size() - 1;
  switch (kind) {
    case Key::Kind::up:
      at -= std::min<std::size_t>(at, 1);
      break;
    case Key::Kind::down:
      at = std::min(at + 1, last);
      break;
    case Key::Kind::page_up:
      at -= std::min(at, step);
      break;
    case Key::Kind::page_down:
      at = std::min(at + step, last);
      break;
    case Key::Kind::home:
      at = 0;
      break;
    default:
      at = last;
  }
  view.chosen[index(view.page)] = id_of(view.page, model, rows[at]);
}

void open_sheet(View& view, Sheet sheet) {
  view.sheet = sheet;
  view.scroll = 0;
}

// An explanation goes back to its finding.
void close_sheet(View& view) { open_sheet(view, view.sheet == Sheet::explain ? Sheet::finding : Sheet::none); }

void open_finding(View& view, const Model& model, std::uint64_t id) {
  const bool known = std::any_of(model.findings.begin(), model.findings.end(),
                                 [id](const FindingRow& r) { return r.finding.id == id; });
  if (!known) return;
  view.finding = id;
  open_sheet(view, Sheet::finding);
}

void open_ladder(View& view, const abi::Tuple& tuple) {
  view.connection = tuple;
  open_sheet(view, Sheet::ladder);
}

// What the selected row is about.
void open_row(View& view, const Model& model) {
  const std::vector<std::size_t> rows = rows_of(view.page, model, view);
  if (rows.empty()) return;
  const std::size_t row = rows[place_of(view.page, model, view, rows)];
  view.chosen[index(view.page)] = id_of(view.page, model, row);
  switch (view.page) {
    case Page::overview:
    case Page::findings:
      open_finding(view, model, model.findings[row].finding.id);
      break;
    case Page::connections:
      open_ladder(view, model.connections[row].tuple);
      break;
    case Page::listeners:
      if (model.listeners[row].finding != 0)
        open_finding(view, model, model.listeners[row].finding);
      else
        view.note = "this listener is in no open finding";
      break;
    case Page::processes:
      if (model.processes[row].finding != 0)
        open_finding(view, model, model.processes[row].finding);
      else
        view.note = "this process is the culprit of no open finding";
      break;
  }
}

// The ladder of the connection that the finding tells of.
void open_ladder_of_finding(View& view, const Model& model) {
  for (const FindingRow& row : model.findings) {
    if (row.finding.id != view.finding) continue;
    if (!row.finding.connection) {
      view.note = "this finding is about a listener: its connections are on page 3";
      return;
    }
    const core::ConnectionView& c = *row.finding.connection;
    return open_ladder(view, {c.local, c.remote, c.netns});
  }
}

void type(View& view, Key key) {
  switch (key.kind) {
    case Key::Kind::enter:
      view.typing = false;
      break;
    case Key::Kind::escape:
      view.typing = false;
      view.filter.clear();
      break;
    case Key::Kind::backspace:
      if (!view.filter.empty()) view.filter.pop_back();
      break;
    case Key::Kind::character:
      if (view.filter.size() < 64) view.filter += key.character;
      break;
    default:
      break;
  }
}

// Keys that scroll a sheet or close it; false where it is another.
bool press_sheet(View& view, const Model& model, Key key, std::size_t step) {
  using Kind = Key::Kind;
  switch (key.kind) {
    case Kind::up:
      view.scroll -= std::min<std::size_t>(view.scroll, 1);
      return true;
    case Kind::down:
      view.scroll += 1;
      return true;
    case Kind::page_up:
      view.scroll -= std::min(view.scroll, step);
      return true;
    case Kind::page_down:
      view.scroll += step;
      return true;
    case Kind::home:
      view.scroll = 0;
      return true;
    case Kind::end:
      view.scroll = static_cast<std::size_t>(-1) / 2;  // the layout takes it back to the last
      return true;
    case Kind::escape:
    case Kind::backspace:
      close_sheet(view);
      return true;
    case Kind::enter:
      if (view.sheet == Sheet::finding)
        open_ladder_of_finding(view, model);
      else
        close_sheet(view);
      return true;
    default:
      break;
  }
  if (key.kind != Kind::character) return false;
  if (key.character == 'l' && view.sheet == Sheet::finding) return open_ladder_of_finding(view, model), true;
  if (key.character == 'e' && view.sheet == Sheet::finding) return open_sheet(view, Sheet::explain), true;
  if (key.character == 'q') return close_sheet(view), true;
  return false;
}

Wish press_character(View& view, char c) {
  switch (c) {
    case 'q':
      return Wish::quit;
    case 's':
      return Wish::save;
    case ' ':
    case 'p':
      return Wish::pause;
    case 'n':
      return view.from_file ? Wish::seek : Wish::none;
    case '+':
    case '=':
      return view.from_file ? Wish::faster : Wish::none;
    case '-':
      return view.from_file ? Wish::slower : Wish::none;
    case '/':
      view.typing = true;
      view.sheet = Sheet::none;
      break;
    case 'i':
      view.show_info = !view.show_info;
      break;
    case '?':
    case 'h':
      open_sheet(view, Sheet::help);
      break;
    case 'o': {
      const Page page = view.page == Page::overview ? Page::findings : view.page;
      std::size_t& order = view.order[index(page)];
      order = (order + 1) % orders_of(page).size();
      view.note = "ordered by " + std::string{orders_of(page)[order]};
      break;
    }
    default:
      if (c >= '1' && c <= '5') {
        view.page = static_cast<Page>(c - '1');
        view.sheet = Sheet::none;
      }
  }
  return Wish::none;
}

}  // namespace

const std::vector<std::string_view>& orders_of(Page page) {
  static const std::array<std::vector<std::string_view>, kPages> kOrders{{
      {"severity, then since when"},
      {"severity, then since when", "the newest first", "connections in it"},
      {"severity, then since when", "unread bytes", "unacknowledged bytes", "retransmissions", "since when"},
      {"severity, then how full", "port", "process"},
      {"severity, then connections", "connections", "bytes held", "close-wait", "name"},
  }};
  return kOrders[index(page)];
}

std::vector<std::size_t> rows_of(Page page, const Model& model, const View& view) {
  switch (page) {
    case Page::connections:
      return connections_of(model, view);
    case Page::listeners:
      return listeners_of(model, view);
    case Page::processes:
      return processes_of(model, view);
    default:
      return findings_of(model, view);
  }
}

std::uint64_t id_of(Page page, const Model& model, std::size_t row) {
  switch (page) {
    case Page::connections:
      return model.connections[row].number;
    case Page::listeners:
      return model.listeners[row].id;
    case Page::processes:
      return model.processes[row].use.pid;
    default:
      return model.findings[row].finding.id;
  }
}

std::size_t place_of(Page page, const Model& model, const View& view, const std::vector<std::size_t>& rows) {
  const std::uint64_t chosen = view.chosen[index(page)];
  const auto it =
      std::find_if(rows.begin(), rows.end(), [&](std::size_t row) { return id_of(page, model, row) == chosen; });
  return it == rows.end() ? 0 : static_cast<std::size_t>(it - rows.begin());
}

Wish press(View& view, const Model& model, Key key, std::size_t rows_on_screen) {
  using Kind = Key::Kind;
  view.note.clear();
  if (view.typing) {
    type(view, key);
    return Wish::none;
  }
  const std::size_t step = std::max<std::size_t>(1, rows_on_screen);
  if (view.sheet != Sheet::none && press_sheet(view, model, key, step)) return Wish::none;
  switch (key.kind) {
    case Kind::character:
      return press_character(view, key.character);
    case Kind::tab:
    case Kind::back_tab: {
      const std::size_t by = key.kind == Kind::tab ? 1 : kPages - 1;
      view.page = static_cast<Page>((index(view.page) + by) % kPages);
      view.sheet = Sheet::none;
      break;
    }
    case Kind::enter:
      open_row(view, model);
      break;
    case Kind::escape:
      view.filter.clear();
      break;
    case Kind::backspace:
      break;
    default:
      move(view, model, key.kind, step);
  }
  return Wish::none;
}

}  // namespace tcpwhy::top
