// SPDX-License-Identifier: GPL-2.0-only
// reset: an RST ended a connection. Where both ends are on this host, one finding tells it from the sender's end with the
// receiver as peer. An RST that arrives waits a moment for its sender: on loopback it is traced first.
#include <fmt/format.h>

#include <array>
#include <csignal>

#include "user/detect/definition.h"
#include "user/detect/elsewhere.h"
#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;
using abi::TcpState;
using core::Connection;
using core::ConnectionRole;
using core::CulpritKind;
using core::SentReset;
using core::Severity;

constexpr std::string_view kCauseNames[] = {
    "never-accepted", "process-exit", "close-with-unread-data", "data-after-close", "linger-zero",   "client-abandoned",
    "memory",         "orphan-limit", "socket-destroyed",       "disconnect",       "stray-segment", "time-wait",
    "peer-abort"};
constexpr core::FindingSpec kSpec{
    .slug = "reset",
    .family = core::Family::ending,
    .rank = 46,
    .instant = true,
    .causes = kCauseNames,
    .meaning = "A reset ended a connection.",
};

// The other end's event is at most a softirq away; the tick after next has it.
constexpr auto kOtherEnd = 300ms;

bool has_payload(const SentReset& sent) { return sent.trigger && sent.trigger->payload > 0; }
bool by_listener(const SentReset& sent) { return sent.socket.state == TcpState::listen; }
bool without_socket(const SentReset& sent) { return sent.socket.state == TcpState::unknown; }

bool owner_died(const Connection& c) { return c.owner_exit.has_value(); }

// The end that aborts is the one that asked and was owed the answer.
bool is_client_abort(const Connection& c) { return c.role == ConnectionRole::client; }

// Requests live for a minute at most: data that meets a listener that refused nobody for longer is a stray.
constexpr auto kRequestLives = 65s;

// Of the end that was reset: nothing that it ever sent was acknowledged but its SYN.
bool nothing_arrived(const Connection* reset) {
  return reset && reset->reset_received && reset->reset_received->socket.full &&
         reset->reset_received->socket.bytes_acked <= 1;
}

// The request that was refused was seen: by its SYN-ACKs, or by a segment that the listener dropped.
bool request_was_seen(const Connection& c) { return c.client_acked || c.overflow_drops > 0; }

bool never_accepted(const Connection& c, const SentReset& sent, const core::Listener* l, const Connection* peer) {
  const bool refused_lately = l && (l->first_refusal || refused_after(*l, sent.time - kRequestLives));
  // The listener is gone, too, and with it the request that it had refused to turn into a connection.
  if (without_socket(sent) && !c.established && !c.ending)
    return request_was_seen(c) || (has_payload(sent) && refused_lately && nothing_arrived(peer));
  if (by_listener(sent))
    return request_was_seen(c) || (has_payload(sent) && refused_lately) || sent.socket.over_limit();
  // A child in the accept queue has no socket yet and is no orphan.
  return sent.socket.full && !sent.socket.has_socket && !sent.socket.orphan && !sent.trigger;
}

// What a cause is judged by.
struct Ending {
  const Connection& c;
  const SentReset& s;
  std::string_view reason;
  const core::Listener* listener;
  const Connection* peer;
};

// Data came to an end that had closed.
bool met_data_after_close(const Ending& e) {
  if (!e.s.trigger || e.reason == "TCP_ABORT_ON_DATA") return e.reason == "TCP_ABORT_ON_DATA";
  if (!has_payload(e.s)) return false;
  return e.s.socket.state == TcpState::time_wait || (e.s.socket.full && (e.s.socket.shutdown & 1) != 0) ||
         (without_socket(e.s) && e.c.ending.has_value());
}

struct Row {
  std::string_view cause;
  bool (*applies)(const Ending&);
};

