// SPDX-License-Identifier: GPL-2.0-only
#include "user/detect/catalogue.h"

#include <algorithm>

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;
using Causes = std::string_view[];

constexpr Causes kSynackUnexpected = {"accept-queue-full", "handshake-ack-lost"};
constexpr Causes kSynack = {"synack-lost", "client-silent", "syn-flood"};
constexpr Causes kConnectStalled = {"accept-queue-full", "dropped-locally", "unreachable", "peer-silent"};
constexpr Causes kConnectTimeout = {"accept-queue-full", "dropped-locally", "unreachable",
                                    "peer-silent",       "ports-exhausted", "rejected"};
constexpr Causes kConnectRefused = {"no-listener", "listener-gone", "local-firewall", "refused-by-remote"};
constexpr Causes kAcceptQueue = {"not-accepting", "too-slow", "backlog-too-small"};
constexpr Causes kUnacked = {"accept-queue-full", "dropped-locally", "unreachable",
                             "peer-gone",         "path-lost",       "unknown"};
constexpr Causes kZeroWindow = {"peer-not-reading", "peer-slow"};
constexpr Causes kUnread = {"never-accepted", "process-stopped", "process-blocked",
                            "process-busy",   "forgotten-fd",    "unknown"};
constexpr Causes kAwaitingReply = {"peer-silent", "peer-busy"};
constexpr Causes kClosing = {"peer-not-reading", "peer-gone", "path-lost", "unknown"};
constexpr Causes kCloseWait = {"process-stopped", "process-blocked", "process-busy", "forgotten-fd", "unknown"};
constexpr Causes kHalfOpen = {"no-keepalive"};
constexpr Causes kMemory = {"tcp-mem", "orphans", "rcvbuf-overrun"};
constexpr Causes kReset = {
    "never-accepted", "process-exit", "close-with-unread-data", "data-after-close", "linger-zero",   "client-abandoned",
    "memory",         "orphan-limit", "socket-destroyed",       "disconnect",       "stray-segment", "time-wait",
    "peer-abort"};
constexpr Causes kClosedMidRequest = {"process-exit", "peer-closed"};
constexpr Causes kTimedOut = {"retransmit-timeout", "keepalive-timeout", "user-timeout", "unreachable"};

constexpr CatalogueRow kRows[] = {
    {"synack-retransmit-unexpected", Family::handshake, 200ms, "the client has been connected for this long",
     kSynackUnexpected,
     "The server repeats its SYN-ACK although the client has answered it and believes it is connected."},
    {"synack-retransmit", Family::handshake, std::nullopt, "", kSynack,
     "The server repeats its SYN-ACK because nothing answers it."},
    {"connect-stalled", Family::handshake, std::nullopt, "", kConnectStalled,
     "A connect sent its SYN again because no answer came."},
    {"connect-timeout", Family::handshake, std::nullopt, "", kConnectTimeout,
     "A connect ended without an answer from the peer's TCP."},
    {"connect-refused", Family::handshake, std::nullopt, "", kConnectRefused,
     "A reset answered a connect: as a rule nothing listens there."},
    {"accept-queue-overflow", Family::handshake, 1s, "the oldest connection in the queue has waited for this long",
     kAcceptQueue, "The kernel turned clients away because a listener's queue of connections to accept was full."},
    {"stall-unacked", Family::stall, 1s, "nothing acknowledged for this long, and two retransmission time-outs",
     kUnacked, "Data was sent and nothing of it is acknowledged."},
    {"stall-zero-window", Family::stall, 3s, "the window has been shut for this long", kZeroWindow,
     "The peer's receive window is shut and data waits behind it."},
    {"stall-unread", Family::stall, 2s, "nothing read for this long", kUnread,
     "Data has arrived and the local process does not read it."},
    {"stall-awaiting-reply", Family::stall, 10s, "no reply for this long, or 20 times the usual wait", kAwaitingReply,
     "A request was delivered in full and its reply does not come."},
    {"stall-closing", Family::stall, 5s, "nothing acknowledged for this long", kClosing,
     "A closed connection cannot finish: its last data or its FIN is not acknowledged."},
    {"close-wait-leak", Family::stall, 60s, "closed by the peer and kept open for this long", kCloseWait,
     "The peer has closed and the local process does not close its end."},
    {"half-open-risk", Family::stall, 15min, "idle for this long", kHalfOpen,
     "An idle connection that nothing would end if the peer vanished."},
    {"memory-pressure", Family::stall, std::nullopt, "", kMemory,
     "TCP is short of memory: the kernel throttles, prunes or aborts connections."},
    {"reset", Family::ending, std::nullopt, "", kReset, "A reset ended a connection."},
    {"closed-mid-request", Family::ending, std::nullopt, "", kClosedMidRequest,
     "The peer closed while it still owed a reply."},
    {"timed-out", Family::ending, std::nullopt, "", kTimedOut, "The kernel gave up on a connection."},
};

}  // namespace

std::span<const CatalogueRow> catalogue() { return kRows; }

const CatalogueRow* find_in_catalogue(std::string_view slug) {
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                 [slug](const CatalogueRow& known) { return known.slug == slug; });
  return row == std::end(kRows) ? nullptr : row;
}

}  // namespace tcpwhy::detect
