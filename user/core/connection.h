// SPDX-License-Identifier: GPL-2.0-only
// Connection and Listener: facts (counts, times, states, owners), never judgments. One Connection is one end.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "user/abi/event.h"
#include "user/core/finding.h"
#include "user/util/boxed.h"

namespace tcpwhy::core {

// How sure an owner is.
enum class OwnerBasis : std::uint8_t {
  none,
  inherited,  // an accepted connection: its listener's owner, while nobody better is known
  observed,   // made the call itself, or holds the descriptor
};

struct SentReset {
  util::BootTime time{};
  abi::Socket socket;
  std::optional<abi::Segment> trigger;
  int reason = -1;
  abi::TcpState state_before = abi::TcpState::unknown;
};

struct ReceivedReset {
  util::BootTime time{};
  abi::Socket socket;
};

struct Ending {
  util::BootTime time{};
  abi::TcpState from{};
  int err = 0;
};

// What sweeps found that makes no event: each begins with the first look that showed it (or earlier, where a stamp of the
// kernel says so) and lasts while no look shows that it moved.
struct Silence {
  std::optional<util::BootTime> window_shut;  // data waits behind the peer's window, and nothing was sent
  std::optional<util::BootTime> unread;       // data waits, and the process read nothing
  std::optional<util::BootTime> awaiting;     // this side spoke last, all of it arrived, and nothing came
  std::optional<util::BootTime> closing;      // closed, and nothing of what is left was acknowledged
  std::optional<util::BootTime> close_wait;   // the peer closed, this side did not
  std::optional<util::BootTime> idle;         // for long, and nothing would find out that the peer is gone
  std::uint32_t window_nxt = 0;               // snd_nxt, copied_seq, snd_una as the silence began
  std::uint32_t unread_copied = 0;
  std::uint32_t closing_una = 0;
  std::optional<util::BootTime> last_read;  // a look showed that the process had read
  std::uint64_t look = 0;                   // the sweep that showed it last, by number
  util::BootTime looked{};                  // when that was
  // Of the service, as the kernel side has seen it answer.
  std::optional<util::Duration> usual_wait;
  std::uint32_t answers = 0;
  std::uint32_t unanswered = 0;

  [[nodiscard]] bool any() const { return window_shut || unread || awaiting || closing || close_wait || idle; }
  // Nothing but idle: there may be many, and a sweep confirms a part of them in turn.
  [[nodiscard]] bool only_idle() const {
    return idle && !window_shut && !unread && !awaiting && !closing && !close_wait;
  }
};

struct Connection {
  std::uint64_t number = 0;                 // never reused within a run
  abi::SocketId key = abi::SocketId::none;  // the table's key: the cookie, or one of our own where there is none
  std::uint32_t host = 0;                   // its number, where several hosts' recordings are read together
  abi::Tuple tuple;
  ConnectionRole role = ConnectionRole::unknown;
  abi::TcpState state = abi::TcpState::unknown;
  util::BootTime first_seen{};
  util::BootTime last_seen{};
  bool before_trace = false;  // existed when the trace began, or its begin was not seen

  std::vector<Process> owners;
  OwnerBasis owner_basis = OwnerBasis::none;
  std::optional<Process> destroyed_by;    // ss -K and the like: not the owner
  std::optional<ProcessExit> owner_exit;  // the owner was dying when it made this end's last transition

  abi::Socket socket;  // the newest facts, as of socket_time
  util::BootTime socket_time{};

  // The sequence numbers after the two SYNs, to within one; absent where nothing told them.
  std::optional<std::uint32_t> first_sent;
  std::optional<std::uint32_t> first_received;

  // Handshake
  std::uint32_t syn_retransmits = 0;
  util::BootTime connect_started{};  // where a SYN was sent again
  std::uint32_t synack_timer_retransmits = 0;
  std::uint32_t synack_duplicate_syns = 0;
  bool client_acked = false;  // the request's ACK came and was dropped here
  std::optional<util::BootTime> client_established;
  abi::SocketId listener = abi::SocketId::none;
  abi::SocketId client = abi::SocketId::none;
  std::uint32_t overflow_drops = 0;  // segments of this connection that a full listener refused
  util::BootTime last_overflow{};

  // Established: an episode of time-outs without progress
  bool episode = false;
  std::uint32_t episode_una = 0;
  util::BootTime episode_start{};  // when the segment that is not acknowledged was sent, at the latest
  util::BootTime episode_proof{};  // the last record that showed no progress
  std::uint32_t episode_timeouts = 0;
  std::uint32_t episodes_repaired = 0;  // after which what was stuck arrived

  Silence silence;

  util::Boxed<SentReset> reset_sent;
  util::Boxed<ReceivedReset> reset_received;
  bool refused_by_stack = false;              // an RST of this host's own stack answered its SYN
  std::optional<util::BootTime> established;  // seen to become so
  std::optional<Ending> ending;

  // Finished by the kernel, and not accepted by the listener's process yet.
  [[nodiscard]] bool in_accept_queue() const {
    return socket.full && !socket.has_socket && !socket.orphan && state != abi::TcpState::syn_sent && !ending;
  }
  [[nodiscard]] std::optional<Process> owner() const {
    return owners.empty() ? std::nullopt : std::optional{owners.front()};
  }
};

struct Listener {
  abi::SocketId id = abi::SocketId::none;
  std::uint32_t host = 0;
  abi::Tuple tuple;  // local only
  std::uint64_t cgroup_id = 0;
  std::vector<Process> owners;
  util::BootTime first_seen{};
  std::optional<util::BootTime> ended;
  std::optional<Process> ended_by;
  std::optional<ProcessExit> ended_exit;

  // Accept queue, as of observed
  util::BootTime observed{};
  std::uint32_t queue = 0;
  std::uint32_t limit = 0;
  std::uint32_t drops = 0;
  std::uint32_t requests = 0;
  std::uint32_t young = 0;
  std::optional<util::Duration> head_age;
  std::uint16_t head_port = 0;  // of the head's peer
  util::BootTime head_entered{};
  util::BootTime same_head_since{};  // since then no look at the queue found another head: nothing was accepted
  util::BootTime head_seen{};

  // Refusals: an episode ends when the queue has drained
  bool drops_known = false;
  std::optional<util::BootTime> first_refusal;
  util::BootTime last_refusal{};
  std::uint64_t refused_acks = 0;  // seen one by one
  std::uint32_t drops_before = 0;  // sk_drops when the episode began

  [[nodiscard]] bool over_limit() const { return queue > limit; }
  // Segments refused in this episode. sk_drops counts a refused ACK twice and a refused SYN, which has no event, once.
  [[nodiscard]] std::uint64_t refused() const {
    const std::uint64_t counted = drops - drops_before;
    return counted > 2 * refused_acks ? counted - refused_acks : refused_acks;
  }
  // For how long at least nothing was accepted.
  [[nodiscard]] util::Duration accepted_nothing() const {
    return head_age && queue > 0 ? std::min<util::Duration>(head_seen - same_head_since, *head_age) : util::Duration{};
  }
};

}  // namespace tcpwhy::core