// In the order of precedence: the kernel's own statement where it names one cause only, then the rest.
constexpr std::array kCauses{
    Row{"memory", [](const Ending& e) { return e.reason == "TCP_ABORT_ON_MEMORY"; }},
    Row{"never-accepted", [](const Ending& e) { return never_accepted(e.c, e.s, e.listener, e.peer); }},
    Row{"socket-destroyed",
        [](const Ending& e) {
          return !e.s.trigger &&
                 (e.c.destroyed_by || (e.s.socket.full && e.s.socket.state != TcpState::close && !e.s.socket.orphan));
        }},
    Row{"process-exit",
        [](const Ending& e) {
          return (!e.s.trigger || met_data_after_close(e)) && owner_died(e.c) &&
                 (!is_client_abort(e.c) || e.c.owner_exit->signal != 0);
        }},
    Row{"client-abandoned",
        [](const Ending& e) {
          const abi::Socket& s = e.s.socket;
          const bool aborted = s.unread() > 0 || outstanding_of(s).reply_owed || s.unacked() > 0;
          return !e.s.trigger && is_client_abort(e.c) && s.full && aborted && s.shutdown == 3;
        }},
    Row{"linger-zero",
        [](const Ending& e) { return !e.s.trigger && e.s.socket.linger_zero && e.s.socket.state == TcpState::close; }},
    Row{"close-with-unread-data",
        [](const Ending& e) {
          return !e.s.trigger &&
                 (e.reason == "TCP_ABORT_ON_CLOSE" || (e.s.socket.unread() > 0 && e.s.socket.shutdown == 3));
        }},
    // It closed while the reply was still on its way (or did not want it any more): nobody waits for what was lost.
    Row{"client-abandoned", [](const Ending& e) { return is_client_abort(e.c) && met_data_after_close(e); }},
    Row{"data-after-close", [](const Ending& e) { return met_data_after_close(e); }},
    Row{"disconnect",
        [](const Ending& e) {
          const abi::Socket& s = e.s.socket;
          return !e.s.trigger && s.full && s.state == TcpState::close && s.has_socket && s.shutdown != 3;
        }},
    Row{"time-wait", [](const Ending& e) { return e.s.socket.state == TcpState::time_wait; }},
    Row{"stray-segment", [](const Ending& e) { return e.s.trigger.has_value(); }},
};

class Reset final : public core::Detector {
 public:
  explicit Reset(const Thresholds&) : Detector(kSpec) {}

  void on_event(const abi::Event& event, core::Scene& scene) override {
    if (const auto* sent = std::get_if<abi::ResetSent>(&event.body)) {
      on_sent(*sent, scene);
    } else if (const auto* received = std::get_if<abi::ResetReceived>(&event.body)) {
      // In SYN_SENT it is a refused connect; and what this host sent is told from the sender's end.
      const Connection* c = scene.facts.connection(received->socket.id);
      if (received->socket.state != TcpState::syn_sent && !(c && sent_by_peer(*c, scene)))
        scene.book.raise(*this, {received->socket.id, abi::SocketId::none}, event.time);
    }
  }

  std::optional<core::Verdict> judge(const core::Case& c, const core::Scene& scene) const override {
    const Connection* end = scene.facts.connection(c.subject.connection);
    if (!end || (!scene.final && scene.now() - c.raised < kOtherEnd)) return std::nullopt;
    if (end->reset_sent) return judge_sent(*end, scene);
    if (end->reset_received) return judge_received(*end, scene);
    return std::nullopt;
  }

  void describe(core::Finding& f) const override {
    if (f.cause == "peer-abort")
      describe_abort(f);
    else
      describe_cause(f);
    explain_elsewhere(f);
    if (f.count_total > 1)
      f.words.effect += fmt::format("{}{} connections so far", f.words.effect.empty() ? "" : "; ", f.count_total);
  }

 private:
  void on_sent(const abi::ResetSent& event, core::Scene& scene) {
    // The facts' time: of several processors records come a little out of order, and theirs never goes back.
    const util::BootTime time = scene.now();
    const Connection* c = event.socket.id != abi::SocketId::none && event.socket.state != TcpState::listen
                              ? scene.facts.connection(event.socket.id)
                              : scene.facts.connection_at(event.socket.tuple);
    if (!c || !c->reset_sent || c->reset_sent->time != time) return;
    // Part of a time-out or of a connect that was never one; told there.
    const std::string_view reason = scene.facts.names().reset_reason(event.reason);
    const bool keepalive = !event.trigger && event.socket.full && event.socket.keepalive &&
                           event.socket.probes_out > 0 && event.socket.state != TcpState::close;
    if (keepalive || reason == "TCP_KEEPALIVE_TIMEOUT" || (event.socket.full && event.socket.err == ETIMEDOUT)) return;
    if (event.socket.state == TcpState::syn_sent || (event.trigger && event.trigger->syn && !event.trigger->ack))
      return;
    // One RST for each segment that still comes: the first tells.
    scene.book.raise(*this, {c->key, abi::SocketId::none}, time);
    if (const Connection* peer = scene.facts.peer_of(*c)) scene.book.withdraw(*this, {peer->key, abi::SocketId::none});
  }

