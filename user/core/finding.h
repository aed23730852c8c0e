// SPDX-License-Identifier: GPL-2.0-only
// Finding: one line of the public contract, as plain values. Detectors and the book make it, sinks only print it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "user/core/losses.h"
#include "user/util/address.h"
#include "user/util/time.h"

namespace tcpwhy::core {

enum class Severity : std::uint8_t { info, warning, critical };
enum class Phase : std::uint8_t { open, update, closed, event };
enum class Confidence : std::uint8_t { certain, likely, unsure };
enum class CulpritKind : std::uint8_t { local_process, remote_host, network, local_firewall, kernel_limit, unknown };
enum class StoryRole : std::uint8_t { root, symptom };
// forgotten: tcpwhy's tables had no room for what the finding stands on; whether it still holds is unknown.
enum class Ended : std::uint8_t { recovered, drained, reset, closed, timed_out, process_exit, trace_end, forgotten };
enum class Direction : std::uint8_t { sent, received };
enum class ConnectionRole : std::uint8_t { client, server, unknown };

// The contract's spelling ("local-process", "timed-out").
std::string_view to_string(Severity);
std::string_view to_string(Phase);
std::string_view to_string(Confidence);
std::string_view to_string(CulpritKind);
std::string_view to_string(StoryRole);
std::string_view to_string(Ended);
std::string_view to_string(Direction);
std::string_view to_string(ConnectionRole);

struct ProcessExit {
  int code = 0;    // exit status, where it was not a signal
  int signal = 0;  // 0 where it was not a signal
};

// A process: thread-group id in the initial pid namespace, comm of the thread-group leader.
struct Process {
  std::uint32_t pid = 0;
  std::string comm;
  util::BootTime start{};  // zero where unknown; tells a reused pid from its predecessor
  std::string cgroup;      // path, empty where unknown
  std::string container;   // empty where unknown
  std::string state;       // "running", "blocked in futex_wait", "stopped"; empty where not observed
  std::optional<ProcessExit> exit;
  std::string host;  // where several hosts' recordings are read together; else empty

  // The same process: pid and, where both are known, start time.
  [[nodiscard]] bool same(const Process& other) const {
    const bool both_known = start.time_since_epoch().count() != 0 && other.start.time_since_epoch().count() != 0;
    return pid == other.pid && (!both_known || start == other.start);
  }
};

struct ConnectionView {
  std::uint64_t number = 0;  // printed as <boot id's first 8>-<number>
  util::Endpoint local;
  util::Endpoint remote;
  std::uint32_t netns = 0;  // inode of the network namespace, 0 where unknown
  ConnectionRole role = ConnectionRole::unknown;
  std::string_view state;  // the kernel's name: "ESTABLISHED"
  std::uint32_t host = 0;
  std::uint64_t cgroup_id = 0;  // cgroup v2 that the socket was made in, a child's its listener's; 0 where unknown
};

struct PeerView {
  ConnectionView connection;
  std::optional<Process> owner;
};

struct ListenerView {
  util::Endpoint endpoint;
  std::uint32_t netns = 0;
  std::uint32_t queue = 0;  // sk_ack_backlog
  std::uint32_t limit = 0;  // sk_max_ack_backlog; the queue holds limit + 1
  std::vector<Process> owners;
  std::uint32_t host = 0;
  std::uint64_t cgroup_id = 0;
};

struct Culprit {
  CulpritKind kind = CulpritKind::unknown;
  std::optional<Process> process;        // where kind is local_process
  std::optional<util::Endpoint> remote;  // where kind is remote_host
  std::optional<std::uint32_t> host;     // of a firewall or limit, where it is not that of the finding
};

// Evidence: the keys of the contract in the order they were given; a list holds the MIB deltas, holders and the like.
using EvidenceValue = std::variant<bool, std::int64_t, std::string, std::vector<std::pair<std::string, std::int64_t>>>;
class Evidence {
 public:
  void set(std::string_view key, EvidenceValue value);  // replaces a value that is there
  void set(std::string_view key, bool value) { set(key, EvidenceValue{value}); }
  void set(std::string_view key, const char* value) { set(key, EvidenceValue{std::string{value}}); }
  void set(std::string_view key, std::int64_t value) { set(key, EvidenceValue{value}); }
  void set(std::string_view key, std::uint64_t value) { set(key, static_cast<std::int64_t>(value)); }
  void set(std::string_view key, std::uint32_t value) { set(key, static_cast<std::int64_t>(value)); }
  void set(std::string_view key, int value) { set(key, static_cast<std::int64_t>(value)); }
  [[nodiscard]] const EvidenceValue* find(std::string_view key) const;
  [[nodiscard]] std::int64_t number(std::string_view key, std::int64_t otherwise = 0) const;
  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }
  [[nodiscard]] bool flag(std::string_view key) const;
  [[nodiscard]] std::string text(std::string_view key) const;
  [[nodiscard]] const std::vector<std::pair<std::string, EvidenceValue>>& entries() const { return entries_; }

