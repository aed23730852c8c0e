// SPDX-License-Identifier: GPL-2.0-only
// Facts: everything known of the host's connections and listeners, built from the stream alone. Events go in through
// apply(); detectors read. Nothing here judges.
#pragma once

#include <tsl/robin_map.h>

#include <map>
#include <set>
#include <unordered_map>

#include "user/abi/event.h"
#include "user/core/bounded_table.h"
#include "user/core/connections.h"
#include "user/core/kernel_names.h"
#include "user/core/listeners.h"
#include "user/core/pair_key.h"
#include "user/core/sightings.h"

namespace tcpwhy::core {

// Segments of one connection that a firewall on this host dropped.
struct FirewallDrops {
  std::uint64_t count = 0;
  util::BootTime first{};
  util::BootTime last{};
  util::BootTime last_to_a{};  // receiver is PairKey::a
  util::BootTime last_to_b{};
  std::uint32_t host = 0;  // whose firewall
};

struct RefusedEndpoint {
  util::BootTime last_stack_rst{};  // an RST of this host's own stack answered a SYN to it
};

// How many in the last ten to twenty seconds.
class RecentCount {
 public:
  void add(util::BootTime now);
  [[nodiscard]] std::uint32_t at(util::BootTime now) const;

 private:
  static constexpr util::Duration kBucket = std::chrono::seconds{10};
  util::BootTime bucket_{};
  std::uint32_t current_ = 0;
  std::uint32_t previous_ = 0;
};

// What became of segments that were lost on the way to one service. Random loss repairs itself with the first
// retransmission nearly always; a path, a listener or a firewall that swallows everything repairs nothing.
struct LossFigures {
  RecentCount repaired;  // connections that went on after a retransmission
  RecentCount repeated;  // connections whose second retransmission was lost, too
};

// How much the facts may hold; what does not fit is forgotten, and counted.
struct FactsBounds {
  std::size_t connections = 262144;
  std::size_t bytes = std::size_t{128} << 20;  // of all tables together
};

// What a process was seen to do.
struct ProcessLook {
  abi::ProcessState state;
  util::BootTime at{};
  std::optional<double> cpu_share;  // of one CPU, since the look before
};

class Facts {
 public:
  Facts(KernelNames names, const FactsBounds& bounds);
  Facts(const Facts&) = delete;
  Facts& operator=(const Facts&) = delete;

  // Several hosts' recordings are read together: their names, in the order of their numbers.
  void name_hosts(std::vector<std::string> names);
  void apply(const abi::Event& event);
  // All that a transition is to the facts.
  void advance(util::BootTime time) { now_ = std::max(now_, time); }

  [[nodiscard]] util::BootTime now() const { return now_; }
  [[nodiscard]] const KernelNames& names() const { return names_; }