  static bool sent_by_peer(const Connection& end, const core::Scene& scene) {
    const Connection* peer = scene.facts.peer_of(end);
    return peer && peer->reset_sent && end.reset_received && end.reset_received->time - peer->reset_sent->time < 2s &&
           peer->reset_sent->time - end.reset_received->time < 2s;
  }

  // All its life this end only took. Where the RST came from no full socket (TIME_WAIT, none), by the last look at it.
  static bool never_spoke(const Connection& c) {
    const abi::Socket& s = c.reset_sent->socket.full ? c.reset_sent->socket : c.socket;
    return s.full && s.bytes_acked <= 1 && s.unacked() <= 1;
  }

  // A session with a connection that tells and others that carry (iperf3, FTP): what the two agree on over the one ends the
  // others, in whatever state they are.
  static void look_at_siblings(core::Verdict& v, const Connection& c, const core::Scene& scene) {
    v.siblings = c.tuple;
    v.siblings->remote.port = 0;
    if (!scene.facts.talking_sibling(c)) return;
    v.severity = Severity::info;
    v.evidence.set("talks_on_another_connection", true);
  }

  static std::string_view cause_of(const Connection& c, const core::Scene& scene) {
    const Ending ending{c, *c.reset_sent, scene.facts.names().reset_reason(c.reset_sent->reason),
                        scene.facts.listener(c.listener), scene.facts.peer_of(c)};
    for (const Row& row : kCauses)
      if (row.applies(ending)) return row.cause;
    return "unknown";
  }

  // What the receiver lost: from its own socket where it is here, else from what the sender threw away.
  static Outstanding loss_of_receiver(const Connection& sender, const core::Scene& scene) {
    const Connection* peer = scene.facts.peer_of(sender);
    Outstanding o;
    if (peer && peer->reset_received) {
      o = outstanding_of(peer->reset_received->socket);
      // A server that spoke last waits for the next request, not for a reply.
      o.reply_owed = o.reply_owed && peer->role != ConnectionRole::server;
      return o;
    }
    const SentReset& sent = *sender.reset_sent;
    if (has_payload(sent)) o.unacked = sent.trigger->payload;
    o.reply_owed =
        !sent.trigger && sender.role == ConnectionRole::server && sent.socket.full && sent.socket.unread() > 0;
    return o;
  }

  std::optional<core::Verdict> judge_sent(const Connection& c, const core::Scene& scene) const {
    const SentReset& sent = *c.reset_sent;
    core::Verdict v;
    v.cause = cause_of(c, scene);
    v.direction = core::Direction::sent;
    v.service = core::service_endpoint(c);
    v.listener = c.listener;
    const Outstanding lost = loss_of_receiver(c, scene);
    v.severity = severity_of(v.cause, lost);
    const bool unwanted = v.cause == "close-with-unread-data" || v.cause == "data-after-close";
    if (unwanted && never_spoke(c)) look_at_siblings(v, c, scene);
    v.culprit = culprit_of(v.cause, c, scene);
    const bool follows = v.cause == "never-accepted" && without_socket(sent) && !request_was_seen(c);
    const bool kernel_says = v.cause != "stray-segment" && v.cause != "unknown" && !follows;
    v.confidence = kernel_says ? core::Confidence::certain : core::Confidence::likely;
    if (const std::string_view reason = scene.facts.names().reset_reason(sent.reason); !reason.empty())
      v.evidence.set("reason", core::EvidenceValue{std::string{reason}});
    if (sent.state_before != TcpState::unknown)
      v.evidence.set("state_before", core::EvidenceValue{std::string{abi::to_string(sent.state_before)}});
    const Outstanding own = outstanding_of(sent.socket);
    if (sent.socket.full) v.evidence.set("unread_bytes", unread_of(sent));
    if (sent.socket.full) v.evidence.set("unacked_bytes", own.unacked);
    v.evidence.set("reply_owed", lost.reply_owed);
    v.evidence.set("peer_unacked_bytes", lost.unacked);
    v.evidence.set("sender", "local");
    if (v.cause == "memory")
      add_counters(v.evidence, c.tuple.netns, {abi::MibCounter::abort_on_memory, abi::MibCounter::memory_pressures},
                   scene.facts, c.host);
    if (c.owner_exit) {
      v.evidence.set("exit_code", c.owner_exit->code);
      v.evidence.set("exit_signal", c.owner_exit->signal);
    }
    if (c.before_trace) v.evidence.set("history", "began before the trace");
    if (v.cause == "stray-segment") add_elsewhere_of_stray(v, c, sent.time, scene);
    return v;
  }

