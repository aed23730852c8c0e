// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/filter.h"

#include <algorithm>

namespace tcpwhy::core {
namespace {

// One end as a filter sees it. A listener has no remote end; a wildcard listener holds every local address.
struct Side {
  std::optional<util::Endpoint> local;
  std::optional<util::Endpoint> remote;
  bool listener = false;
};

Side side_of(const ConnectionView& connection) { return {connection.local, connection.remote}; }

// Every side that the finding tells of.
std::vector<Side> sides_of(const Finding& finding) {
  std::vector<Side> sides;
  if (finding.connection) {
    sides.push_back(side_of(*finding.connection));
  }
  if (finding.peer) {
    sides.push_back(side_of(finding.peer->connection));
  }
  for (const ConnectionView& example : finding.examples) {
    sides.push_back(side_of(example));
  }
  if (finding.listener) {
    sides.push_back({finding.listener->endpoint, std::nullopt, true});
  }
  if (sides.empty() && finding.service) {
    sides.push_back({finding.service, std::nullopt, true});
    sides.push_back({std::nullopt, finding.service});
  }
  return sides;
}

std::vector<const Process*> processes_of(const Finding& finding) {
  std::vector<const Process*> processes;
  const auto add = [&processes](const std::optional<Process>& process) {
    if (process) {
      processes.push_back(&*process);
    }
  };
  add(finding.owner);
  add(finding.culprit.process);
  if (finding.peer) {
    add(finding.peer->owner);
  }
  if (finding.listener) {
    for (const Process& owner : finding.listener->owners) {
      processes.push_back(&owner);
    }
  }
  return processes;
}

template <typename T>
bool lists(const std::vector<T>& list, const T& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

bool any_contains(const std::vector<util::Cidr>& prefixes, const std::optional<util::Endpoint>& end) {
  return end && std::any_of(prefixes.begin(), prefixes.end(),
                            [&end](const util::Cidr& prefix) { return prefix.contains(end->addr); });
}

bool has_port(const Filter& filter, const std::optional<util::Endpoint>& end) {
  return end && lists(filter.ports, end->port);
}

bool side_passes(const Filter& filter, const Side& side) {
  if (!filter.ports.empty() && !has_port(filter, side.local) && !has_port(filter, side.remote)) {
    return false;
  }
  const bool any_local = side.listener && side.local && side.local->addr.is_unspecified();
  if (!filter.local.empty() && !any_local && !any_contains(filter.local, side.local)) {
    return false;
  }
  return filter.remote.empty() || any_contains(filter.remote, side.remote);
}

bool sides_pass(const Filter& filter, const Finding& finding) {
  if (filter.ports.empty() && filter.local.empty() && filter.remote.empty()) {
    return true;
  }
  const std::vector<Side> sides = sides_of(finding);
  return std::any_of(sides.begin(), sides.end(), [&](const Side& side) { return side_passes(filter, side); });
}

bool processes_pass(const Filter& filter, const Finding& finding) {
  const std::vector<const Process*> processes = processes_of(finding);
  const auto some = [&processes](const auto& list, const auto& key) {
    return list.empty() || std::any_of(processes.begin(), processes.end(),
                                       [&](const Process* process) { return lists(list, process->*key); });
  };
  return some(filter.pids, &Process::pid) && some(filter.comms, &Process::comm);
}

bool cgroups_pass(const Filter& filter, const Finding& finding) {
  if (filter.cgroups.empty()) return true;
  const auto in = [&filter](const auto& end) { return lists(filter.cgroups, end.cgroup_id); };
  return (finding.connection && in(*finding.connection)) || (finding.peer && in(finding.peer->connection)) ||
         (finding.listener && in(*finding.listener)) ||
         std::any_of(finding.examples.begin(), finding.examples.end(), in);
}

bool netns_passes(const Filter& filter, const Finding& finding) {
  if (filter.netns.empty()) {
    return true;
  }
  return (finding.connection && lists(filter.netns, finding.connection->netns)) ||
         (finding.peer && lists(filter.netns, finding.peer->connection.netns)) ||
         (finding.listener && lists(filter.netns, finding.listener->netns));
}

}  // namespace

bool Filter::empty() const {
  return ports.empty() && local.empty() && remote.empty() && pids.empty() && comms.empty() && cgroups.empty() &&
         netns.empty();
}

bool Filter::passes(const abi::Event& event) const {
  if (ports.empty() && local.empty() && remote.empty() && netns.empty()) return true;
  const std::optional<abi::Tuple> tuple = abi::tuple_of(event);
  if (!tuple || !(netns.empty() || lists(netns, tuple->netns))) return false;
  if (tuple->remote.port == 0) return side_passes(*this, {tuple->local, std::nullopt, true});
  return side_passes(*this, {tuple->local, tuple->remote}) || side_passes(*this, {tuple->remote, tuple->local});
}

bool Filter::passes(const Finding& finding) const {
  return sides_pass(*this, finding) && processes_pass(*this, finding) && cgroups_pass(*this, finding) &&
         netns_passes(*this, finding);
}

}  // namespace tcpwhy::core
