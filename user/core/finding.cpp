// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/finding.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstring>

#include "user/core/host.h"

namespace tcpwhy::core {
namespace {

// The spelling of each enumeration, in the order of its values.
constexpr std::array<std::string_view, 3> kSeverities = {"info", "warning", "critical"};
constexpr std::array<std::string_view, 4> kPhases = {"open", "update", "closed", "event"};
constexpr std::array<std::string_view, 3> kConfidences = {"certain", "likely", "unsure"};
constexpr std::array<std::string_view, 6> kCulpritKinds = {"local-process",  "remote-host",  "network",
                                                           "local-firewall", "kernel-limit", "unknown"};
constexpr std::array<std::string_view, 2> kStoryRoles = {"root", "symptom"};
constexpr std::array<std::string_view, 8> kEnds = {"recovered", "drained",      "reset",     "closed",
                                                   "timed-out", "process-exit", "trace-end", "forgotten"};
constexpr std::array<std::string_view, 2> kDirections = {"sent", "received"};
constexpr std::array<std::string_view, 3> kConnectionRoles = {"client", "server", "unknown"};

template <typename Enum, std::size_t N>
std::string_view spelling(const std::array<std::string_view, N>& names, Enum value) {
  const auto index = static_cast<std::size_t>(value);
  assert(index < N);
  return names[index];
}

template <typename T>
const T* as(const EvidenceValue* value) {
  return value == nullptr ? nullptr : std::get_if<T>(value);
}

std::string seconds(util::Duration d) {
  const double s = std::chrono::duration<double>(d < util::Duration{} ? -d : d).count();
  return s < 1 ? fmt::format("{:.3f} ms", s * 1000) : fmt::format("{:.3f} s", s);
}

std::string clock_sentence(const RunIdentity::Other& other, const std::string& first) {
  if (!other.ahead)
    return fmt::format("no connection between {} and the other hosts tells of its clock: it is taken for right",
                       other.host);
  const double spread_ms = std::chrono::duration<double, std::milli>(other.give_or_take).count();
  const std::string spread =
      other.pairs > 1 ? fmt::format(", \u00b1{:.{}f} ms", spread_ms, spread_ms < 0.1 ? 3 : 1) : std::string{};
  return fmt::format("clock of {} is {} {} {} (from {} {}{})", other.host, seconds(*other.ahead),
                     *other.ahead < util::Duration{} ? "behind" : "ahead of", first, other.pairs,
                     other.pairs == 1 ? "connection" : "connections", spread);
}

}  // namespace

std::string_view to_string(Severity v) { return spelling(kSeverities, v); }
std::string_view to_string(Phase v) { return spelling(kPhases, v); }
std::string_view to_string(Confidence v) { return spelling(kConfidences, v); }
std::string_view to_string(CulpritKind v) { return spelling(kCulpritKinds, v); }
std::string_view to_string(StoryRole v) { return spelling(kStoryRoles, v); }
std::string_view to_string(Ended v) { return spelling(kEnds, v); }
std::string_view to_string(Direction v) { return spelling(kDirections, v); }
std::string_view to_string(ConnectionRole v) { return spelling(kConnectionRoles, v); }

void Evidence::set(std::string_view key, EvidenceValue value) {
  const auto entry =
      std::find_if(entries_.begin(), entries_.end(), [key](const auto& known) { return known.first == key; });
  if (entry == entries_.end()) {
    entries_.emplace_back(std::string{key}, std::move(value));
  } else {
    entry->second = std::move(value);
  }
}

const EvidenceValue* Evidence::find(std::string_view key) const {
  const auto entry =
      std::find_if(entries_.begin(), entries_.end(), [key](const auto& known) { return known.first == key; });
  return entry == entries_.end() ? nullptr : &entry->second;
}

std::int64_t Evidence::number(std::string_view key, std::int64_t otherwise) const {
  const auto* value = as<std::int64_t>(find(key));
  return value == nullptr ? otherwise : *value;
}

bool Evidence::flag(std::string_view key) const {
  const auto* value = as<bool>(find(key));
  return value != nullptr && *value;
}

std::string Evidence::text(std::string_view key) const {
  const auto* value = as<std::string>(find(key));
  return value == nullptr ? std::string{} : *value;
}

std::string name_of(const Process& process) {
  if (process.pid == 0) {
    return "unknown process";
  }
  const std::uint32_t pid = plain_pid(process.pid);
  const std::string where = process.host.empty() ? std::string{} : " on " + process.host;
  return process.comm.empty() ? fmt::format("process {}{}", pid, where)
                              : fmt::format("{}[{}]{}", process.comm, pid, where);
}

std::string name_of(const std::optional<Process>& process) { return process ? name_of(*process) : name_of(Process{}); }

std::string exit_words(const ProcessExit& exit) {
  if (exit.signal == 0) {
    return fmt::format("exited with status {}", exit.code);
  }
  const char* name = sigabbrev_np(exit.signal);  // none for a real-time signal
  return name != nullptr ? fmt::format("killed by SIG{}", name) : fmt::format("killed by signal {}", exit.signal);
}

std::string was(const std::string& ended) { return ended.starts_with("killed") ? "was " + ended : ended; }

std::uint32_t netns_of(const Finding& finding) {
  if (finding.connection) {
    return finding.connection->netns;
  }
  return finding.listener ? finding.listener->netns : 0;
}

std::vector<std::string> clock_sentences(const RunIdentity& run) {
  std::vector<std::string> sentences;
  for (const RunIdentity::Other& other : run.others) sentences.push_back(clock_sentence(other, run.host));
  return sentences;
}

}  // namespace tcpwhy::core