  // Closing keeps the sequence numbers; a FIN that was received is no unread data.
  static std::uint32_t unread_of(const SentReset& sent) {
    const std::uint32_t unread = sent.socket.unread();
    return sent.state_before == TcpState::close_wait && unread > 0 ? unread - 1 : unread;
  }

  std::optional<core::Verdict> judge_received(const Connection& c, const core::Scene& scene) const {
    // Told from the sender's end.
    if (sent_by_peer(c, scene)) return std::nullopt;
    const Outstanding lost = outstanding_of(c.reset_received->socket);
    core::Verdict v;
    v.cause = "peer-abort";
    v.direction = core::Direction::received;
    v.service = core::service_endpoint(c);
    v.listener = c.listener;
    const bool owed = lost.unacked > 0 || (lost.reply_owed && c.role != ConnectionRole::server);
    // Both ends had already said that they send no more: nothing is lost.
    const bool was_over = c.reset_received->socket.shutdown == 3 ||
                          c.reset_received->socket.state == TcpState::last_ack ||
                          c.reset_received->socket.state == TcpState::closing;
    v.severity = owed ? Severity::critical : was_over ? Severity::info : Severity::warning;
    v.confidence = core::Confidence::certain;
    v.culprit = blame_remote(c.tuple.remote);
    v.evidence.set("state_before", core::EvidenceValue{std::string{abi::to_string(c.reset_received->socket.state)}});
    v.evidence.set("unacked_bytes", lost.unacked);
    v.evidence.set("unread_bytes", lost.unread);
    v.evidence.set("reply_owed", lost.reply_owed);
    v.evidence.set("sender", "remote");
    if (c.tuple.remote.addr.is_loopback() || scene.facts.peer_of(c)) {
      // It must have come from this host, but no socket was seen to send it: a reject rule, or a socket long gone.
      v.culprit = blame(CulpritKind::unknown);
      v.confidence = core::Confidence::unsure;
      if (!scene.facts.names().tells_resets_without_socket()) infer_sender(v, c, lost, scene);
    }
    return v;
  }

  // Where the kernel tells no RST that it sends without a socket: what became of the socket, or why there never was one.
  static void infer_sender(core::Verdict& v, const Connection& c, const Outstanding& lost, const core::Scene& scene) {
    const Connection* peer = scene.facts.peer_of(c);
    const core::Listener* l = scene.facts.listener_at(c.tuple.remote, c.tuple.netns);
    if (!l) l = scene.facts.gone_listener_at(c.tuple.remote, c.tuple.netns);
    const bool only_a_request = !peer || (!peer->established && !peer->ending);
    if (peer && peer->ending && c.role != ConnectionRole::server) {
      v.cause = lost.unacked == 0 ? "stray-segment" : owner_died(*peer) ? "process-exit" : "data-after-close";
      v.culprit = culprit_of(v.cause, *peer, scene);
    } else if (only_a_request && l && c.role == ConnectionRole::client && nothing_arrived(&c) &&
               refused_after(*l, scene.now() - kRequestLives)) {
      v.cause = "never-accepted";
      v.listener = l->id;
      v.culprit = culprit_of_listener(*l);
    } else {
      return;
    }
    v.severity = severity_of(v.cause, lost);
    v.confidence = core::Confidence::likely;
    v.evidence.set("sender", "local");
  }

