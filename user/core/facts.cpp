// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/facts.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "user/core/host.h"
#include "user/core/silence.h"

namespace tcpwhy::core {
namespace {

using abi::TcpState;
using namespace std::chrono_literals;

constexpr auto kRememberClosed = Connections::kRememberClosed;
constexpr auto kRememberDrops = 5min;
constexpr std::size_t kMostEndpoints = 4096;
constexpr std::size_t kMostFirewalled = 16384;
constexpr std::size_t kMostProcesses = 8192;
constexpr std::size_t kMostNamespaces = 4096;
constexpr std::size_t kMaxOwners = 64;
// What the table of connections may take of all; the other tables are bounded by number, and small.
constexpr std::size_t kConnectionsShare = 2;  // 1 in
constexpr std::size_t kListenersShare = 8;
constexpr std::size_t kListenerBytes = 1024;
// A sweep that leaves out a socket may have been disturbed; the second in a row shows that nothing is wrong with it any more.
constexpr std::uint64_t kSweepsToConfirm = 2;
// A part of the sockets that are only idle is confirmed in each sweep (bpf/sweep.bpf.c).
constexpr std::uint64_t kSweepsToConfirmIdle = 2 * 16 + 2;
constexpr auto kTickSlack = 300ms;  // a sweep comes with a tick, and a tick may be late
constexpr auto kWholeSweepAgain = 10s;
// An accept queue that refused nothing for so long and is within its limit has drained.
constexpr auto kDrained = 2s;
// Jiffies and the moment of the record blur when the head of a queue entered it.
constexpr auto kSameHead = 20ms;
// Ticks come several times a second: who has said nothing for so long is not recorded any more.
constexpr auto kStillRecorded = 2s;
// Time-outs emptied its write queue and left data unacknowledged: the kernel has given it up.
bool data_given_up(const abi::Socket& s) { return s.packets_out == 0 && s.retransmits > 0 && s.unacked() > 0; }

// The error that ended it. Where the program took it away in the moment between error and end (SO_ERROR), it is told all
// the same: by a purged write queue with data unacknowledged after time-outs, or by keepalive probes that nobody answered
// on a connection that neither side closed.
int error_of(const abi::StateChange& e, const Connection& c) {
  const abi::Socket& s = e.socket;
  if (s.err != 0 || e.from == TcpState::syn_sent || s.shutdown == 3) return s.err;
  const bool keepalive_given_up = s.keepalive && s.probes_out > 0 && s.unacked() == 0 && !c.reset_received &&
                                  s.segment_age && *s.segment_age >= s.keepalive_time;
  return data_given_up(s) || keepalive_given_up ? ETIMEDOUT : 0;
}

// A loopback address is another one on each host; others are the same from either.
std::uint32_t world_of(const util::Address& address, std::uint32_t host) { return address.is_loopback() ? host : 0; }

void add_owner(std::vector<Process>& owners, const Process& process) {
  for (Process& known : owners) {
    if (!known.same(process)) continue;
    if (process.exit) known.exit = process.exit;
    return;
  }
  if (owners.size() < kMaxOwners) owners.push_back(process);
}

}  // namespace

void RecentCount::add(util::BootTime now) {
  const bool next = now - bucket_ >= kBucket;
  if (next) {
    previous_ = now - bucket_ < 2 * kBucket ? current_ : 0;
    current_ = 0;
    bucket_ = now;
  }
  current_ += 1;
}

std::uint32_t RecentCount::at(util::BootTime now) const {
  const util::Duration age = now - bucket_;
  if (age >= 2 * kBucket) return 0;
  return age >= kBucket ? current_ : current_ + previous_;
}

util::Endpoint service_endpoint(const Connection& c) {
  if (c.role == ConnectionRole::client) return c.tuple.remote;
  if (c.role == ConnectionRole::server) return c.tuple.local;
  return c.tuple.local.port < c.tuple.remote.port ? c.tuple.local : c.tuple.remote;
}

ProcessExit exit_of(std::uint32_t status) {
  const int signal = static_cast<int>(status & 0x7f);
  return {signal ? 0 : static_cast<int>((status >> 8) & 0xff), signal};
}

Process process_of(const abi::Owner& owner) {
  Process process;
  process.pid = owner.pid;
  process.comm = owner.comm;
  process.host = owner.host;
  process.start = owner.start;
  if (owner.exiting) process.exit = exit_of(owner.exit_code);
  return process;
}

namespace {

// Whom a connection or listener counts for where room is short: its cgroup, else its process, else the other end's address.
std::uint64_t source_of(const abi::Socket& socket, const abi::Owner& owner) {
  constexpr std::uint64_t kProcess = 1ULL << 62, kAddress = 1ULL << 63;
  if (socket.cgroup_id > 1)
    return socket.cgroup_id & (kProcess - 1);  // 1 is the root: most of a host without containers
  if (owner.known()) return kProcess | owner.pid;
  std::uint64_t words[2];
  // Requests count for the service that they are for: their addresses are whatever somebody wrote into a SYN.
  const util::Address& address = socket.mini ? socket.tuple.local.addr : socket.tuple.remote.addr;
  std::memcpy(words, address.bytes.data(), sizeof(words));
  if (socket.mini) words[1] ^= std::uint64_t{socket.tuple.local.port} << 48;
  return kAddress | (words[0] * 0x9e3779b97f4a7c15ULL ^ words[1]);
}

std::uint64_t source_of(const util::Address& address) {
  abi::Socket socket;
  socket.tuple.remote.addr = address;
  return source_of(socket, {});
}

}  // namespace

Facts::Facts(KernelNames names, const FactsBounds& bounds)
    : names_(std::move(names)),
      bounds_(bounds),
      connections_(std::min(bounds.connections, bounds.bytes / kConnectionsShare / Connections::kBytesEach),
                   [this](const Connection& c, bool forgotten) { gone(c, forgotten); }),
      listeners_(bounds.bytes / kListenersShare / kListenerBytes),
      firewall_(kMostFirewalled),
      refused_(kMostEndpoints),
      losses_(kMostEndpoints),
      processes_(kMostProcesses),
      mibs_(kMostNamespaces) {}

void Facts::name_hosts(std::vector<std::string> names) {
  hosts_.resize(std::max<std::size_t>(1, names.size()));
  several_ = names.size() > 1;
  for (std::size_t i = 0; several_ && i < names.size(); ++i) hosts_[i].name = std::move(names[i]);
}

bool Facts::covers(std::uint32_t host, util::BootTime since) const {
  const OfHost& h = of(host);
  return h.first != util::BootTime{} && h.first <= since && now_ - h.last <= kStillRecorded && !lost_since(since, host);
}

void Facts::apply(const abi::Event& event) {
  advance(event.time);
  host_ = event.host < hosts_.size() ? event.host : 0;
  if (several_) {
    if (here().first == util::BootTime{}) here().first = event.time;
    here().last = event.time;
    sightings_.on(event);
  }
  std::visit([this](const auto& body) { on(body); }, event.body);
}

// Connections ---------------------------------------------------------------------------------------------------------

const Connection* Facts::connection(abi::SocketId key) const { return connections_.find(key); }

const Connection* Facts::connection_at(const abi::Tuple& tuple) const {
  return const_cast<Facts*>(this)->connections_.at(tuple);
}

const Connection* Facts::peer_of(const Connection& connection) const { return connections_.peer_of(connection); }

Connection& Facts::make(abi::SocketId key, const abi::Tuple& tuple, std::uint64_t source) {
  Connection& c = connections_.make(key, tuple, now_, source);
  c.host = host_;
  return c;
}

void Facts::gone(const Connection& c, bool forgotten) {
  const auto key = static_cast<std::uint64_t>(c.key);
  end_episode(c.key);
  silent_.erase(key);
  if (forgotten) forgotten_meanwhile_.insert(key);
}

void Facts::own(Connection& c, const abi::Owner& owner) {
  if (!owner.known()) return;
  const Process process = process_of(owner);
  if (c.owner_basis != OwnerBasis::observed) c.owners.clear();
  c.owner_basis = OwnerBasis::observed;
  add_owner(c.owners, process);
}

// An accepted connection has its listener's owners until somebody is seen to hold it.
void Facts::inherit(Connection& c) {
  if (c.role == ConnectionRole::client || (c.role == ConnectionRole::server && c.owner_basis != OwnerBasis::none))
    return;
  const Listener* l = c.listener != abi::SocketId::none ? listener(c.listener) : nullptr;
  if (!l) l = listener_at(c.tuple.local, c.tuple.netns);
  if (!l) l = gone_listener_at(c.tuple.local, c.tuple.netns);
  if (!l) return;
  c.role = ConnectionRole::server;
  if (c.listener == abi::SocketId::none) c.listener = l->id;
  if (l->owners.empty() || c.owner_basis != OwnerBasis::none) return;
  c.owners = l->owners;
  for (Process& owner : c.owners) owner.exit.reset();
  c.owner_basis = OwnerBasis::inherited;
}

void Facts::seed(std::uint64_t id, const Process& process) {
  if (seeds_.size() >= bounds_.connections) {
    seeds_left_out_ += 1;
    return;
  }
  // The walk goes process by process: the one of the record before is the usual answer.
  if (seed_processes_.empty() || !seed_processes_.back().same(process)) seed_processes_.push_back(process);
  const auto index = static_cast<std::uint32_t>(seed_processes_.size() - 1);
  const auto [it, is_new] = seeds_.emplace(id, index);
  if (is_new || it->second == index) return;
  if (more_seeds_.size() >= bounds_.connections)
    seeds_left_out_ += 1;
  else
    more_seeds_.emplace(id, index);
}

bool Facts::own_from_seed(Connection& c, abi::SocketId id) {
  const auto it = seeds_.find(static_cast<std::uint64_t>(id));
  if (id == abi::SocketId::none || it == seeds_.end()) return false;
  add_owner(c.owners, seed_processes_[it->second]);
  const auto [first, last] = more_seeds_.equal_range(it->first);
  for (auto more = first; more != last; ++more) add_owner(c.owners, seed_processes_[more->second]);
  c.owner_basis = OwnerBasis::observed;
  return true;
}

// The connection of a record: by cookie; else by addresses, where it has no cookie.
Connection& Facts::touch(const abi::Socket& socket, const abi::Owner& owner) {
  Connection* c = socket.id != abi::SocketId::none ? find(socket.id) : connections_.at(socket.tuple);
  if (!c && socket.id != abi::SocketId::none) c = connections_.adopt(socket.id, socket.tuple, now_);
  note_local(socket.tuple);
  const bool is_new = c == nullptr;
  if (is_new)
    c = &make(socket.id, socket.tuple, source_of(socket, owner));
  else
    connections_.use(*c, now_);
  c->last_seen = now_;
  if (c->tuple != socket.tuple && socket.tuple.local.port != 0 && socket.tuple.remote.port != 0) {
    // A connect gets its port late; a disconnected socket may be reused for another destination.
    connections_.move(*c, socket.tuple);
    c->first_sent.reset();
    c->first_received.reset();
  }
  if (socket.full) {
    if (several_) note_first_bytes(*c, first_bytes(socket));
    c->socket = socket;
    c->socket_time = now_;
    c->state = socket.state;
    connections_.note_talking(*c);
  }
  if (is_new) {
    // Until all that was there is known, what is not known to have begun since may have been there.
    const bool was_there = own_from_seed(*c, socket.id) || !here().seeded;
    c->before_trace = was_there && owner.source != abi::OwnerSource::connect;
  }
  own(*c, owner);
  if (owner.source == abi::OwnerSource::connect || socket.state == TcpState::syn_sent) c->role = ConnectionRole::client;
  inherit(*c);
  guess_role(*c, socket);
  return *c;
}

void Facts::note_first_bytes(Connection& c, const FirstBytes& first) {
  if (!c.first_sent) c.first_sent = first.sent;
  if (!c.first_received) c.first_received = first.received;
}

void Facts::guess_role(Connection& c, const abi::Socket& socket) const {
  // Only a listener's child has a backlog. One without is a client's end, unless it listens with a backlog of 0.
  if (socket.full && socket.accepted) c.role = ConnectionRole::server;
  if (c.role != ConnectionRole::unknown) return;
  // With the other end connecting, this one was connected to.
  const Connection* peer = peer_of(c);
  if (peer && peer->role == ConnectionRole::client) c.role = ConnectionRole::server;
  if (peer && peer->role == ConnectionRole::server) c.role = ConnectionRole::client;
  if (c.role == ConnectionRole::unknown && socket.full) c.role = ConnectionRole::client;
}

void Facts::progress(Connection& c, const abi::Socket& s) {
  // A look in the moment before its state changes: what was stuck has not moved.
  if (data_given_up(s)) return;
  const bool stuck = s.retransmits > 0 && s.packets_out > 0;
  if (!stuck || (c.episode && s.snd_una != c.episode_una)) {
    if (c.episode && s.snd_una != c.episode_una) c.episodes_repaired += 1;
    c.episode = false;
    c.episode_timeouts = 0;
    end_episode(c.key);
  }
  if (!stuck) return;
  if (!c.episode) {
    c.episode = true;
    c.episode_una = s.snd_una;
    // The head segment was sent at least one time-out before its first retransmission (retrans_stamp).
    const auto first_retransmission = now_ - s.retrans_age.value_or(util::Duration{});
    const auto first_rto = util::Duration{s.rto.count() >> std::min<int>(s.backoff, 20)};
    c.episode_start = first_retransmission - first_rto;
  }
  // One time-out may be one lost segment; the second says that nothing gets through.
  if (s.retransmits >= 2) begin_episode(c);
  c.episode_proof = now_;
  if (c.episode_timeouts < 2 && s.retransmits >= 2) note_repeat(c);
  c.episode_timeouts = std::max<std::uint32_t>(c.episode_timeouts, s.retransmits);
}

void Facts::begin_episode(const Connection& c) {
  const auto where = std::pair{c.tuple.netns, c.tuple.remote.addr};
  if (episodes_.emplace(static_cast<std::uint64_t>(c.key), where).second)
    stalled_remotes_[where.first][where.second] += 1;
}

void Facts::end_episode(abi::SocketId key) {
  const auto it = episodes_.find(static_cast<std::uint64_t>(key));
  if (it == episodes_.end()) return;
  const auto [netns, remote] = it->second;
  auto& remotes = stalled_remotes_[netns];
  if (--remotes[remote] == 0) remotes.erase(remote);
  if (remotes.empty()) stalled_remotes_.erase(netns);
  episodes_.erase(it);
}

std::size_t Facts::stalled_remotes(std::uint32_t netns) const {
  const auto it = stalled_remotes_.find(netns);
  return it == stalled_remotes_.end() ? 0 : it->second.size();
}

std::size_t Facts::senders_stalled(std::uint32_t netns, const util::Address& remote) const {
  const auto it = stalled_remotes_.find(netns);
  if (it == stalled_remotes_.end()) return 0;
  const auto of_remote = it->second.find(remote);
  return of_remote == it->second.end() ? 0 : of_remote->second;
}

std::vector<abi::SocketId> Facts::stuck() const {
  std::vector<abi::SocketId> keys;
  keys.reserve(silent_.size() + episodes_.size());
  for (const std::uint64_t key : silent_) keys.push_back(abi::SocketId{key});
  for (const auto& [key, where] : episodes_)
    if (!silent_.contains(key)) keys.push_back(abi::SocketId{key});
  return keys;
}

// Listeners -----------------------------------------------------------------------------------------------------------

const Listener* Facts::listener(abi::SocketId id) const { return listeners_.find(id); }

const Listener* Facts::listener_at(const util::Endpoint& endpoint, std::uint32_t netns) const {
  return listeners_.at(endpoint, netns, local_addresses_);
}

const Listener* Facts::gone_listener_at(const util::Endpoint& endpoint, std::uint32_t netns) const {
  return listeners_.gone_at(endpoint, netns);
}

Listener& Facts::listen(const abi::Socket& socket, const abi::Owner& owner) {
  note_local(socket.tuple);
  return listeners_.listen(socket.id, socket.tuple, host_, now_, source_of(socket, owner));
}

void Facts::observe(Listener& l, const abi::Socket& s) {
  const std::uint32_t grown = l.drops_known ? s.drops - l.drops : 0;
  l.observed = now_;
  l.queue = s.queue;
  l.limit = s.limit;
  if (s.cgroup_id != 0) l.cgroup_id = s.cgroup_id;
  l.requests = s.requests;
  l.young = s.young;
  observe_head(l, s.queue > 0 ? s.head_age : std::nullopt, s.head_port);
  l.drops = s.drops;
  l.drops_known = true;
  // sk_drops also counts what else a listener drops. Between a refusal and this look at the queue some may have been
  // accepted: half full (or as many requests as the queue holds) is near enough.
  const bool near_full = l.queue >= (l.limit + 1) / 2 || l.requests >= l.limit;
  if (grown > 0 && (near_full || (l.first_refusal && now_ - l.last_refusal < 2s))) refusal(l, 0, s.drops - grown);
}

// The head of the queue is the same while it entered the queue at the same moment: then nothing was accepted.
void Facts::observe_head(Listener& l, std::optional<util::Duration> age, std::uint16_t port) {
  const auto entered = age ? now_ - *age : util::BootTime{};
  const auto moved = l.head_entered > entered ? l.head_entered - entered : entered - l.head_entered;
  if (!age || !l.head_age || moved > kSameHead || port != l.head_port) {
    l.head_port = port;
    l.head_entered = entered;
    l.same_head_since = now_;
  }
  l.head_age = age;
  l.head_seen = now_;
}

void Facts::refusal(Listener& l, std::uint64_t acks, std::uint32_t drops_before) {
  if (!l.first_refusal) {
    l.first_refusal = now_;
    refusing_.insert(static_cast<std::uint64_t>(l.id));
    l.refused_acks = 0;
    l.drops_before = drops_before;
  }
  l.last_refusal = now_;
  l.refused_acks += acks;
}

// Events --------------------------------------------------------------------------------------------------------------

void Facts::on(const abi::StateChange& e) {
  if (e.to == TcpState::listen) {
    Listener& l = listen(e.socket, e.owner);
    l.owners.clear();
    if (e.owner.known()) add_owner(l.owners, process_of(e.owner));
    observe(l, e.socket);
    return;
  }
  if (e.from == TcpState::listen) {
    Listener& l = listen(e.socket, e.owner);
    if (e.owner.known()) {
      l.ended_by = process_of(e.owner);
      if (e.owner.exiting) l.ended_exit = exit_of(e.owner.exit_code);
      add_owner(l.owners, *l.ended_by);
    }
    listeners_.end(l, now_);
    return;
  }
  // An abort from outside (ss -K) runs in that program's context: not the owner.
  const bool destroyed = e.to == TcpState::close && e.socket.err == ECONNABORTED;
  Connection& c = touch(e.socket, destroyed ? abi::Owner{} : e.owner);
  if (destroyed && e.owner.source == abi::OwnerSource::current) c.destroyed_by = process_of(e.owner);
  if (e.owner.exiting && e.owner.source == abi::OwnerSource::current && !destroyed)
    c.owner_exit = exit_of(e.owner.exit_code);
  c.state = e.to;
  if (e.to == TcpState::established) {
    c.established = now_;
    if (e.socket.total_retrans > 0) note_repair(c);
  }
  if (e.from == TcpState::syn_sent) {
    c.role = ConnectionRole::client;
    // One that the host could not send (no neighbour just then) has no event, and counts all the same.
    if (e.socket.full) c.syn_retransmits = std::max(c.syn_retransmits, e.socket.total_retrans);
    // Now, while the table holds it: the RST was sent in the same moment.
    const RefusedEndpoint* refused = e.to == TcpState::close ? this->refused(c.tuple.remote, c.host) : nullptr;
    c.refused_by_stack = refused && c.reset_received && refused->last_stack_rst + 100ms > c.reset_received->time;
  }
  if (e.from == TcpState::syn_recv && c.role == ConnectionRole::unknown) c.role = ConnectionRole::server;
  if (e.to == TcpState::close) {
    c.ending = Ending{now_, e.from, error_of(e, c)};
    if (e.from != TcpState::syn_sent && e.socket.err == 0 && e.socket.total_retrans > 0 && e.socket.unacked() <= 1)
      note_repair(c);
    if (c.reset_sent && c.reset_sent->state_before == TcpState::unknown) c.reset_sent->state_before = e.from;
    c.episode = false;
    end_episode(c.key);
    c.silence = {};
  } else if (e.to == TcpState::established) {
    progress(c, e.socket);
  }
  if (e.to != TcpState::close) look(c, now_);
  note_silence(c);
  if (e.to == TcpState::close) connections_.close(c, now_);
}

void Facts::note_silence(const Connection& c) {
  if (c.silence.any())
    silent_.insert(static_cast<std::uint64_t>(c.key));
  else
    silent_.erase(static_cast<std::uint64_t>(c.key));
}

void Facts::on(const abi::Retransmit& e) {
  Connection& c = touch(e.socket, e.owner);
  if (e.type == abi::RetransmitType::syn) {
    c.syn_retransmits += 1;
    if (c.syn_retransmits == 1) c.connect_started = now_ - e.socket.rto;
    if (c.syn_retransmits == 2) note_repeat(c);
  } else if (e.type == abi::RetransmitType::timeout) {
    progress(c, e.socket);
  }
}

// The client's end of a request, where it is on this host.
void Facts::client_end(const abi::SynAckRetransmit& e) {
  if (e.client == abi::SocketId::none) return;
  Connection* client = find(e.client);
  if (!client) {
    abi::Socket socket;
    socket.tuple = e.tuple.mirrored();
    client = &make(e.client, socket.tuple, source_of(socket, e.client_owner));
    client->state = TcpState::established;
    // The client may live in another namespace; its own records will tell which.
    client->tuple.netns = e.client_netns.value_or(e.tuple.local.addr.is_loopback() ? e.tuple.netns : 0);
    if (e.client_netns) client->host = host_of_netns(*e.client_netns);
  }
  if (several_) note_first_bytes(*client, {e.client_isn + 1, e.server_isn + 1});
  client->role = ConnectionRole::client;
  client->last_seen = now_;
  if (!client->established) client->established = e.client_established;
  own(*client, e.client_owner);
  if (client->owners.empty()) own_from_seed(*client, e.client);
}

void Facts::on(const abi::SynAckRetransmit& e) {
  Listener& l = listen(e.listener);
  observe(l, e.listener);
  abi::Socket request;
  request.id = e.request;
  request.tuple = e.tuple;
  request.state = TcpState::new_syn_recv;
  request.mini = true;
  Connection& c = touch(request, {});
  if (several_) note_first_bytes(c, {e.server_isn + 1, e.client_isn + 1});
  c.state = TcpState::new_syn_recv;
  c.role = ConnectionRole::server;
  c.listener = e.listener.id;
  c.client = e.client;
  if (e.client_established) c.client_established = e.client_established;
  c.client_acked = c.client_acked || e.acked;
  if (e.acked && e.listener.defer == 0) c.last_overflow = now_;
  if (e.by_timer)
    c.synack_timer_retransmits = std::max<std::uint32_t>(c.synack_timer_retransmits + 1, e.num_timeout + 1U);
  if (e.by_timer && c.synack_timer_retransmits == 2) note_repeat(c);
  if (!e.by_timer) c.synack_duplicate_syns += 1;
  inherit(c);
  client_end(e);
  if (e.acked && e.listener.defer == 0 && e.listener.over_limit()) refusal(l, 0, l.drops);
}

void Facts::on(const abi::ResetSent& e) {
  // The answer to a SYN where nobody listens: no connection ever was.
  const bool no_socket = e.socket.state == TcpState::unknown;
  if (no_socket && e.trigger && e.trigger->syn && !e.trigger->ack) {
    const util::Endpoint& to = e.socket.tuple.local;
    refused_.use({world_of(to.addr, host_), to}, now_, source_of(e.socket.tuple.remote.addr)).value.last_stack_rst =
        now_;
    return;
  }
  const bool listener_sent = e.socket.state == TcpState::listen;
  abi::Socket socket = e.socket;
  if (listener_sent) {
    // The tuple is the segment's: the connection is not the listener's socket.
    observe(listen([&] {
              abi::Socket s = e.socket;
              if (const Listener* known = listener(e.socket.id)) s.tuple = known->tuple;
              return s;
            }()),
            e.socket);
    socket = {};
    socket.tuple = e.socket.tuple;
    socket.mini = true;
  }
  Connection& c = touch(socket, e.owner);
  if (listener_sent) {
    c.listener = e.socket.id;
    c.role = ConnectionRole::server;
    inherit(c);
  }
  // Each segment that still comes is answered with another RST: the first tells why the connection ended.
  if (c.reset_sent && now_ - c.reset_sent->time < kRememberClosed) return;
  SentReset sent{now_, e.socket, e.trigger, e.reason, TcpState::unknown};
  if (c.ending && now_ - c.ending->time < 2s)
    sent.state_before = c.ending->from;
  else if (e.socket.state != TcpState::close)
    sent.state_before = e.socket.state;
  c.reset_sent = sent;
}

void Facts::on(const abi::ResetReceived& e) {
  Connection& c = touch(e.socket, e.owner);
  c.reset_received = ReceivedReset{now_, e.socket};
}

void Facts::on(const abi::SocketError& e) { touch(e.socket, e.owner); }

void Facts::on_refusal(const abi::Drop& e) {
  const Listener* known =
      e.listener != abi::SocketId::none ? listener(e.listener) : listener_at(e.tuple.local, e.tuple.netns);
  if (!known) return;
  Listener& l = *listeners_.find(known->id);
  refusal(l, 1, l.drops_known ? l.drops : e.drops - 2);
  l.observed = now_;
  l.queue = e.queue;
  l.limit = e.limit;
  observe_head(l, e.queue > 0 ? e.head_age : std::nullopt, e.head_port);
  l.drops = e.drops;
  l.drops_known = true;
  abi::Socket request;
  request.tuple = e.tuple;
  request.mini = true;
  Connection& c = touch(request, {});
  if (c.state == TcpState::unknown) c.state = TcpState::new_syn_recv;
  c.role = ConnectionRole::server;
  c.listener = l.id;
  c.overflow_drops += 1;
  c.last_overflow = now_;
  inherit(c);
}

void Facts::on(const abi::Drop& e) {
  const std::string_view reason = names_.drop_reason(e.reason);
  if (reason == "PROTO_MEM") {
    here().overruns.add(now_);
    here().overruns_total += 1;
    here().last_overrun = e.tuple;
    return;
  }
  if (reason != "NETFILTER_DROP") return on_refusal(e);
  const PairKey key = PairKey::of(e.tuple);
  FirewallDrops& drops =
      firewall_.use({world_of(e.tuple.local.addr, host_), key}, now_, source_of(e.tuple.remote.addr)).value;
  if (drops.count == 0) drops.first = now_;
  drops.host = host_;
  drops.count += 1;
  drops.last = now_;
  (e.tuple.local == key.a ? drops.last_to_a : drops.last_to_b) = now_;
}

void Facts::on(const abi::Seed& e) {
  const Process process = process_of(e.owner);
  if (e.socket.state == TcpState::listen) {
    Listener& l = listen(e.socket, e.owner);
    if (process.pid) add_owner(l.owners, process);
    observe(l, e.socket);
    return;
  }
  if (!process.pid || e.socket.id == abi::SocketId::none) return;
  if (several_) note_local(e.socket.tuple);
  if (!here().seeded) {
    seed(static_cast<std::uint64_t>(e.socket.id), process);
    if (Connection* c = find(e.socket.id)) own(*c, e.owner);  // something happened to it before the walk came to it
    return;
  }
  // An answer to a want: the facts are the newest there are.
  touch(e.socket, e.owner);
}

// The same socket has connected again.
void Facts::revive(Connection& c) {
  c.ending.reset();
  c.reset_sent.reset();
  c.reset_received.reset();
  c.owner_exit.reset();
}

void Facts::on(const abi::Sample& e) {
  if (e.socket.listener) {
    observe(listen(e.socket), e.socket);
    return;
  }
  const bool known = e.socket.id != abi::SocketId::none ? find(e.socket.id) : connections_.at(e.socket.tuple);
  if (!known) {
    // Sweeps are generous: what is in no trouble takes no room here.
    Connection probe;
    probe.socket = e.socket;
    look(probe, e, now_);
    if (!probe.silence.any() && e.socket.retransmits == 0) return;
  }
  Connection& c = touch(e.socket, e.owner);
  if (c.ending && now_ - c.ending->time > kSameHead && e.socket.state != TcpState::close) revive(c);
  if (c.ending) return;
  if (e.socket.state != TcpState::syn_sent) progress(c, e.socket);
  look(c, e, now_);
  c.silence.look = here().sweeps + 1;
  c.silence.looked = now_;
  note_silence(c);
}

void Facts::on(const abi::Lost& e) {
  if (abi::loses_events(e.way)) lost_total_ += e.count;
  // A want that was not answered, a queue that was not shown whole: what is judged without them is judged right.
  if (e.way == abi::LossWay::want || e.way == abi::LossWay::queue || e.way == abi::LossWay::walk) return;
  here().lost += e.count;
  here().last_loss = now_;
}

void Facts::on(const abi::Limited& e) {
  if (e.kind == "drop") here().last_drop_left_out = now_;
  if (e.kind == "reset_sent") here().last_reset_left_out = now_;
}

void Facts::on(const abi::SeedEnd& e) {
  here().seeded = here().seeded || e.initial;
  here().seed_walks += 1;
}

void Facts::on(const abi::Still& e) {
  for (const abi::SocketId id : e.ids) {
    Connection* c = find(id);
    if (c) {
      c->silence.look = here().sweeps + 1;
      c->silence.looked = now_;
    }
    if ((!c || (!c->silence.any() && !c->ending)) && connections_.evicted() > forgotten_swept_ &&
        now_ - whole_sweep_asked_ >= kWholeSweepAgain) {
      forgotten_swept_ = connections_.evicted();
      whole_sweep_asked_ = now_;
      whole_sweep_wanted_ = true;
    }
  }
}

void Facts::on(const abi::SweepEnd& e) {
  here().sweep_interval = e.interval;
  here().sweeps += 1;
  here().confirms = e.confirms;
  here().swept = now_;
  expire_looks();
}

// What a sweep confirms each time was not confirmed: what waits in an accept queue was accepted; of others a record may have
// been lost, so only the second time counts.
void Facts::expire_looks() {
  for (auto it = silent_.begin(); it != silent_.end();) {
    Connection* c = find(abi::SocketId{*it});
    bool over = !c;
    if (c && c->host == host_) {
      const std::uint64_t missed = here().sweeps - std::min(c->silence.look, here().sweeps);
      const std::uint64_t allowed = c->silence.only_idle() ? kSweepsToConfirmIdle : kSweepsToConfirm;
      over = (c->in_accept_queue() && missed > 0) || (here().confirms && missed >= allowed);
    }
    if (over && c) c->silence = {};
    it = over ? silent_.erase(it) : std::next(it);
  }
}

std::optional<util::Duration> Facts::look_age(const Connection& c) const {
  if (!of(c.host).confirms || !c.silence.any()) return std::nullopt;
  return now_ - c.silence.looked;
}

bool Facts::looked_at_lately(const Connection& c) const {
  const OfHost& host = of(c.host);
  if (!host.confirms || !c.silence.any() || c.silence.only_idle()) return true;
  return now_ - c.silence.looked <= host.sweep_interval + kTickSlack;
}

void Facts::on(const abi::ProcessState& e) {
  const auto [known, is_new] = processes_.use(e.pid, now_);
  ProcessLook look{e, now_, std::nullopt};
  if (is_new || known.newest.state.start != e.start) {
    known = Observed{std::move(look), std::nullopt};
    return;
  }
  // Two looks at one moment say nothing of the time between them.
  const ProcessLook& last = known.newest;
  look.cpu_share = last.cpu_share;
  if (now_ - last.at >= 100ms && e.cpu >= last.state.cpu)
    look.cpu_share =
        std::chrono::duration<double>{e.cpu - last.state.cpu} / std::chrono::duration<double>{now_ - last.at};
  known.before = std::exchange(known.newest, std::move(look));
}

void Facts::on(const abi::Mib& e) {
  const auto [observed, is_new] = mibs_.use(e.netns, now_);
  if (is_new) observed.first = e;
  observed.second = e;
}

std::uint64_t Facts::mib_growth(std::uint32_t netns, abi::MibCounter counter, std::uint32_t host) const {
  const auto i = static_cast<std::size_t>(counter);
  std::uint64_t growth = 0;
  mibs_.for_each([&](std::uint32_t in, const auto& observed) {
    const auto& [first, newest] = observed;
    if ((netns == 0 ? host_of_netns(in) == host : in == netns) && newest.values.at(i) > first.values.at(i))
      growth += newest.values.at(i) - first.values.at(i);
  });
  return growth;
}

void Facts::drained() {
  for (auto it = refusing_.begin(); it != refusing_.end();) {
    Listener* l = listeners_.find(abi::SocketId{*it});
    const bool over = !l || l->ended || (!l->over_limit() && now_ - l->last_refusal >= kDrained);
    if (over && l) l->first_refusal.reset();
    it = over ? refusing_.erase(it) : std::next(it);
  }
}

void Facts::on(const abi::Tick&) {
  forgotten_ = std::exchange(forgotten_meanwhile_, {});
  drained();
  connections_.forget_closed(now_);
  if (firewall_.empty() || now_.time_since_epoch() / 1s % 60 != 0) return;
  firewall_.erase_if([this](const auto&, const FirewallDrops& drops) { return now_ - drops.last > kRememberDrops; });
}

LossFigures& Facts::loss_at(const util::Endpoint& service) { return losses_.use(service, now_).value; }

void Facts::note_repair(const Connection& c) { loss_at(service_endpoint(c)).repaired.add(now_); }
void Facts::note_repeat(const Connection& c) { loss_at(service_endpoint(c)).repeated.add(now_); }

bool Facts::loss_is_random(const util::Endpoint& service) const {
  const LossFigures* figures = losses_.find(service);
  if (!figures) return false;
  const std::uint32_t repaired = figures->repaired.at(now_);
  return repaired > 0 && repaired >= 4 * figures->repeated.at(now_);
}

const FirewallDrops* Facts::firewall_drops(const abi::Tuple& tuple) const {
  return firewall_.find({world_of(tuple.local.addr, host_of_netns(tuple.netns)), PairKey::of(tuple)});
}

bool Facts::has_all_drops(util::BootTime since) const {
  return !firewall_.forgot(since) && std::all_of(hosts_.begin(), hosts_.end(), [since](const OfHost& host) {
    return host.last_drop_left_out < since;
  });
}

const RefusedEndpoint* Facts::refused(const util::Endpoint& endpoint, std::uint32_t host) const {
  return refused_.find({world_of(endpoint.addr, host), endpoint});
}

bool Facts::has_all_refusals(util::BootTime since, std::uint32_t host) const {
  return !lost_since(since, host) && !refused_.forgot(since) && of(host).last_reset_left_out < since;
}

const abi::ProcessState* Facts::process(std::uint32_t pid) const {
  const ProcessLook* look = process_look(pid);
  return look ? &look->state : nullptr;
}

const ProcessLook* Facts::process_look(std::uint32_t pid) const {
  const Observed* observed = processes_.find(pid);
  return observed ? &observed->newest : nullptr;
}

const ProcessLook* Facts::process_look(std::uint32_t pid, util::BootTime not_after) const {
  const Observed* observed = processes_.find(pid);
  if (!observed) return nullptr;
  if (observed->newest.at <= not_after) return &observed->newest;
  return observed->before && observed->before->at <= not_after ? &*observed->before : nullptr;
}

std::map<std::string, std::uint64_t> Facts::evictions() const {
  const std::pair<const char*, std::uint64_t> all[] = {{"connections", connections_.evicted()},
                                                       {"closed_connections", connections_.evicted_closed()},
                                                       {"seeds", seeds_left_out_},
                                                       {"listeners", listeners_.evicted()},
                                                       {"local_addresses", local_addresses_.evicted()},
                                                       {"firewall_drops", firewall_.evicted()},
                                                       {"refused_endpoints", refused_.evicted()},
                                                       {"losses", losses_.evicted()},
                                                       {"processes", processes_.evicted()},
                                                       {"counters", mibs_.evicted()}};
  std::map<std::string, std::uint64_t> result;
  for (const auto& [table, count] : all)
    if (count > 0) result.emplace(table, count);
  return result;
}

}  // namespace tcpwhy::core
