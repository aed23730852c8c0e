// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/table.h"

namespace tcpwhy::metrics {
namespace {

using Labels = std::string_view[];

constexpr Labels kFinding = {"finding", "cause", "severity"};
constexpr Labels kFindingSeverity = {"finding", "severity"};
constexpr Labels kFindingCause = {"finding", "cause"};
constexpr Labels kListener = {"listener", "netns"};
constexpr Labels kDirection = {"direction"};
constexpr Labels kRetransmit = {"type"};
constexpr Labels kTrigger = {"trigger"};
constexpr Labels kSlug = {"finding"};
constexpr Labels kKind = {"kind"};
constexpr Labels kWay = {"way"};
constexpr Labels kTableName = {"table"};
constexpr Labels kPart = {"part"};
constexpr Labels kVersion = {"version", "commit"};

constexpr Metric kTable[] = {
    {"tcpwhy_findings_opened", Type::counter, "", kFinding,
     "Findings told for the first time, with the severity that they had then."},
    {"tcpwhy_findings_escalated", Type::counter, "", kFindingSeverity,
     "Findings whose severity rose to this one after they were told."},
    {"tcpwhy_findings_cases", Type::counter, "", kFindingCause,
     "Connections, or listeners, or the host, that findings were about: one finding holds many."},
    {"tcpwhy_findings_open", Type::gauge, "", kFinding,
     "Findings that are open now, with the severity that they have."},
    {"tcpwhy_findings_open_cases", Type::gauge, "", kFinding,
     "Connections, or listeners, or the host, that open findings are about now."},
    {"tcpwhy_findings_forgotten", Type::counter, "", kSlug,
     "Findings closed because tcpwhy's tables had no room for what they stand on; whether they still hold is unknown."},
    {"tcpwhy_accept_queue_depth", Type::gauge, "", kListener,
     "Connections that wait to be accepted, when the listener was last looked at."},
    {"tcpwhy_accept_queue_limit", Type::gauge, "", kListener,
     "Backlog of the listener; the queue holds one connection more."},
    {"tcpwhy_accept_queue_fill_ratio", Type::gauge, "ratio", kListener,
     "Depth by what the queue holds, of the fullest socket behind this address; 1 is full."},
    {"tcpwhy_accept_queue_sockets", Type::gauge, "", kListener,
     "Listening sockets behind this address; more than one with SO_REUSEPORT."},
    {"tcpwhy_accept_queue_drops", Type::counter, "", kListener,
     "What the kernel counted as dropped at the listener since tcpwhy knows it: a refused SYN once, a refused ACK "
     "twice."},
    {"tcpwhy_listeners", Type::gauge, "", {}, "Listening addresses known, each network namespace's own."},
    {"tcpwhy_listeners_in_other",
     Type::gauge,
     "",
     {},
     "Listening addresses without a series of their own, summed as listener=\"other\"."},
    {"tcpwhy_resets", Type::counter, "", kDirection, "RST segments that connections of this host sent or received."},
    {"tcpwhy_retransmits", Type::counter, "", kRetransmit, "Retransmissions of data, SYNs and window probes."},
    {"tcpwhy_synack_retransmits", Type::counter, "", kTrigger, "SYN-ACKs sent again."},
    {"tcpwhy_events", Type::counter, "", kKind, "Records read, by kind."},
    {"tcpwhy_events_lost", Type::counter, "", kKind,
     "Events missing in the stream: the ring buffer was full, or the program was already running on that CPU."},
    {"tcpwhy_events_left_out", Type::counter, "", kKind,
     "Events that the kernel side counted and did not tell one by one, for there were too many."},
    {"tcpwhy_events_unreadable", Type::counter, "", {}, "Records that could not be decoded."},
    {"tcpwhy_losses", Type::counter, "", kWay,
     "Everything that was lost, by way: events, failed looks, sockets not swept, questions not answered."},
    {"tcpwhy_connections_tracked",
     Type::gauge,
     "",
     {},
     "Connections in the table: those that are, or were, in trouble or silent; not all that the host has."},
    {"tcpwhy_connections_tracked_limit", Type::gauge, "", {}, "Most that the table holds (--max-connections)."},
    {"tcpwhy_connections_evicted", Type::counter, "", {}, "Connections forgotten because the table was full."},
    {"tcpwhy_evictions", Type::counter, "", kTableName, "Entries that tcpwhy's own tables gave up for want of room."},
    {"tcpwhy_behind_seconds",
     Type::gauge,
     "seconds",
     {},
     "How late verdicts are: more cases were due than are judged in one tick."},
    {"tcpwhy_sweeps", Type::counter, "", {}, "Sweeps over the host's sockets."},
    {"tcpwhy_sweep_cpu_seconds", Type::counter, "seconds", kPart, "CPU time that looking at sockets took."},
    {"tcpwhy_sweep_interval_seconds",
     Type::gauge,
     "seconds",
     {},
     "From one sweep to the next; longer where a sweep would cost more than 1% of one CPU."},
    {"tcpwhy_recording_bytes",
     Type::counter,
     "bytes",
     {},
     "Written to the recording; absent where nothing is recorded."},
    {"tcpwhy_recording_lost",
     Type::counter,
     "",
     {},
     "Records missing in the recording; absent where nothing is recorded."},
    {"tcpwhy_cpu_seconds",
     Type::counter,
     "seconds",
     {},
     "CPU time of the tcpwhy process, the sweeps' included; what its hooks take in other processes is not in it."},
    {"tcpwhy_resident_memory_bytes", Type::gauge, "bytes", {}, "Memory of the tcpwhy process; BPF maps are not in it."},
    {"tcpwhy_start_time_seconds", Type::gauge, "seconds", {}, "Unix time when every hook was live."},
    {"tcpwhy_snapshot_time_seconds",
     Type::gauge,
     "seconds",
     {},
     "Unix time when these numbers were gathered; older than a few seconds: tcpwhy hangs."},
    {"tcpwhy_build_info", Type::gauge, "", kVersion, "Always 1: the version that runs."},
};
static_assert(std::size(kTable) == kMetrics);

}  // namespace

std::span<const Metric, kMetrics> table() { return kTable; }

}  // namespace tcpwhy::metrics