  static Severity severity_of(std::string_view cause, const Outstanding& lost) {
    if (cause == "client-abandoned" || cause == "stray-segment" || cause == "time-wait") return Severity::info;
    if (cause == "memory" || cause == "orphan-limit") return Severity::critical;
    const bool lost_something = lost.unacked > 0 || lost.reply_owed;
    if (cause == "linger-zero" && !lost_something) return Severity::info;
    return lost_something ? Severity::critical : Severity::warning;
  }

  static core::Culprit culprit_of_listener(const core::Listener& l) {
    core::Culprit culprit = l.ended_by ? blame(*l.ended_by) : blame_owner(l.owners);
    if (culprit.process && l.ended_exit) culprit.process->exit = l.ended_exit;
    return culprit;
  }

  static core::Culprit culprit_of(std::string_view cause, const Connection& c, const core::Scene& scene) {
    if (cause == "memory" || cause == "orphan-limit") return blame(CulpritKind::kernel_limit);
    if (cause == "socket-destroyed") return c.destroyed_by ? blame(*c.destroyed_by) : blame(CulpritKind::unknown);
    if (cause == "stray-segment" || cause == "time-wait") return blame(CulpritKind::unknown);
    if (cause == "never-accepted") {
      const core::Listener* l = scene.facts.listener(c.listener);
      return l ? culprit_of_listener(*l) : blame_owner(c.owners);
    }
    core::Culprit culprit = blame_owner(c.owners);
    if (culprit.process && c.owner_exit) culprit.process->exit = c.owner_exit;
    return culprit;
  }

  static std::string receiver_words(const core::Finding& f) {
    if (f.direction == core::Direction::received && f.owner) return core::name_of(*f.owner);
    if (f.peer && f.peer->owner) return core::name_of(*f.peer->owner);
    return remote_words(f);
  }

  static std::string lost_words(const core::Finding& f, std::string_view key) {
    std::string words;
    if (const std::int64_t unacked = f.evidence.number(key); unacked > 0)
      words = fmt::format("{} not acknowledged", bytes_words(static_cast<std::uint64_t>(unacked)));
    if (f.evidence.flag("reply_owed"))
      words += words.empty() ? "was owed a reply" : " and was owed a reply";
    else if (!words.empty())
      words = "had " + words;
    return words;
  }

  static void describe_abort(core::Finding& f) {
    const std::string who = f.owner ? core::name_of(*f.owner) : "a process here";
    const std::string lost = lost_words(f, "unacked_bytes");
    core::Words& w = f.words;
    w.summary = fmt::format("{} reset the connection of {}.", remote_words(f), who);
    w.cause = f.culprit.kind == CulpritKind::unknown
                  ? "the RST came from this host, but no socket was seen to send it (a reject rule?)"
                  : "the remote end, or a device on the way, sent an RST";
    w.effect = lost.empty() ? fmt::format("{} had nothing outstanding", who) : fmt::format("{} {}", who, lost);
    w.evidence = fmt::format("RST received in {}", f.evidence.text("state_before"));
    w.advice = {fmt::format(
        "look at the other end's log at this second; run tcpwhy there to learn which of its processes closed")};
  }

  static void describe_cause(core::Finding& f) {
    const bool received = f.direction == core::Direction::received;
    const std::string who = f.culprit.process ? core::name_of(*f.culprit.process)
                            : received        ? "the other end"
                            : f.owner         ? core::name_of(*f.owner)
                                              : "the kernel";
    const std::string to = receiver_words(f);
    const std::string lost = lost_words(f, received ? "unacked_bytes" : "peer_unacked_bytes");
    core::Words& w = f.words;
    w.summary = summary_of(f, who, to);
    w.cause = cause_words(f, who);
    w.effect = lost.empty() ? std::string{} : fmt::format("{} {}", to, lost);
    w.evidence = fmt::format("RST {}{}{}{}", received ? "received" : "sent",
                             f.evidence.has("state_before") ? " in " + f.evidence.text("state_before") : "",
                             f.evidence.has("reason") ? ", the kernel's reason: " + f.evidence.text("reason") : "",
                             received ? "; this kernel does not tell who sent it" : "");
    w.advice = {advice_of(f, who)};
  }

  static std::string exit_of(const core::Finding& f) {
    return f.culprit.process && f.culprit.process->exit ? was(exit_words(*f.culprit.process->exit)) : "exited";
  }