 private:
  std::vector<std::pair<std::string, EvidenceValue>> entries_;
};

// The sentences, written by the detector for exactly this finding.
struct Words {
  std::string summary;              // one sentence: what is wrong and who is at fault
  std::string cause;                // why
  std::string effect;               // what it costs; may be empty
  std::string evidence;             // how it is known
  std::vector<std::string> advice;  // what to do next
};

struct Finding {
  std::uint64_t id = 0;     // printed as f-<id>
  std::uint64_t story = 0;  // id of the story's root finding
  StoryRole role = StoryRole::root;
  util::BootTime time{};
  util::BootTime since{};
  util::Duration duration{};
  std::string_view slug;
  std::string_view cause;
  Severity severity = Severity::info;
  Phase phase = Phase::open;
  std::optional<Ended> ended;
  std::optional<Direction> direction;
  Confidence confidence = Confidence::likely;
  Culprit culprit;
  std::optional<ConnectionView> connection;  // the oldest in it
  std::optional<Process> owner;
  std::optional<PeerView> peer;
  std::optional<ListenerView> listener;
  std::optional<util::Endpoint> service;
  std::uint64_t count = 1;
  std::uint64_t count_total = 1;
  std::vector<ConnectionView> examples;  // at most 5
  Evidence evidence;
  Words words;
  std::uint32_t host = 0;  // on which it was found
};

// The last line of a run.
struct Summary {
  util::BootTime started{};
  util::BootTime ended{};
  std::map<std::string, std::uint64_t> events;  // received, by kind
  std::uint64_t events_lost = 0;                // of the losses those that lose events
  LossCounts losses;
  std::uint64_t recorder_lost = 0;
  std::uint64_t connections = 0;
  std::uint64_t connections_evicted = 0;
  std::map<std::string, std::uint64_t>
      evictions;                                  // entries that tcpwhy's own tables gave up for want of room, by table
  util::Duration behind{};                        // how late the latest verdict was
  std::map<std::string, std::uint64_t> findings;  // opened, by slug
  std::optional<Severity> worst;
};

// What every line says of the run: the host's name, its boot id, and the clock that turns records' times into wall time.
struct RunIdentity {
  std::string host;
  std::string boot_id;  // /proc/sys/kernel/random/boot_id
  util::WallClock wall;
  std::uint32_t netns = 0;  // inode of the network namespace that the tool runs in, 0 where unknown

  // A report of several hosts' recordings: this is the first of them, host 0; the clocks of all were brought to its.
  struct Other {
    std::string host;
    std::string boot_id;
    std::uint32_t netns = 0;
    std::optional<util::Duration> ahead;  // how far its wall clock is; absent where no connection between the two told
    util::Duration give_or_take{};
    std::size_t pairs = 0;
  };
  std::vector<Other> others = {};

  [[nodiscard]] bool several() const { return !others.empty(); }
  [[nodiscard]] const std::string& host_name(std::uint32_t number) const {
    return number == 0 || number > others.size() ? host : others[number - 1].host;
  }
  [[nodiscard]] const std::string& boot_id_of(std::uint32_t number) const {
    return number == 0 || number > others.size() ? boot_id : others[number - 1].boot_id;
  }
  [[nodiscard]] std::uint32_t netns_of(std::uint32_t number) const {
    return number == 0 || number > others.size() ? netns : others[number - 1].netns;
  }
};

// "clock of web-2 is 1.250 s ahead of web-1 (from 12 connections, ±0.4 ms)", for each host but the first.
std::vector<std::string> clock_sentences(const RunIdentity& run);

// "lighttpd[2112]"; "unknown process" where there is none.
std::string name_of(const std::optional<Process>& process);
std::string name_of(const Process& process);

// How a process ended: "killed by SIGKILL", "exited with status 1".
std::string exit_words(const ProcessExit& exit);
// The same behind a name: "was killed by SIGKILL".
std::string was(const std::string& ended);

// Of the connection that the finding tells, else of its listener; 0 where unknown.
std::uint32_t netns_of(const Finding& finding);

}  // namespace tcpwhy::core