  // Null where it is not known (any more).
  [[nodiscard]] const Connection* connection(abi::SocketId key) const;
  [[nodiscard]] const Connection* connection_at(const abi::Tuple& tuple) const;
  // The other end, where it is here: same addresses mirrored, in any namespace, not closed long before. On the same host
  // before another; on another only where what is known of the initial sequence numbers agrees.
  [[nodiscard]] const Connection* peer_of(const Connection& connection) const;
  // Another connection between the same two addresses and the same service, both of whose ends spoke in the last seconds,
  // not over before this one ended (when it began is not known of most). Only what was asked for is known, and of many the
  // last to speak.
  [[nodiscard]] const Connection* talking_sibling(const Connection& connection) const {
    return connections_.talking_sibling(connection, now_);
  }
  [[nodiscard]] const Listener* listener(abi::SocketId id) const;
  // The listener that a segment to this endpoint reaches: exact address first, then wildcard; any namespace where netns
  // is 0, or where the endpoint is in no listener of that namespace and exactly one other has it.
  [[nodiscard]] const Listener* listener_at(const util::Endpoint& endpoint, std::uint32_t netns) const;
  // An address of this host: loopback, or the local address of a socket in that namespace (0: any).
  [[nodiscard]] bool is_local(const util::Address& address, std::uint32_t netns) const {
    return local_addresses_.has(address, netns);
  }
  // The last listener that was there and is gone, in this run.
  [[nodiscard]] const Listener* gone_listener_at(const util::Endpoint& endpoint, std::uint32_t netns) const;
  [[nodiscard]] const FirewallDrops* firewall_drops(const abi::Tuple& tuple) const;
  // Whether no drop of a firewall since the time is missing here but by lost events: each came one by one, none was forgotten.
  [[nodiscard]] bool has_all_drops(util::BootTime since) const;
  // Whether what was lost on the way to this service was repaired at least four times in five: random loss.
  [[nodiscard]] bool loss_is_random(const util::Endpoint& service) const;
  // As seen from this host.
  [[nodiscard]] const RefusedEndpoint* refused(const util::Endpoint& endpoint, std::uint32_t host) const;
  // Whether no RST of this host's stack since the time is missing there.
  [[nodiscard]] bool has_all_refusals(util::BootTime since, std::uint32_t host) const;
  // Whether no listener that ended since the time was forgotten.
  [[nodiscard]] bool has_all_listeners(util::BootTime since) const { return !listeners_.forgot(since); }
  // The newest observation of a process, and the share of one CPU that it used since the one before it.
  [[nodiscard]] const abi::ProcessState* process(std::uint32_t pid) const;
  // The newest look at it, or the newer of the last two that is not after that moment; nullptr where there is none.
  [[nodiscard]] const ProcessLook* process_look(std::uint32_t pid) const;
  [[nodiscard]] const ProcessLook* process_look(std::uint32_t pid, util::BootTime not_after) const;

  // How much a counter of a network namespace (0: of all that were observed on the host) has grown in this run.
  [[nodiscard]] std::uint64_t mib_growth(std::uint32_t netns, abi::MibCounter counter, std::uint32_t host) const;

  // Connections in some silence, as of the last sweep; a silence lasts until a look shows that something moved.
  [[nodiscard]] const std::set<std::uint64_t>& silent() const { return silent_; }
  // Those, and the ones whose retransmissions are not answered, each once.
  [[nodiscard]] std::vector<abi::SocketId> stuck() const;
  [[nodiscard]] util::Duration sweep_interval(std::uint32_t host) const { return of(host).sweep_interval; }
  // How old the look is that this connection's silence rests on; absent where sweeps do not confirm (old recordings), and
  // where there is no silence.
  [[nodiscard]] std::optional<util::Duration> look_age(const Connection& connection) const;
  [[nodiscard]] bool sweeps_confirm(std::uint32_t host) const { return of(host).confirms; }
  // Whether that look is one of the last interval. True where sweeps do not confirm.
  [[nodiscard]] bool looked_at_lately(const Connection& connection) const;
  // A sweep confirmed a socket that had to make room here: it is to be reported anew. True once each time.
  bool take_whole_sweep_wanted() { return std::exchange(whole_sweep_wanted_, false); }
  // TCP's memory and orphans, where they are near their limits.
  [[nodiscard]] const std::optional<abi::Host>& host(std::uint32_t host) const { return of(host).memory; }
  // Segments that found no room in their receiver's buffer, lately and in all; the receiver of the last.
  [[nodiscard]] std::uint32_t overruns_lately(std::uint32_t host) const { return of(host).overruns.at(now_); }
  [[nodiscard]] std::uint64_t overruns(std::uint32_t host) const { return of(host).overruns_total; }
  [[nodiscard]] const abi::Tuple& last_overrun(std::uint32_t host) const { return of(host).last_overrun; }

