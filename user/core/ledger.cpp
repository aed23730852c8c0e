// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace tcpwhy::core {
namespace {

using abi::TcpState;

bool begins_here(TcpState from, TcpState to) {
  if (to == TcpState::syn_sent) return true;
  return to == TcpState::established && (from == TcpState::syn_sent || from == TcpState::syn_recv);
}

// What an event shows of the end that it happened to.
struct Sight {
  abi::Socket socket;  // its tuple at the least
  abi::Owner owner;
  TcpState from = TcpState::unknown;
  TcpState state = TcpState::unknown;
};

struct SightOf {
  std::optional<Sight> operator()(const abi::Transition& e) const {
    Sight sight;
    sight.socket.tuple = e.tuple;
    sight.socket.snd_una = e.snd_una;
    sight.socket.err = e.err;
    sight.socket.total_retrans = e.total_retrans;
    if (e.pid) sight.owner = {abi::OwnerSource::current, e.pid, e.comm, {}, false, 0, e.host};
    sight.from = e.from;
    sight.state = e.to;
    return sight;
  }
  std::optional<Sight> operator()(const abi::StateChange& e) const { return Sight{e.socket, e.owner, e.from, e.to}; }
  std::optional<Sight> operator()(const abi::SynAckRetransmit& e) const { return only(e.tuple); }
  std::optional<Sight> operator()(const abi::Drop& e) const { return only(e.tuple); }
  std::optional<Sight> operator()(const abi::Seed&) const { return std::nullopt; }
  template <typename Body>
  std::optional<Sight> operator()(const Body& e) const {
    if constexpr (requires { e.socket; })
      // A reset's socket may be a listener, or a tuple alone.
      return e.socket.full && e.socket.state != TcpState::listen ? Sight{e.socket, e.owner, {}, e.socket.state}
                                                                 : only(e.socket.tuple);
    else
      return std::nullopt;
  }

 private:
  static Sight only(const abi::Tuple& tuple) {
    Sight sight;
    sight.socket.tuple = tuple;
    return sight;
  }
};

// Bytes of sequence space since the first, without SYN and FIN as far as one can tell.
std::string sequences(const abi::Socket& s, std::optional<std::uint32_t> first_sent,
                      std::optional<std::uint32_t> first_received) {
  if (!s.full) return {};
  std::string text;
  if (first_sent) text += fmt::format(" sent {}", s.snd_nxt - *first_sent);
  if (s.unacked() > 0) text += fmt::format(" unacked {}", s.unacked());
  if (first_received) text += fmt::format(" received {}", s.rcv_nxt - *first_received);
  if (s.unread() > 0) text += fmt::format(" unread {}", s.unread());
  return text + fmt::format(" window {}/{}", s.snd_wnd, s.rcv_wnd);
}

struct StepText {
  const KernelNames& names;
  std::optional<std::uint32_t> sent;  // first sequence numbers in both directions
  std::optional<std::uint32_t> received;

