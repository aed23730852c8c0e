// SPDX-License-Identifier: GPL-2.0-only
#include "user/sink/json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>
#include <utility>

#include "user/core/host.h"

namespace tcpwhy::sink {
namespace {

using Json = nlohmann::ordered_json;

void write_line(std::ostream& out, const Json& object) {
  // ASCII only: a process may name itself anything, and the reader's terminal must not act on it.
  constexpr bool kAscii = true;
  out << object.dump(-1, ' ', kAscii, Json::error_handler_t::replace) << '\n' << std::flush;
}

Json exit_json(const core::ProcessExit& exit) {
  return exit.signal != 0 ? Json{{"signal", exit.signal}} : Json{{"code", exit.code}};
}

Json endpoint_json(const util::Endpoint& endpoint) {
  return {{"addr", util::to_string(endpoint.addr)}, {"port", endpoint.port}};
}

void put_text(Json& object, const char* key, const std::string& text) {
  if (!text.empty()) {
    object[key] = text;
  }
}

// The values of one line, each with what the run adds to it.
class Writer {
 public:
  explicit Writer(const core::RunIdentity& run) : run_(run) {}

  [[nodiscard]] Json finding(const core::Finding& finding) const;
  [[nodiscard]] Json event(const core::EventView& event) const;
  [[nodiscard]] Json summary(const core::Summary& summary) const;
  [[nodiscard]] std::string time(util::BootTime time) const { return util::rfc3339(time, run_.wall); }

 private:
  [[nodiscard]] Json process(const core::Process& process) const;
  [[nodiscard]] Json owner(const std::optional<core::Process>& owner) const;
  [[nodiscard]] Json connection(const core::ConnectionView& view) const;
  [[nodiscard]] Json peer(const std::optional<core::PeerView>& peer) const;
  [[nodiscard]] Json listener(const core::ListenerView& listener) const;
  [[nodiscard]] Json culprit(const core::Culprit& culprit, std::uint32_t host) const;
  void put_ends(Json& object, const core::Finding& finding) const;

