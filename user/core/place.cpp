// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/place.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "user/core/host.h"

namespace tcpwhy::core {
namespace {

// What looks at one network namespace; sysctls named as settings and `ss -K` named as a suspect do not.
constexpr std::array<std::string_view, 9> kCommands = {"nft",   "iptables", "ip route",   "ip neigh", "ss -t",
                                                       "ss -l", "ping",     "traceroute", "nstat"};

bool is_letter(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

bool names(std::string_view advice, std::string_view command) {
  const bool option = command.find('-') != std::string_view::npos;  // further letters may follow: ss -tan
  for (std::size_t at = advice.find(command); at != std::string_view::npos; at = advice.find(command, at + 1)) {
    const std::size_t after = at + command.size();
    const bool begins = at == 0 || !is_letter(advice[at - 1]);
    if (begins && (option || after == advice.size() || !is_letter(advice[after]))) return true;
  }
  return false;
}

bool names_a_command(std::string_view advice) {
  return std::any_of(kCommands.begin(), kCommands.end(),
                     [&](std::string_view command) { return names(advice, command); });
}

bool lives(const std::optional<Process>& process) { return process && process->pid != 0 && !process->exit; }

// Somebody who is in that namespace and not known to have ended; 0 where there is none.
std::uint32_t resident(const Finding& f, std::uint32_t netns) {
  if (f.connection && f.connection->netns == netns && lives(f.owner)) return f.owner->pid;
  if (f.peer && f.peer->connection.netns == netns && lives(f.peer->owner)) return f.peer->owner->pid;
  if (!f.listener || f.listener->netns != netns) return 0;
  const auto& owners = f.listener->owners;
  const auto it = std::find_if(owners.begin(), owners.end(), [](const Process& p) { return lives(p); });
  return it == owners.end() ? 0 : it->pid;
}

}  // namespace

namespace {

std::string way_into_namespace(const Finding& f, std::uint32_t own_netns) {
  const std::uint32_t netns = netns_of(f);
  if (netns == 0 || own_netns == 0 || plain_netns(netns) == own_netns) return {};
  const std::uint32_t pid = plain_pid(resident(f, netns));
  return pid != 0
             ? fmt::format("in its namespace (nsenter -t {} -n): ", pid)
             : fmt::format("in its namespace (lsns {} lists who is there; nsenter -t PID -n): ", plain_netns(netns));
}

}  // namespace

void place_commands(Finding& f, const RunIdentity& run) {
  std::string way = way_into_namespace(f, run.netns_of(f.host));
  if (run.several()) way.insert(0, fmt::format("on {}: ", run.host_name(f.host)));
  if (way.empty()) return;
  for (std::string& advice : f.words.advice)
    if (names_a_command(advice)) advice.insert(0, way);
}

}  // namespace tcpwhy::core