  // Events lost on this host at or after the time.
  [[nodiscard]] bool lost_since(util::BootTime time, std::uint32_t host) const {
    return of(host).lost > 0 && of(host).last_loss >= time;
  }
  [[nodiscard]] std::uint64_t lost_total() const { return lost_total_; }
  // Open connections that had to make room.
  [[nodiscard]] std::uint64_t evicted() const { return connections_.evicted(); }
  // What had to make room, by table; those without evictions are left out.
  [[nodiscard]] std::map<std::string, std::uint64_t> evictions() const;
  [[nodiscard]] bool any_forgotten() const { return !forgotten_.empty(); }
  // An open connection that had to make room since the tick before this one.
  [[nodiscard]] bool was_forgotten(abi::SocketId key) const {
    return forgotten_.contains(static_cast<std::uint64_t>(key));
  }
  // What an open finding stands on makes room last. Each pin is undone by one unpin.
  void pin(abi::SocketId connection, abi::SocketId listener) {
    connections_.pin(connection);
    listeners_.pin(listener);
  }
  void unpin(abi::SocketId connection, abi::SocketId listener) {
    connections_.unpin(connection);
    listeners_.unpin(listener);
  }
  [[nodiscard]] std::size_t connections_tracked() const { return connections_.size(); }  // now
  [[nodiscard]] std::uint64_t connections_total() const { return connections_.total(); }
  [[nodiscard]] std::uint64_t seed_walks(std::uint32_t host) const { return of(host).seed_walks; }
  [[nodiscard]] std::uint64_t sweeps(std::uint32_t host) const { return of(host).sweeps; }
  [[nodiscard]] bool seeded(std::uint32_t host) const { return of(host).seeded; }

  // Of several hosts; false, and empty, in a single run.
  [[nodiscard]] bool several_hosts() const { return several_; }
  [[nodiscard]] const std::string& host_name(std::uint32_t host) const { return of(host).name; }
  // The host's recording began before the time, goes on until now, and lost nothing between.
  [[nodiscard]] bool covers(std::uint32_t host, util::BootTime since) const;
  // What another host told of the other end of this connection; null where nothing.
  [[nodiscard]] const Sighting* seen_elsewhere(const Connection& c) const { return sightings_.other_end(c); }

  [[nodiscard]] const Listeners& listeners() const { return listeners_; }
  // How many remote addresses have a connection with two time-outs or more in a row, in this namespace.
  [[nodiscard]] std::size_t stalled_remotes(std::uint32_t netns) const;
  // How many senders of the namespace to that address are.
  [[nodiscard]] std::size_t senders_stalled(std::uint32_t netns, const util::Address& remote) const;

 private:
  // What is one for a whole host.
  struct OfHost {
    std::string name;
    util::BootTime first{};  // of its events
    util::BootTime last{};
    bool seeded = false;
    std::uint64_t seed_walks = 0;
    std::uint64_t sweeps = 0;
    util::Duration sweep_interval{};
    std::optional<abi::Host> memory;
    RecentCount overruns;
    std::uint64_t overruns_total = 0;
    abi::Tuple last_overrun;
    std::uint64_t lost = 0;
    util::BootTime last_loss{};
    util::BootTime last_drop_left_out{};  // by a rate limit
    util::BootTime last_reset_left_out{};
    bool confirms = false;   // its sweeps do
    util::BootTime swept{};  // when the last sweep ended
  };
  [[nodiscard]] const OfHost& of(std::uint32_t host) const { return hosts_[host < hosts_.size() ? host : 0]; }
  OfHost& here() { return hosts_[host_]; }

  void on(const abi::StateChange&);
  void on(const abi::Retransmit&);
  void on(const abi::SynAckRetransmit&);
  void on(const abi::ResetSent&);
  void on(const abi::ResetReceived&);
  void on(const abi::SocketError&);
  void on(const abi::Drop&);
  void on_refusal(const abi::Drop&);
  void on(const abi::Seed&);
  void on(const abi::Sample&);
  void on(const abi::Lost&);
  void on(const abi::SeedEnd&);
  void on(const abi::Still&);
  void on(const abi::SweepEnd&);
  void on(const abi::ProcessState&);
  void on(const abi::Tick&);
  void on(const abi::Limited&);
  void on(const abi::Clock&) {}  // no fact: only what is printed rests on it
  void on(const abi::Host& e) { here().memory = e; }
  void on(const abi::Mib& e);
  void on(const abi::Transition&) {}  // ordinary life: no verdict rests on it