  static std::string summary_of(const core::Finding& f, const std::string& who, const std::string& to) {
    if (f.cause == "never-accepted")
      return fmt::format("a connection of {} was reset: {} never accepted its connection.", to, who);
    if (f.cause == "process-exit") return fmt::format("a connection of {} was reset: {} {}.", to, who, exit_of(f));
    if (f.cause == "socket-destroyed")
      return fmt::format("a connection of {} was reset: the socket was destroyed{}.", to,
                         f.culprit.process ? " by " + who : " from outside (ss -K or the like)");
    if (f.cause == "data-after-close")
      return fmt::format("a connection of {} was reset: it sent data after {} had closed.", to, who);
    if (f.cause == "client-abandoned") return fmt::format("{} abandoned its request to {}.", who, to);
    if (f.cause == "stray-segment" || f.cause == "time-wait")
      return fmt::format("a late segment of {} met no connection and was answered with an RST.", to);
    return fmt::format("{} reset its connection with {}.", who, to);
  }

  static std::string cause_words(const core::Finding& f, const std::string& who) {
    const auto unread = static_cast<std::uint64_t>(f.evidence.number("unread_bytes"));
    if (f.cause == "never-accepted")
      return f.listener && f.listener->queue > f.listener->limit
                 ? queue_words(*f.listener)
                 : fmt::format("the connection waited in the accept queue of {} and was never accepted", who);
    if (f.cause == "process-exit") return fmt::format("{} {} with the connection open", who, exit_of(f));
    if (f.cause == "close-with-unread-data")
      return fmt::format("{} closed with {} unread{}", who, bytes_words(unread),
                         f.evidence.flag("talks_on_another_connection")
                             ? "; the two talk over another connection, which may have ended this one"
                             : "");
    if (f.cause == "data-after-close")
      return fmt::format("{} closed before the other end had finished sending{}", who,
                         f.evidence.flag("talks_on_another_connection")
                             ? "; the two talk over another connection, which may have ended this one"
                             : "");
    if (f.cause == "linger-zero")
      return fmt::format("{} closed with SO_LINGER 0, which discards what is in flight", who);
    if (f.cause == "client-abandoned")
      return unread > 0
                 ? fmt::format("{} closed before it had read the whole reply ({} unread)", who, bytes_words(unread))
                 : fmt::format("{} closed before the whole reply had arrived", who);
    if (f.cause == "memory") return "the kernel is out of memory for TCP, or has too many orphans";
    if (f.cause == "socket-destroyed") return "somebody asked the kernel to destroy the socket";
    if (f.cause == "disconnect")
      return fmt::format("{} disconnected the socket (connect with AF_UNSPEC, or shutdown)", who);
    if (f.cause == "time-wait") return "the connection was already in TIME_WAIT here";
    if (f.cause == "stray-segment") return "no connection here knows this segment: it expired, or never was";
    return "not enough evidence";
  }

  static bool culprit_serves(const core::Finding& f) {
    const bool receiver = f.direction == core::Direction::received;
    return !f.connection || (f.connection->role == ConnectionRole::server) != receiver;
  }

  static std::string advice_of(const core::Finding& f, const std::string& who) {
    if (f.cause == "never-accepted")
      return fmt::format("find what keeps {} from accepting; see accept-queue-overflow", who);
    if (f.cause == "process-exit" && f.culprit.process && f.culprit.process->exit)
      return exit_advice(*f.culprit.process->exit, who, culprit_serves(f));
    if (f.cause == "process-exit") return fmt::format("find out why {} ended: its log, journalctl", who);
    if (f.cause == "close-with-unread-data") return fmt::format("{} must read what it was sent before it closes", who);
    if (f.cause == "data-after-close")
      return fmt::format("{} closes too early: shutdown(SHUT_WR), then read to the end, then close", who);
    if (f.cause == "linger-zero") return fmt::format("remove SO_LINGER 0 from {} where data may be in flight", who);
    if (f.cause == "memory")
      return "net.ipv4.tcp_mem, net.ipv4.tcp_max_orphans; which process holds the memory (ss -tm)?";
    if (f.cause == "socket-destroyed") return "who runs ss -K or a socket killer on this host?";
    return "nothing to do where it is rare";
  }
};

}  // namespace

constinit const Definition kReset{kSpec, make<Reset>};

}  // namespace tcpwhy::detect