  std::string operator()(const abi::Transition& e) const {
    return fmt::format("{} to {}", abi::to_string(e.from), abi::to_string(e.to));
  }
  std::string operator()(const abi::StateChange& e) const {
    return fmt::format("{} to {}{}{}", abi::to_string(e.from), abi::to_string(e.to),
                       e.socket.err ? fmt::format(" error {}", e.socket.err) : "", sequences(e.socket, sent, received));
  }
  std::string operator()(const abi::Retransmit& e) const {
    if (e.type == abi::RetransmitType::syn)
      return fmt::format("SYN sent again, time-outs {}, RTO {}{}", e.socket.retransmits, util::human(e.socket.rto),
                         sequences(e.socket, sent, received));
    const std::uint32_t from = sent ? e.socket.snd_una - *sent : 0;
    return fmt::format("sent again ({}) from byte {}, time-outs {}, RTO {}{}", abi::to_string(e.type), from,
                       e.socket.retransmits, util::human(e.socket.rto), sequences(e.socket, sent, received));
  }
  std::string operator()(const abi::SynAckRetransmit& e) const {
    return fmt::format("SYN-ACK sent again by {}, client's ACK {}, accept queue {} of {}",
                       e.by_timer ? "timer" : "a SYN", e.acked ? "came and was dropped" : "not seen", e.listener.queue,
                       e.listener.limit);
  }
  std::string operator()(const abi::ResetSent& e) const {
    return fmt::format("RST sent{} {}{}", e.trigger ? fmt::format(" in answer to {} bytes", e.trigger->payload) : "",
                       names.reset_reason(e.reason), sequences(e.socket, sent, received));
  }
  std::string operator()(const abi::ResetReceived& e) const {
    return "RST received" + sequences(e.socket, sent, received);
  }
  std::string operator()(const abi::SocketError& e) const { return fmt::format("error {} reported", e.socket.err); }
  std::string operator()(const abi::Drop& e) const {
    return fmt::format(
        "a segment to it with {} bytes dropped: {}{}", e.segment.payload, names.drop_reason(e.reason),
        e.listener != abi::SocketId::none ? fmt::format(", accept queue {} of {}", e.queue, e.limit) : "");
  }
  std::string operator()(const abi::Sample& e) const {
    return fmt::format("looked at: {}{}{}", abi::to_string(e.socket.state),
                       e.socket.retransmits ? fmt::format(" time-outs {}", e.socket.retransmits) : "",
                       sequences(e.socket, sent, received));
  }
  template <typename Other>
  std::string operator()(const Other&) const {
    return {};
  }
};

struct SocketOf {
  template <typename Body>
  const abi::Socket* operator()(const Body& e) const {
    if constexpr (requires { e.socket; })
      return &e.socket;
    else
      return nullptr;
  }
};

struct StateOf {
  std::string_view operator()(const abi::Transition& e) const { return abi::to_string(e.to); }
  std::string_view operator()(const abi::StateChange& e) const { return abi::to_string(e.to); }
  std::string_view operator()(const abi::Sample& e) const { return abi::to_string(e.socket.state); }
  template <typename Other>
  std::string_view operator()(const Other&) const {
    return {};
  }
};

std::optional<LadderStep::Numbers> numbers_of(const abi::Event& event, std::optional<std::uint32_t> first_sent,
                                              std::optional<std::uint32_t> first_received) {
  const abi::Socket* const s = std::visit(SocketOf{}, event.body);
  if (!s || !s->full || s->listener) return std::nullopt;
  LadderStep::Numbers n;
  if (first_sent) n.sent = s->snd_nxt - *first_sent, n.acked = s->snd_una - *first_sent;
  if (first_received) n.received = s->rcv_nxt - *first_received;
  n.unacked = s->unacked();
  n.unread = s->unread();
  n.send_window = s->snd_wnd;
  n.receive_window = s->rcv_wnd;
  return n;
}

// Loopback addresses are another host in each namespace; others are the same from either end's.
std::uint32_t world_of(const abi::Tuple& tuple) { return tuple.local.addr.is_loopback() ? tuple.netns : 0; }

bool worse(const std::optional<Severity>& known, Severity severity) { return !known || severity > *known; }

}  // namespace

bool LedgerRow::over() const {
  const auto closed = [](const LedgerEnd& end) { return !end.seen || end.state == TcpState::close; };
  return (client_end.seen || server_end.seen) && closed(client_end) && closed(server_end);
}

const std::size_t* Ledger::known(const abi::Tuple& tuple) const {
  const auto in = newest_.find(world_of(tuple));
  if (in == newest_.end()) return nullptr;
  const auto it = in->second.find(PairKey::of(tuple));
  return it == in->second.end() ? nullptr : &it->second;
}

LedgerRow* Ledger::row_of(const abi::Tuple& tuple, util::BootTime time, bool begins) {
  if (tuple.local.port == 0 || tuple.remote.port == 0) return nullptr;
  // The same addresses again: another connection, once the one before is over.
  const std::size_t* const row_known = known(tuple);
  if (row_known && !(begins && rows_[*row_known].over())) return &rows_[*row_known];
  if (rows_.size() >= most_) {
    left_out_ += 1;
    return nullptr;
  }
  LedgerRow& row = rows_.emplace_back();
  const bool local_serves = tuple.local.port < tuple.remote.port;
  row.client = local_serves ? tuple.remote : tuple.local;
  row.server = local_serves ? tuple.local : tuple.remote;
  row.first = time;
  newest_[world_of(tuple)][PairKey::of(tuple)] = rows_.size() - 1;
  return &row;
}

