// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/connections.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "user/core/host.h"
#include "user/util/printable.h"

namespace tcpwhy::cli {
namespace {

using core::LedgerEnd;
using core::LedgerRow;

std::string owner_of(const LedgerEnd& end, const core::RunIdentity& run) {
  if (end.owner) return core::name_of(*end.owner);
  return end.seen && run.several() ? "- on " + run.host_name(end.host) : "-";
}

// Of the end that was seen, the client's before the server's.
std::uint32_t host_of(const LedgerRow& row) { return row.client_end.seen ? row.client_end.host : row.server_end.host; }

std::string id_of(const LedgerRow& row, const core::RunIdentity& run) {
  return row.number ? fmt::format("{}-{}", run.boot_id_of(row.number_host).substr(0, 8), row.number)
                    : util::to_string(row.client);
}

std::uint64_t bytes_of(const LedgerRow& row) { return row.client_end.bytes_sent() + row.server_end.bytes_sent(); }
std::uint32_t retransmits_of(const LedgerRow& row) { return row.client_end.retransmits + row.server_end.retransmits; }

bool passes(const LedgerRow& row, const core::Filter& filter) {
  if (filter.empty()) return true;
  core::Finding stand_in;
  const auto view = [](const util::Endpoint& local, const util::Endpoint& remote, const LedgerEnd& end) {
    return core::ConnectionView{
        .local = local, .remote = remote, .netns = end.netns, .host = end.host, .cgroup_id = end.cgroup_id};
  };
  stand_in.connection = view(row.client, row.server, row.client_end);
  stand_in.owner = row.client_end.owner;
  stand_in.peer = core::PeerView{view(row.server, row.client, row.server_end), row.server_end.owner};
  return filter.passes(stand_in);
}

std::string_view state_of(const LedgerRow& row) {
  const LedgerEnd& end = row.client_end.seen ? row.client_end : row.server_end;
  return abi::to_string(end.state);
}

nlohmann::ordered_json json_of(const LedgerRow& row, const core::RunIdentity& run) {
  const auto end = [&run](const util::Endpoint& at, const LedgerEnd& e) {
    nlohmann::ordered_json json = {{"addr", util::to_string(at.addr)}, {"port", at.port}};
    if (e.owner) json["process"] = {{"pid", core::plain_pid(e.owner->pid)}, {"comm", e.owner->comm}};
    if (e.seen && run.several()) json["host"] = run.host_name(e.host);
    if (e.seen) json["state"] = abi::to_string(e.state);
    json["bytes_sent"] = e.bytes_sent();
    json["retransmits"] = e.retransmits;
    if (e.err) json["error"] = e.err;
    return json;
  };
  nlohmann::ordered_json json = {
      {"schema", "tcpwhy.connection/1"},           {"id", id_of(row, run)},
      {"host", run.host_name(host_of(row))},       {"first", util::rfc3339(row.first, run.wall)},
      {"last", util::rfc3339(row.last, run.wall)}, {"client", end(row.client, row.client_end)},
      {"server", end(row.server, row.server_end)}, {"events", row.events}};
  if (row.worst) json["worst"] = core::to_string(*row.worst), json["finding"] = row.slug;
  return json;
}

}  // namespace

std::vector<const LedgerRow*> rows_of(const core::Ledger& ledger, const ReportOptions& options, util::BootTime since) {
  std::vector<const LedgerRow*> rows;
  for (const LedgerRow& row : ledger.rows())
    if (row.last >= since && passes(row, options.filter)) rows.push_back(&row);
  const auto by = [&](auto key) {
    std::stable_sort(rows.begin(), rows.end(),
                     [key](const LedgerRow* a, const LedgerRow* b) { return key(*a) > key(*b); });
  };
  // Rows are in the order of their begin.
  if (options.sort == "duration") by([](const LedgerRow& r) { return r.last - r.first; });
  if (options.sort == "bytes") by(bytes_of);
  if (options.sort == "retransmits") by(retransmits_of);
  if (options.sort == "worst")
    by([](const LedgerRow& r) { return std::pair{r.worst ? static_cast<int>(*r.worst) + 1 : 0, retransmits_of(r)}; });
  return rows;
}

void print_table(std::ostream& out, const core::Ledger& ledger, const ReportOptions& options,
                 const core::RunIdentity& run, util::BootTime since) {
  const auto rows = rows_of(ledger, options, since);
  if (options.format == Format::json) {
    for (const LedgerRow* row : rows)
      out << json_of(*row, run).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
    return;
  }
  const int who = run.several() ? 34 : 22;
  out << fmt::format("{:<13} {:<44} {:<{}} {:<{}} {:>9} {:>10} {:>10} {:>6} {:<12} {}\n", "began", "client -> server",
                     "client's process", who, "server's process", who, "lasted", "sent", "received", "again", "state",
                     "worst finding");
  for (const LedgerRow* row : rows)
    out << fmt::format(
        "{:<13} {:<44} {:<{}} {:<{}} {:>9} {:>10} {:>10} {:>6} {:<12} {}\n", util::clock_time(row->first, run.wall),
        util::to_string(row->client) + " -> " + util::to_string(row->server),
        util::printable(owner_of(row->client_end, run)), who, util::printable(owner_of(row->server_end, run)), who,
        util::human(row->last - row->first), row->client_end.bytes_sent(), row->server_end.bytes_sent(),
        retransmits_of(*row), state_of(*row),
        row->worst ? fmt::format("{} {} ({})", core::to_string(*row->worst), row->slug, id_of(*row, run)) : "");
  out << fmt::format("{} connections", rows.size());
  if (ledger.left_out() > 0) out << fmt::format("; {} more did not fit", ledger.left_out());
  out << '\n';
}

util::Result<const LedgerRow*> named_connection(const core::Ledger& ledger, const std::string& word) {
  const LedgerRow* row = nullptr;
  if (const auto endpoint = util::parse_endpoint(word)) {
    const auto served = std::count_if(ledger.rows().begin(), ledger.rows().end(),
                                      [&](const LedgerRow& r) { return r.server == *endpoint; });
    row = ledger.find(*endpoint);
    if (row && row->client != *endpoint && served > 1)
      return util::Error{fmt::format("{} connections have {} as their server's end", served, word), 0,
                         "name the client's end; --connections lists them"};
  } else {
    // "4dcd4061-12": eight of the boot id, a dash, the number. "f-2" is a finding.
    std::uint64_t number = 0;
    const bool shaped = word.size() > 9 && word[8] == '-';
    const char* const end = word.data() + word.size();
    if (!shaped || std::from_chars(word.data() + 9, end, number).ptr != end)
      return util::Error{fmt::format("'{}' names no connection", word), 0,
                         "write the id of a finding's connection (4dcd4061-12), or ADDRESS:PORT of its client"};
    row = ledger.find(number);
  }
  if (row) return row;
  return util::Error{fmt::format("no connection {} is in this recording", word), 0,
                     "tcpwhy report FILE --connections lists them; a run of trace keeps only what went wrong"};
}

Ladder::Ladder(std::ostream& out, const LedgerRow& row, const core::KernelNames& names, const core::RunIdentity& run)
    : out_(out), row_(row), names_(names), wall_(run.wall) {
  out_ << fmt::format(
      "connection {}\n{:<13} {:>10}  {:<72} {}\n", id_of(row, run), "time", "since begin",
      fmt::format("client {} {}", util::to_string(row.client), util::printable(owner_of(row.client_end, run))),
      fmt::format("server {} {}", util::to_string(row.server), util::printable(owner_of(row.server_end, run))));
}

void Ladder::line(util::BootTime time, const std::string& at_client, const std::string& at_server) {
  const double since = std::chrono::duration<double>(time - row_.first).count();
  out_ << fmt::format("{:<13} {:>+10.3f}  {:<72}{}{}\n", util::clock_time(time, wall_), since, at_client,
                      at_server.empty() ? "" : " ", at_server);
}

void Ladder::on(const abi::Event& event) {
  const auto step = core::ladder_step(event, row_, names_);
  if (!step || step->text.empty()) return;
  line(event.time, step->at_client ? step->text : "", step->at_client ? "" : step->text);
}

bool Ladder::is_of(const core::Finding& f) const {
  const auto same = [this](const core::ConnectionView& c) {
    return (c.local == row_.client && c.remote == row_.server) || (c.local == row_.server && c.remote == row_.client);
  };
  return (f.connection && same(*f.connection)) || std::any_of(f.examples.begin(), f.examples.end(), same);
}

void Ladder::on(const std::vector<core::Finding>& findings) {
  for (const core::Finding& f : findings) {
    if (!is_of(f)) continue;
    out_ << fmt::format("{:<13} {:>+10.3f}  == {} {} ({}), {}: {}\n", util::clock_time(f.time, wall_),
                        std::chrono::duration<double>(f.time - row_.first).count(), core::to_string(f.severity), f.slug,
                        f.cause, core::to_string(f.phase), util::printable(f.words.summary));
  }
}

}  // namespace tcpwhy::cli
