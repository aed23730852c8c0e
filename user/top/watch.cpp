// SPDX-License-Identifier: GPL-2.0-only
#include "user/top/watch.h"

#include <algorithm>

#include "user/core/host.h"
#include "user/core/ledger.h"
#include "user/core/silence.h"

namespace tcpwhy::top {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostEvents = 20000;     // of either kind; about 10 MiB
constexpr std::size_t kMostFindings = 2000;    // of those that are over
constexpr std::size_t kMostConnections = 500;  // rows
constexpr auto kKeepFor = 10min;
constexpr auto kRateEach = 900ms;

bool same_pair(const core::ConnectionView& c, const abi::Tuple& t) {
  return (c.local == t.local && c.remote == t.remote) || (c.local == t.remote && c.remote == t.local);
}

bool same_pair(const abi::Tuple& a, const abi::Tuple& b) {
  return (a.local == b.local && a.remote == b.remote) || (a.local == b.remote && a.remote == b.local);
}

bool is_about(const core::Finding& f, const abi::Tuple& tuple) {
  return (f.connection && same_pair(*f.connection, tuple)) ||
         std::any_of(f.examples.begin(), f.examples.end(), [&](const auto& c) { return same_pair(c, tuple); });
}

// Events that make no line of a ladder, and the clock.
bool is_step(const abi::Event& event) {
  return !std::holds_alternative<abi::Tick>(event.body) && !std::holds_alternative<abi::Seed>(event.body) &&
         abi::tuple_of(event).has_value();
}

// What a connection that is in no finding (yet) is silent about, and since when.
std::pair<std::string_view, util::BootTime> silence_of(const core::Connection& c) {
  const core::Silence& s = c.silence;
  if (c.episode) return {"(not acknowledged)", c.episode_start};
  if (s.unread) return {"(unread)", *s.unread};
  if (s.window_shut) return {"(window shut)", *s.window_shut};
  if (s.closing) return {"(closing)", *s.closing};
  if (s.awaiting) return {"(awaits reply)", *s.awaiting};
  if (s.close_wait) return {"(close-wait)", *s.close_wait};
  return {"", c.first_seen};
}

ConnectionRow row_of(const core::Connection& c) {
  ConnectionRow row;
  row.number = c.number;
  row.tuple = c.tuple;
  row.role = c.role;
  row.state = c.state;
  row.owner = c.owner();
  std::tie(row.what, row.since) = silence_of(c);
  row.unread = core::unread_data(c.socket);
  row.unacked = c.socket.full && c.state != abi::TcpState::syn_sent ? c.socket.unacked() : 0;
  row.retransmits = std::max(c.socket.total_retrans, c.syn_retransmits);
  return row;
}

bool is_worse(const ConnectionRow& a, const ConnectionRow& b) {
  if (a.severity != b.severity) return a.severity > b.severity;
  if (a.since != b.since) return a.since < b.since;
  return a.number < b.number;
}

void count(ProcessUse& use, const core::Connection& c) {
  switch (c.state) {
    case abi::TcpState::syn_sent:
    case abi::TcpState::syn_recv:
      use.opening += 1;
      break;
    case abi::TcpState::close_wait:
      use.close_wait += 1;
      break;
    case abi::TcpState::fin_wait1:
    case abi::TcpState::fin_wait2:
    case abi::TcpState::closing:
    case abi::TcpState::last_ack:
      use.closing += 1;
      break;
    default:
      use.established += 1;
  }
  use.unread += core::unread_data(c.socket);
  use.unacked += c.socket.full ? c.socket.unacked() : 0;
}

void note(std::map<std::uint64_t, std::pair<core::Severity, std::uint64_t>>& worst, std::uint64_t key,
          const core::Finding& f) {
  const auto [it, is_new] = worst.try_emplace(key, f.severity, f.id);
  if (!is_new && f.severity > it->second.first) it->second = {f.severity, f.id};
}

}  // namespace

void Watch::on(const std::vector<core::Finding>& findings) {
  for (const core::Finding& f : findings) {
    const auto [it, is_new] = findings_.try_emplace(f.id);
    FindingRow& row = it->second;
    if (is_new) opened_[static_cast<std::size_t>(f.severity)] += 1;
    const bool was_event = !is_new && row.state == FindingRow::State::event;
    row.finding = f;
    // Open when the run ended: nobody saw it end.
    const bool ended = f.phase == core::Phase::closed && f.ended != core::Ended::trace_end;
    row.state = ended                                        ? FindingRow::State::ended
                : f.phase == core::Phase::event || was_event ? FindingRow::State::event
                                                             : FindingRow::State::open;
  }
}

std::uint64_t Watch::opened(core::Severity least) const {
  std::uint64_t sum = 0;
  for (std::size_t s = static_cast<std::size_t>(least); s < opened_.size(); ++s) sum += opened_[s];
  return sum;
}

void Watch::on(const abi::Event& event) {
  if (!is_step(event)) return;
  event_count_ += 1;
  std::deque<abi::Event>& kept = std::holds_alternative<abi::Transition>(event.body) ? ordinary_ : events_;
  kept.push_back(event);
  if (kept.size() > kMostEvents) kept.pop_front();
}