  Connection& touch(const abi::Socket& socket, const abi::Owner& owner);
  Connection& make(abi::SocketId key, const abi::Tuple& tuple, std::uint64_t source);
  void gone(const Connection& connection, bool forgotten);
  static void note_first_bytes(Connection& connection, const FirstBytes& first);
  Connection* find(abi::SocketId key) { return connections_.find(key); }
  void own(Connection& connection, const abi::Owner& owner);
  void inherit(Connection& connection);
  Listener& listen(const abi::Socket& socket, const abi::Owner& owner = {});
  void refusal(Listener& listener, std::uint64_t acks, std::uint32_t drops_before);
  void observe(Listener& listener, const abi::Socket& socket);
  void observe_head(Listener& listener, std::optional<util::Duration> age, std::uint16_t port);
  void note_local(const abi::Tuple& tuple) { local_addresses_.note(tuple.local.addr, tuple.netns, now_); }
  void client_end(const abi::SynAckRetransmit& event);
  void progress(Connection& connection, const abi::Socket& socket);
  void begin_episode(const Connection& connection);
  void end_episode(abi::SocketId key);
  void expire_looks();
  static void revive(Connection& connection);
  void note_silence(const Connection& connection);
  void guess_role(Connection& connection, const abi::Socket& socket) const;
  void drained();
  LossFigures& loss_at(const util::Endpoint& service);
  void note_repair(const Connection& connection);
  void note_repeat(const Connection& connection);
  void seed(std::uint64_t id, const Process& process);
  bool own_from_seed(Connection& connection, abi::SocketId id);

  using ByHost = std::pair<std::uint32_t, util::Endpoint>;
  struct Observed {
    ProcessLook newest;
    std::optional<ProcessLook> before;
  };

  KernelNames names_;
  FactsBounds bounds_;
  util::BootTime now_{};
  std::uint64_t lost_total_ = 0;
  std::uint32_t host_ = 0;  // of the event that is looked at
  std::vector<OfHost> hosts_ = std::vector<OfHost>(1);
  bool several_ = false;
  Sightings sightings_;
  Connections connections_;
  std::set<std::uint64_t> forgotten_;            // open ones, in the tick that ends now
  std::set<std::uint64_t> forgotten_meanwhile_;  // since then
  std::uint64_t forgotten_swept_ = 0;            // of evicted(), when the last whole sweep was wanted
  util::BootTime whole_sweep_asked_{};
  bool whole_sweep_wanted_ = false;
  // Connections in an episode, and how many of them each remote address of a namespace has.
  std::map<std::uint64_t, std::pair<std::uint32_t, util::Address>> episodes_;
  std::map<std::uint32_t, std::map<util::Address, std::size_t>> stalled_remotes_;
  std::set<std::uint64_t> refusing_;  // listeners in an episode of refusals
  // Connections that were there at start, by cookie: their holders as indexes into seed_processes_, the first in the
  // flat table, the rare further ones beside it. There may be hundreds of thousands.
  tsl::robin_map<std::uint64_t, std::uint32_t, util::SeededHash> seeds_;
  std::unordered_multimap<std::uint64_t, std::uint32_t, util::SeededHash> more_seeds_;
  std::vector<Process> seed_processes_;
  std::uint64_t seeds_left_out_ = 0;
  Listeners listeners_;
  LocalAddresses local_addresses_;
  // By host where the addresses mean something on it alone.
  BoundedTable<std::pair<std::uint32_t, PairKey>, FirewallDrops, PairHash> firewall_;
  BoundedTable<ByHost, RefusedEndpoint> refused_;
  BoundedTable<util::Endpoint, LossFigures> losses_;
  BoundedTable<std::uint32_t, Observed> processes_;
  BoundedTable<std::uint32_t, std::pair<abi::Mib, abi::Mib>> mibs_;  // by namespace: the first observation, the newest
  std::set<std::uint64_t> silent_;                                   // keys
};

// The listening side's address and port, seen from either end; by custom the lower port where nobody saw the handshake.
util::Endpoint service_endpoint(const Connection& connection);
// The ProcessExit of a wait(2) status.
ProcessExit exit_of(std::uint32_t wait_status);
Process process_of(const abi::Owner& owner);

}  // namespace tcpwhy::core