  const core::RunIdentity& run_;
};

Json Writer::process(const core::Process& process) const {
  Json object = {{"pid", core::plain_pid(process.pid)},
                 {"comm", process.comm},
                 {"host", process.host.empty() ? run_.host : process.host}};
  if (process.start != util::BootTime{}) {
    object["start_time"] = time(process.start);
  }
  put_text(object, "cgroup", process.cgroup);
  put_text(object, "container", process.container);
  put_text(object, "state", process.state);
  if (process.exit) {
    object["exit"] = exit_json(*process.exit);
  }
  return object;
}

Json Writer::owner(const std::optional<core::Process>& owner) const {
  return owner && owner->pid != 0 ? process(*owner) : Json(nullptr);
}

Json Writer::connection(const core::ConnectionView& view) const {
  // A connect that got no local address yet has an unspecified one of either family: the remote end tells.
  const bool v4 = view.remote.addr.is_v4() || view.local.addr.is_v4();
  Json object = {{"id", fmt::format("{:0<8}-{}", run_.boot_id_of(view.host).substr(0, 8), view.number)},
                 {"host", run_.host_name(view.host)},
                 {"family", v4 ? "ipv4" : "ipv6"}};
  if (view.netns != 0) {
    object["netns"] = core::plain_netns(view.netns);
  }
  object["local"] = endpoint_json(view.local);
  object["remote"] = endpoint_json(view.remote);
  object["role"] = core::to_string(view.role);
  object["state"] = view.state;
  return object;
}

Json Writer::peer(const std::optional<core::PeerView>& peer) const {
  if (!peer) {
    return nullptr;
  }
  return {{"connection", connection(peer->connection)}, {"owner", owner(peer->owner)}};
}

Json Writer::listener(const core::ListenerView& listener) const {
  Json object = endpoint_json(listener.endpoint);
  if (listener.netns != 0) {
    object["netns"] = core::plain_netns(listener.netns);
  }
  object["queue"] = listener.queue;
  object["limit"] = listener.limit;
  object["owners"] = Json::array();
  for (const core::Process& holder : listener.owners) {
    if (holder.pid != 0) {
      object["owners"].push_back(process(holder));
    }
  }
  return object;
}

// Of a finding on this host: on another is what a process or a firewall says to be there.
Json Writer::culprit(const core::Culprit& culprit, std::uint32_t host) const {
  const bool elsewhere = culprit.process && !culprit.process->host.empty();
  Json object = {{"kind", core::to_string(culprit.kind)},
                 {"host", elsewhere ? culprit.process->host : run_.host_name(culprit.host.value_or(host))}};
  if (culprit.process && culprit.process->pid != 0) {
    object["pid"] = core::plain_pid(culprit.process->pid);
    object["comm"] = culprit.process->comm;
    if (culprit.process->exit) {
      object["exit"] = exit_json(*culprit.process->exit);
    }
  }
  if (culprit.remote) {
    object["remote"] = endpoint_json(*culprit.remote);
  }
  return object;
}

Json evidence_json(const core::Evidence& evidence) {
  Json object = Json::object();
  for (const auto& [key, value] : evidence.entries()) {
    if (const auto* list = std::get_if<std::vector<std::pair<std::string, std::int64_t>>>(&value)) {
      Json& inner = object[key] = Json::object();
      for (const auto& [name, number] : *list) {
        inner[name] = number;
      }
    } else if (const auto* flag = std::get_if<bool>(&value)) {
      object[key] = *flag;
    } else if (const auto* number = std::get_if<std::int64_t>(&value)) {
      object[key] = *number;
    } else {
      object[key] = std::get<std::string>(value);
    }
  }
  return object;
}

// Both ends, who holds them, and where they meet.
void Writer::put_ends(Json& object, const core::Finding& finding) const {
  object["culprit"] = culprit(finding.culprit, finding.host);
  if (finding.connection) {
    object["connection"] = connection(*finding.connection);
  }
  object["owner"] = owner(finding.owner);
  object["peer"] = peer(finding.peer);
  if (finding.listener) {
    object["listener"] = listener(*finding.listener);
  }
  if (finding.service) {
    object["service"] = endpoint_json(*finding.service);
  }
}

Json Writer::finding(const core::Finding& finding) const {
  Json object = {{"schema", kFindingSchema},
                 {"id", fmt::format("f-{}", finding.id)},
                 {"host", run_.host_name(finding.host)},
                 {"time", time(finding.time)},
                 {"finding", finding.slug},
                 {"cause", finding.cause},
                 {"severity", core::to_string(finding.severity)},
                 {"phase", core::to_string(finding.phase)},
                 {"since", time(finding.since)},
                 {"duration_ms", util::to_ms(finding.duration)}};
  if (finding.ended) {
    object["ended"] = core::to_string(*finding.ended);
  }
  if (finding.direction) {
    object["direction"] = core::to_string(*finding.direction);
  }
  put_ends(object, finding);
  object["count"] = finding.count;
  object["count_total"] = finding.count_total;
  object["examples"] = Json::array();
  for (const core::ConnectionView& example : finding.examples) {
    object["examples"].push_back(connection(example));
  }
  object["confidence"] = core::to_string(finding.confidence);
  object["story"] = fmt::format("f-{}", finding.story);
  object["role"] = core::to_string(finding.role);
  object["evidence"] = evidence_json(finding.evidence);
  object["summary"] = finding.words.summary;
  object["advice"] = finding.words.advice;
  return object;
}

Json Writer::event(const core::EventView& event) const {
  Json object = {{"schema", kEventSchema},
                 {"host", run_.host_name(event.host)},
                 {"time", time(event.time)},
                 {"event", event.kind}};
  if (event.connection) {
    object["local"] = endpoint_json(event.connection->local);
    object["remote"] = endpoint_json(event.connection->remote);
    if (event.connection->netns != 0) {
      object["netns"] = core::plain_netns(event.connection->netns);
    }
  }
  if (event.id != 0) {
    object["id"] = event.id;
  }
  for (const auto& [key, state] : {std::pair{"state", event.state}, {"from", event.from}, {"to", event.to}}) {
    if (!state.empty()) {
      object[key] = state;
    }
  }
  if (event.owner) {
    object["owner"] = owner(event.owner);
  }
  object["values"] = evidence_json(event.values);
  object["line"] = event.line;
  return object;
}

Json counts_json(const std::map<std::string, std::uint64_t>& counts) {
  Json object = Json::object();
  for (const auto& [name, count] : counts) {
    object[name] = count;
  }
  return object;
}

// The other hosts of a report, and what was found of their clocks.
Json hosts_json(const core::RunIdentity& run) {
  Json hosts = Json::array();
  for (const core::RunIdentity::Other& other : run.others) {
    Json host = {{"host", other.host}, {"boot_id", other.boot_id}, {"pairs", other.pairs}};
    if (other.ahead) {
      host["clock_ahead_ms"] = static_cast<double>(other.ahead->count()) / 1e6;
      host["give_or_take_ms"] = static_cast<double>(other.give_or_take.count()) / 1e6;
    }
    hosts.push_back(std::move(host));
  }
  return hosts;
}

Json Writer::summary(const core::Summary& summary) const {
  Json object = {{"schema", kSummarySchema},
                 {"host", run_.host},
                 {"started", time(summary.started)},
                 {"ended", time(summary.ended)},
                 {"events", counts_json(summary.events)},
                 {"events_lost", summary.events_lost},
                 {"recorder_lost", summary.recorder_lost},
                 {"connections", summary.connections},
                 {"connections_evicted", summary.connections_evicted},
                 {"findings", counts_json(summary.findings)},
                 {"worst", summary.worst ? core::to_string(*summary.worst) : "none"}};
  // Only what occurred.
  for (const auto& [way, count] : summary.losses) {
    object["losses"][std::string{abi::to_string(way)}] = count;
  }
  for (const auto& [table, count] : summary.evictions) {
    if (count > 0) {
      object["evictions"][table] = count;
    }
  }
  if (summary.behind > util::Duration::zero()) {
    object["behind_ms"] = util::to_ms(summary.behind);
  }
  if (run_.several()) {
    object["other_hosts"] = hosts_json(run_);
  }
  return object;
}

}  // namespace

JsonSink::JsonSink(std::ostream& out, core::RunIdentity run, core::Severity minimum)
    : out_(out), run_(std::move(run)), shown_(minimum) {}

void JsonSink::findings(const std::vector<core::Finding>& batch) {
  for (const core::Finding& finding : batch) {
    if (shown_.judge(finding) != Shown::Verdict::hidden) {
      write_line(out_, Writer{run_}.finding(finding));
      shown_.remember(finding);
    }
  }
}

void JsonSink::event(const core::EventView& event) { write_line(out_, Writer{run_}.event(event)); }

void JsonSink::summary(const core::Summary& summary) { write_line(out_, Writer{run_}.summary(summary)); }

}  // namespace tcpwhy::sink