void Watch::count(Census census, util::BootTime now) {
  census_ = std::move(census);
  counted_ = now;
}

// What is over goes after a while; what is open never does.
void Watch::forget_old(util::BootTime now) {
  std::size_t over = 0;
  for (const auto& [id, row] : findings_) over += row.state != FindingRow::State::open ? 1 : 0;
  for (auto it = findings_.begin(); it != findings_.end();) {
    const bool is_over = it->second.state != FindingRow::State::open;
    const bool goes = is_over && (over > kMostFindings || now - it->second.finding.time > kKeepFor);
    over -= goes ? 1 : 0;
    it = goes ? findings_.erase(it) : std::next(it);
  }
}

void Watch::rates(Header& header, const Gauges& gauges) {
  const util::Duration gone = header.now - rated_;
  if (rated_ == util::BootTime{} || gone >= kRateEach) {
    const double seconds = std::chrono::duration<double>(gone).count();
    const std::uint64_t seen = gauges.connections_seen.value_or(0);
    if (rated_ != util::BootTime{}) {
      events_rate_ = static_cast<double>(event_count_ - rated_events_) / seconds;
      if (gauges.connections_seen) connections_rate_ = static_cast<double>(seen - rated_connections_) / seconds;
    }
    rated_ = header.now;
    rated_events_ = event_count_;
    rated_connections_ = seen;
  }
  header.events_per_second = events_rate_;
  header.connections_per_second = connections_rate_;
}

void Watch::fill_header(Model& model, const core::Pipeline& pipeline, const Gauges& gauges) {
  const core::Facts& facts = pipeline.facts();
  Header& h = model.header;
  h.host = run_.host;
  for (const core::RunIdentity::Other& other : run_.others) h.host += ", " + other.host;
  h.wall = run_.wall;
  h.now = facts.now();
  if (started_ == util::BootTime{}) started_ = h.now;
  h.watched = h.now - started_;
  if (counted_) {
    h.connections = census_.connections;
    h.processes = census_.processes.size();
    h.counted = *counted_;
  }
  h.lost = pipeline.losses().events();
  h.sweep_share = gauges.sweep_share;
  h.sweep_interval = facts.sweep_interval(0);
  rates(h, gauges);
  for (const auto& [id, row] : findings_) {
    if (row.state != FindingRow::State::open) continue;
    (row.finding.severity == core::Severity::critical  ? h.open_critical
     : row.finding.severity == core::Severity::warning ? h.open_warning
                                                       : h.open_info) += 1;
  }
}

void Watch::fill_findings(Model& model, const std::map<std::uint64_t, std::uint64_t>& counts,
                          util::BootTime now) const {
  model.findings.reserve(findings_.size());
  for (const auto& [id, known] : findings_) {
    FindingRow& row = model.findings.emplace_back(known);
    const auto counted = counts.find(id);
    row.count = counted != counts.end() ? counted->second : row.finding.count;
    row.duration = row.state == FindingRow::State::open ? now - row.finding.since : row.finding.duration;
  }
}

// Those of open findings, and those that are stuck, below every threshold yet.
void Watch::fill_connections(Model& model, const core::Facts& facts, const std::vector<core::OpenCase>& cases) {
  std::map<abi::SocketId, ConnectionRow> rows;
  for (const core::OpenCase& open : cases) {
    const core::Connection* c = facts.connection(open.subject.connection);
    if (!c) continue;
    const auto [it, is_new] = rows.try_emplace(c->key);
    ConnectionRow& row = it->second;
    if (is_new) row = row_of(*c);
    if (!is_new && row.severity >= Level{open.severity}) continue;
    row.severity = open.severity;
    row.what = open.slug;
    row.finding = open.finding;
    row.since = open.since;
  }
  for (const abi::SocketId key : facts.stuck())
    // One that only rests is in no trouble, until half-open-risk says so.
    if (const core::Connection* c = facts.connection(key);
        c && !rows.contains(key) && !c->ending && !silence_of(*c).first.empty())
      rows.try_emplace(key, row_of(*c));
  model.header.in_trouble = rows.size();
  for (auto& [key, row] : rows) model.connections.push_back(std::move(row));
  const std::size_t kept = std::min(kMostConnections, model.connections.size());
  std::partial_sort(model.connections.begin(), model.connections.begin() + static_cast<std::ptrdiff_t>(kept),
                    model.connections.end(), is_worse);
  model.connections_left_out = model.connections.size() - kept;
  model.connections.resize(kept);
  unread_.begin_round();
  unacked_.begin_round();
  for (ConnectionRow& row : model.connections) {
    row.unread_order = unread_.value(row.number, row.unread);
    row.unacked_order = unacked_.value(row.number, row.unacked);
  }
}

