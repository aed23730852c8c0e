// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/event_text.h"

#include <fmt/format.h>

#include "user/core/host.h"
#include "user/core/losses.h"

namespace tcpwhy::core {
namespace {

std::string ends(const abi::Tuple& t) { return util::to_string(t.local) + " -> " + util::to_string(t.remote); }

std::string on(const std::string& host) { return host.empty() ? host : " on " + host; }

std::string by(const abi::Owner& o) {
  return o.known() ? fmt::format(" {}[{}]{}", o.comm, plain_pid(o.pid), on(o.host)) : std::string{};
}

std::string sequences(const abi::Socket& s) {
  return fmt::format("unacked {} unread {} window {}/{}", s.unacked(), s.unread(), s.snd_wnd, s.rcv_wnd);
}

struct Words {
  const KernelNames& names;

  std::string operator()(const abi::Transition& e) const {
    const std::string who = e.pid ? fmt::format(" {}[{}]{}", e.comm, plain_pid(e.pid), on(e.host)) : std::string{};
    return fmt::format("{} {} to {}{}", ends(e.tuple), abi::to_string(e.from), abi::to_string(e.to), who);
  }
  std::string operator()(const abi::StateChange& e) const {
    return fmt::format("{} {} to {} err {}/{} {}{}{}", ends(e.socket.tuple), abi::to_string(e.from),
                       abi::to_string(e.to), e.socket.err, e.socket.err_soft, sequences(e.socket), by(e.owner),
                       e.owner.exiting ? " (exiting)" : "");
  }
  std::string operator()(const abi::Retransmit& e) const {
    return fmt::format("{} {} {} timeouts {} rto {} {}{}{}", ends(e.socket.tuple), abi::to_string(e.socket.state),
                       abi::to_string(e.type), e.socket.retransmits, util::human(e.socket.rto), sequences(e.socket),
                       by(e.owner), e.error ? fmt::format(" not sent (error {})", -e.error) : "");
  }
  std::string operator()(const abi::SynAckRetransmit& e) const {
    return fmt::format("{} by {} acked {} time-outs {} sent again {} queue {} of {}", ends(e.tuple),
                       e.by_timer ? "timer" : "duplicate SYN", e.acked ? "yes" : "no", e.num_timeout, e.num_retrans,
                       e.listener.queue, e.listener.limit);
  }
  std::string operator()(const abi::ResetSent& e) const {
    return fmt::format("{} {} {}{} {}", ends(e.socket.tuple), abi::to_string(e.socket.state),
                       e.trigger ? "passive" : "active", by(e.owner), names.reset_reason(e.reason));
  }
  std::string operator()(const abi::ResetReceived& e) const {
    return fmt::format("{} {} {}{}", ends(e.socket.tuple), abi::to_string(e.socket.state), sequences(e.socket),
                       by(e.owner));
  }
  std::string operator()(const abi::SocketError& e) const {
    return fmt::format("{} {} err {} {}{}", ends(e.socket.tuple), abi::to_string(e.socket.state), e.socket.err,
                       sequences(e.socket), by(e.owner));
  }
  std::string operator()(const abi::Drop& e) const {
    return fmt::format("{} {} payload {}{}", ends(e.tuple.mirrored()), names.drop_reason(e.reason), e.segment.payload,
                       e.listener != abi::SocketId::none ? fmt::format(" queue {} of {}", e.queue, e.limit) : "");
  }
  std::string operator()(const abi::Sample& e) const {
    if (e.socket.listener)
      return fmt::format("{} LISTEN queue {} of {} drops {}", util::to_string(e.socket.tuple.local), e.socket.queue,
                         e.socket.limit, e.socket.drops);
    return fmt::format("{} {} timeouts {} unsent {} {}{}", ends(e.socket.tuple), abi::to_string(e.socket.state),
                       e.socket.retransmits, e.socket.unsent(), sequences(e.socket), by(e.owner));
  }
  std::string operator()(const abi::Lost& e) const {
    if (!abi::loses_events(e.way)) return fmt::format("{} {}", e.count, loss_phrase(e.way, e.count));
    return fmt::format("{} {} of kind {} {} lost{}", e.count, e.count == 1 ? "event" : "events", e.kind,
                       e.count == 1 ? "was" : "were",
                       e.way == abi::LossWay::ring ? "" : ": " + std::string{loss_reason(e.way)});
  }
  std::string operator()(const abi::ProcessState& e) const {
    std::string text =
        fmt::format("{} state {} threads {} cpu {}", plain_pid(e.pid), e.state, e.threads, util::human(e.cpu));
    if (!e.wait_channel.empty()) text += " in " + e.wait_channel;
    if (e.polling) text += fmt::format(" waiting-for-sockets {}", *e.polling);
    if (e.read_age) text += fmt::format(" read {} ago", util::human(*e.read_age));
    return text;
  }
  std::string operator()(const abi::Limited& e) const {
    return fmt::format("{} events of kind {} were left out by the rate limit", e.count, e.kind);
  }
  std::string operator()(const abi::Mib& e) const {
    std::string text = fmt::format("netns {}", plain_netns(e.netns));
    for (std::size_t i = 0; i < e.values.size(); ++i)
      if (e.values.at(i) > 0) text += fmt::format(" {} {}", abi::kMibNames.at(i), e.values.at(i));
    return text;
  }
  std::string operator()(const abi::Host& e) const {
    return fmt::format("TCP holds {} pages (limits {}, {}, {}), {} orphans of {}", e.memory, e.memory_low,
                       e.memory_pressure, e.memory_high, e.orphans, e.orphans_limit);
  }
  std::string operator()(const abi::Clock& e) const {
    return fmt::format("the wall clock was set {}", util::moved_words(e.moved));
  }
  std::string operator()(const abi::Seed&) const { return {}; }
  std::string operator()(const abi::Tick&) const { return {}; }
  std::string operator()(const abi::SeedEnd&) const { return {}; }
  std::string operator()(const abi::SweepEnd&) const { return {}; }
  std::string operator()(const abi::Still&) const { return {}; }
};

}  // namespace

std::string event_text(const abi::Event& event, const KernelNames& names) {
  return std::visit(Words{names}, event.body);
}

}  // namespace tcpwhy::core
