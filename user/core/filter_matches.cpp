// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/filter_matches.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "user/core/host.h"

namespace tcpwhy::core {
namespace {

std::string words_of(const util::Cidr& prefix) {
  return prefix.bits == 128 ? util::to_string(prefix.addr) : util::to_string(prefix);
}

// A listener at every address of its namespace proves nothing against one.
bool is_local(const util::Cidr& prefix, const abi::Tuple& tuple) {
  const bool any_local = tuple.local.port != 0 && tuple.remote.port == 0 && tuple.local.addr.is_unspecified();
  return any_local || prefix.contains(tuple.local.addr);
}

}  // namespace

void FilterMatches::wait_for(std::string text, std::function<bool(const Seen&)> is_met) {
  waiting_.push_back({std::move(text), std::move(is_met)});
}

FilterMatches::FilterMatches(const Filter& filter) {
  for (const std::uint16_t port : filter.ports)
    wait_for(fmt::format("--port {}", port),
             [port](const Seen& s) { return s.tuple.local.port == port || s.tuple.remote.port == port; });
  for (const util::Cidr& prefix : filter.local)
    wait_for("--local " + words_of(prefix), [prefix](const Seen& s) { return is_local(prefix, s.tuple); });
  for (const util::Cidr& prefix : filter.remote)
    wait_for("--remote " + words_of(prefix),
             [prefix](const Seen& s) { return s.tuple.remote.port != 0 && prefix.contains(s.tuple.remote.addr); });
  for (const std::uint32_t pid : filter.pids)
    wait_for(fmt::format("--pid {}", plain_pid(pid)), [pid](const Seen& s) { return s.pid == pid; });
  for (const std::string& comm : filter.comms)
    wait_for("--comm " + comm, [comm](const Seen& s) { return s.comm == comm; });
  // Its groups are those below one, too: a socket of any of them will do.
  if (!filter.cgroups.empty())
    wait_for("--cgroup", [ids = filter.cgroups](const Seen& s) {
      return std::find(ids.begin(), ids.end(), s.cgroup_id) != ids.end();
    });
  for (const std::uint32_t netns : filter.netns)
    wait_for(fmt::format("--netns {}", plain_netns(netns)), [netns](const Seen& s) { return s.tuple.netns == netns; });
}

void FilterMatches::note(const Seen& seen) {
  // One value of several hosts' filters is there once for each host.
  std::vector<std::string> met;
  for (const Value& value : waiting_)
    if (value.is_met(seen)) met.push_back(value.text);
  for (const std::string& text : met) std::erase_if(waiting_, [&text](const Value& v) { return v.text == text; });
}

void FilterMatches::note(const abi::Event& event) {
  if (waiting_.empty()) return;
  Seen seen;
  if (const auto tuple = abi::tuple_of(event)) seen.tuple = *tuple;
  std::visit(
      [&seen](const auto& body) {
        if constexpr (requires { body.socket.cgroup_id; }) seen.cgroup_id = body.socket.cgroup_id;
        if constexpr (requires { body.owner.pid; }) seen.pid = body.owner.pid, seen.comm = body.owner.comm;
        if constexpr (requires { body.pid, body.from; }) seen.pid = body.pid, seen.comm = body.comm;
      },
      event.body);
  note(seen);
}

void FilterMatches::note(const HeldSocket& socket) {
  if (!waiting_.empty()) note({socket.tuple, socket.cgroup_id, socket.pid, socket.comm});
}

std::vector<std::string> FilterMatches::unmatched() const {
  std::vector<std::string> texts;
  for (const Value& value : waiting_)
    if (std::find(texts.begin(), texts.end(), value.text) == texts.end()) texts.push_back(value.text);
  return texts;
}

std::string unmatched_words(const std::vector<std::string>& values) {
  return values.empty() ? std::string{}
                        : fmt::format("no socket was seen that {} lets through", fmt::join(values, " or "));
}

}  // namespace tcpwhy::core