void Watch::fill_listeners(Model& model, const core::Facts& facts) const {
  Worst worst;
  for (const auto& [id, row] : findings_) {
    const core::Finding& f = row.finding;
    if (row.state != FindingRow::State::open || !f.listener) continue;
    const core::Listener* l = facts.listener_at(f.listener->endpoint, f.listener->netns);
    if (l) note(worst, static_cast<std::uint64_t>(l->id), f);
  }
  facts.listeners().for_each([&](const core::Listener& l) {
    if (l.ended) return;
    ListenerRow& row = model.listeners.emplace_back();
    row.id = static_cast<std::uint64_t>(l.id);
    row.endpoint = l.tuple.local;
    row.netns = l.tuple.netns;
    if (!l.owners.empty()) row.owner = l.owners.front();
    row.owners = l.owners.size();
    row.queue = l.queue;
    row.limit = l.limit;
    if (l.queue > 0) row.head_waits = l.head_age;
    if (l.first_refusal) row.refused = l.refused();
    if (const auto it = worst.find(row.id); it != worst.end())
      row.severity = it->second.first, row.finding = it->second.second;
  });
  model.header.listeners = model.listeners.size();
}

void Watch::fill_processes(Model& model, const core::Facts& facts) {
  std::vector<ProcessUse> uses = census_.processes;
  model.all_processes = counted_.has_value();
  if (!counted_) {
    std::map<std::uint32_t, ProcessUse> by_pid;
    for (const ConnectionRow& row : model.connections) {
      const core::Connection* c = facts.connection_at(row.tuple);
      if (!c || c->owners.empty()) continue;
      const core::Process& owner = c->owners.front();
      ProcessUse& use = by_pid[owner.pid];
      use.pid = owner.pid, use.comm = owner.comm, use.start = owner.start;
      top::count(use, *c);
    }
    for (const ListenerRow& row : model.listeners) {
      if (!row.owner) continue;
      ProcessUse& use = by_pid[row.owner->pid];
      use.pid = row.owner->pid, use.comm = row.owner->comm, use.start = row.owner->start;
      use.listening += 1;
    }
    for (auto& [pid, use] : by_pid) uses.push_back(std::move(use));
  }
  Worst worst;
  for (const auto& [id, row] : findings_) {
    if (row.state != FindingRow::State::open || !row.finding.culprit.process) continue;
    note(worst, row.finding.culprit.process->pid, row.finding);
  }
  process_connections_.begin_round();
  process_held_.begin_round();
  for (ProcessUse& use : uses) {
    ProcessRow& row = model.processes.emplace_back();
    row.connections_order = process_connections_.value(use.pid, use.connections());
    row.held_order = process_held_.value(use.pid, use.unread + use.unacked);
    if (const auto it = worst.find(use.pid); it != worst.end())
      row.severity = it->second.first, row.finding = it->second.second;
    row.use = std::move(use);
  }
}

Model Watch::look(const core::Pipeline& pipeline, const Gauges& gauges) {
  const core::Facts& facts = pipeline.facts();
  Model model;
  model.boot_id = run_.boot_id.substr(0, 8);
  forget_old(facts.now());
  fill_header(model, pipeline, gauges);
  const std::vector<core::OpenCase> cases = pipeline.open_cases();
  std::map<std::uint64_t, std::uint64_t> counts;
  for (const core::OpenCase& open : cases) counts[open.finding] += 1;
  fill_findings(model, counts, facts.now());
  fill_connections(model, facts, cases);
  fill_listeners(model, facts);
  fill_processes(model, facts);
  return model;
}

Ladder Watch::ladder_of(const abi::Tuple& tuple, const core::KernelNames& names) const {
  Ladder ladder;
  ladder.client = tuple.local;
  ladder.server = tuple.remote;
  std::vector<const abi::Event*> steps;
  core::Ledger ledger;
  for (const std::deque<abi::Event>* kept : {&ordinary_, &events_})
    for (const abi::Event& event : *kept)
      if (const auto of = abi::tuple_of(event); of && same_pair(*of, tuple)) steps.push_back(&event);
  std::stable_sort(steps.begin(), steps.end(),
                   [](const abi::Event* a, const abi::Event* b) { return a->time < b->time; });
  for (const abi::Event* event : steps) ledger.on(*event);
  for (const core::LedgerRow& row : ledger.rows()) {
    ladder.client = row.client;
    ladder.server = row.server;
    ladder.client_owner = row.client_end.owner;
    ladder.server_owner = row.server_end.owner;
    for (const abi::Event* event : steps) {
      const auto step = core::ladder_step(*event, row, names);
      if (step && !step->text.empty())
        ladder.lines.push_back(
            {event->time, step->at_client ? LadderLine::At::client : LadderLine::At::server, step->text, std::nullopt});
    }
  }
  for (const auto& [id, row] : findings_) {
    const core::Finding& f = row.finding;
    if (!is_about(f, tuple)) continue;
    ladder.lines.push_back({f.time, LadderLine::At::finding,
                            "f-" + std::to_string(f.id) + " " + std::string{f.slug} + " (" + std::string{f.cause} +
                                "), " + std::string{core::to_string(f.phase)} + ": " + f.words.summary,
                            f.severity});
  }
  std::stable_sort(ladder.lines.begin(), ladder.lines.end(),
                   [](const LadderLine& a, const LadderLine& b) { return a.time < b.time; });
  return ladder;
}

}  // namespace tcpwhy::top