void Ledger::on(const abi::Event& event) {
  const std::optional<Sight> sight = std::visit(SightOf{}, event.body);
  if (!sight) return;
  const abi::Socket& s = sight->socket;
  const bool begins = begins_here(sight->from, sight->state);
  LedgerRow* row = row_of(s.tuple, event.time, begins);
  if (!row) return;
  // Who connected is the client, whatever the ports.
  if (sight->from == TcpState::syn_sent && row->client != s.tuple.local) {
    std::swap(row->client, row->server);
    std::swap(row->client_end, row->server_end);
  }
  row->last = event.time;
  row->events += 1;
  LedgerEnd& end = s.tuple.local == row->client ? row->client_end : row->server_end;
  end.host = event.host;
  note(end, s, sight->owner, sight->state, begins);
}

void Ledger::note(LedgerEnd& end, const abi::Socket& s, const abi::Owner& owner, TcpState state, bool begins) {
  const TcpState was = std::exchange(end.state, state == TcpState::unknown ? end.state : state);
  end.seen = true;
  if (s.tuple.netns) end.netns = s.tuple.netns;
  if (s.cgroup_id) end.cgroup_id = s.cgroup_id;
  if (owner.known() && !end.owner) end.owner = process_of(owner);
  if (s.err) end.err = s.err;
  end.retransmits = std::max(end.retransmits, s.total_retrans);
  // A client's bytes_acked counts its SYN.
  const std::uint64_t acked = s.bytes_acked > 0 && !s.accepted ? s.bytes_acked - 1 : s.bytes_acked;
  if (begins && state == TcpState::established)
    end.first_una = s.snd_una;
  else if (!end.first_una && s.full && state != TcpState::syn_sent)
    end.first_una = s.snd_una - static_cast<std::uint32_t>(acked);
  const std::uint32_t since_first = end.first_una ? s.snd_una - *end.first_una : 0;
  if (since_first < 0x80000000U) end.acked = std::max<std::uint64_t>(end.acked, since_first);
  if (s.full) end.acked = std::max(end.acked, acked);
  if (state == TcpState::fin_wait2 || state == TcpState::time_wait || (was == TcpState::last_ack && end.err == 0))
    end.fin_acked = true;
}

void Ledger::mark(const ConnectionView& c, const Finding& finding) {
  const std::size_t* const row_known = known({c.local, c.remote, c.netns});
  if (!row_known) return;
  LedgerRow& row = rows_[*row_known];
  numbers_[c.number] = *row_known;
  if (row.number == 0) row.number = c.number, row.number_host = c.host;
  if (!worse(row.worst, finding.severity)) return;
  row.worst = finding.severity;
  row.slug = finding.slug;
}

void Ledger::on(const std::vector<Finding>& findings) {
  for (const Finding& f : findings) {
    if (f.connection) mark(*f.connection, f);
    if (f.peer) mark(f.peer->connection, f);
    for (const ConnectionView& example : f.examples) mark(example, f);
  }
}

const LedgerRow* Ledger::find(std::uint64_t number) const {
  const auto it = numbers_.find(number);
  return it == numbers_.end() ? nullptr : &rows_[it->second];
}

const LedgerRow* Ledger::find(const util::Endpoint& endpoint) const {
  const auto it = std::find_if(rows_.rbegin(), rows_.rend(), [&](const LedgerRow& r) { return r.client == endpoint; });
  if (it != rows_.rend()) return &*it;
  const auto served =
      std::find_if(rows_.rbegin(), rows_.rend(), [&](const LedgerRow& r) { return r.server == endpoint; });
  return served == rows_.rend() ? nullptr : &*served;
}

std::optional<LadderStep> ladder_step(const abi::Event& event, const LedgerRow& row, const KernelNames& names) {
  if (event.time < row.first || event.time > row.last) return std::nullopt;
  const std::optional<abi::Tuple> tuple = abi::tuple_of(event);
  if (!tuple) return std::nullopt;
  const bool at_client = tuple->local == row.client && tuple->remote == row.server;
  if (!at_client && !(tuple->local == row.server && tuple->remote == row.client)) return std::nullopt;
  const LedgerEnd& own = at_client ? row.client_end : row.server_end;
  const LedgerEnd& other = at_client ? row.server_end : row.client_end;
  // The same addresses in another namespace.
  if (tuple->netns && own.netns && tuple->netns != own.netns) return std::nullopt;
  return LadderStep{at_client, std::visit(StepText{names, own.first_una, other.first_una}, event.body),
                    abi::name_of(event), std::visit(StateOf{}, event.body),
                    numbers_of(event, own.first_una, other.first_una)};
}

}  // namespace tcpwhy::core
