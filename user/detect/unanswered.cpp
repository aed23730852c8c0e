// SPDX-License-Identifier: GPL-2.0-only
#include "user/detect/unanswered.h"

#include <fmt/format.h>

#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using namespace std::chrono_literals;
using core::CulpritKind;

// This one and two more that stop answering at once share the path, not the fault; two may be chance.
constexpr std::size_t kRemotesForPath = 3;

// Who waits with a back-off was refused at its last try, perhaps a while ago; unless a firewall ate what it sent since.
bool refused_here(const core::Listener& l, const core::Connection& sender, util::BootTime since,
                  const core::Scene& scene) {
  if (refuses(l, scene.now())) return true;
  const core::FirewallDrops* drops = scene.facts.firewall_drops(sender.tuple);
  return refused_after(l, since - 1s) && !(drops && drops->last > l.last_refusal);
}

// With SYN cookies a refused handshake leaves no request, and only kernels since 6.11 tell the drop with its listener. Of
// what this sender said nothing ever arrived, and the listener that it speaks to refuses.
const core::Listener* refusing_with_cookies(const core::Connection& sender, util::BootTime since,
                                            const core::Scene& scene) {
  const abi::Socket& s = sender.socket;
  const core::Listener* l = scene.facts.listener_at(sender.tuple.remote, sender.tuple.netns);
  if (!l) l = scene.facts.gone_listener_at(sender.tuple.remote, sender.tuple.netns);
  const bool nothing_arrived = s.full && s.bytes_acked <= 1 && sender.role == core::ConnectionRole::client;
  return l && nothing_arrived && refused_here(*l, sender, since, scene) ? l : nullptr;
}

// The listener that refused the sender's handshake during this stall: the server's end never was more than a request.
const core::Listener* refusing_listener(const core::Connection& sender, util::BootTime since,
                                        const core::Scene& scene) {
  const core::Connection* peer = scene.facts.peer_of(sender);
  if (!peer) return refusing_with_cookies(sender, since, scene);
  if (!(peer->client_acked || peer->overflow_drops > 0) || peer->last_overflow < since - 1s) return nullptr;
  return scene.facts.listener(peer->listener);
}

void dropped_locally(core::Verdict& v, const abi::Tuple& tuple, const core::Scene& scene) {
  v.cause = "dropped-locally";
  blame_firewall(v, tuple, scene.facts);
  v.confidence = core::Confidence::certain;
  v.evidence.set("firewall_drops", scene.facts.firewall_drops(tuple)->count);
  v.evidence.set("reason", "NETFILTER_DROP");
}

}  // namespace

core::Verdict unanswered_syn(const core::Connection& client, util::BootTime since, const core::Scene& scene) {
  core::Verdict v;
  v.service = client.tuple.remote;
  v.evidence.set("syn_retransmits", client.syn_retransmits);
  v.evidence.set("waiting_ms", util::to_ms(scene.now() - since));
  const core::Listener* l = scene.facts.listener_at(client.tuple.remote, client.tuple.netns);
  if (!l) l = scene.facts.gone_listener_at(client.tuple.remote, client.tuple.netns);
  if (l && refused_here(*l, client, since, scene)) {
    v.cause = "accept-queue-full";
    v.listener = l->id;
    v.culprit = blame_owner(l->owners);
    add_queue(v.evidence, *l, scene.facts);
  } else if (firewall_ate(scene.facts, client.tuple, since - 1s)) {
    dropped_locally(v, client.tuple, scene);
  } else if (client.socket.err_soft != 0) {
    v.cause = "unreachable";
    v.culprit = blame(CulpritKind::network);
    v.confidence = core::Confidence::certain;
    v.evidence.set("errno", core::EvidenceValue{errno_name(client.socket.err_soft)});
  } else {
    v.cause = "peer-silent";
    blame_silence(
        v, client.tuple.remote.addr.is_loopback() ? blame(CulpritKind::unknown) : blame_remote(client.tuple.remote),
        scene.facts);
  }
  return v;
}

std::string firewall_advice(const core::Finding& f) {
  return f.phase == core::Phase::closed && f.ended == core::Ended::recovered
             ? "nft list ruleset (or iptables -nvL): it drops no more; who changed the rules then?"
             : "nft list ruleset (or iptables -nvL), twice: which rule's counter grows?";
}

void explain_unanswered(core::Finding& f) {
  core::Words& w = f.words;
  if (f.cause == "accept-queue-full") {
    w.cause = f.listener ? queue_words(*f.listener) : "the listener's accept queue is full";
    w.advice = {
        fmt::format("see accept-queue-overflow: is the accept loop of {} blocked, slow, or its backlog too short?",
                    f.listener ? owners_words(f.listener->owners) : "the server")};
  } else if (f.cause == "dropped-locally") {
    w.cause = fmt::format(
        "a firewall rule on {} dropped {} of this connection", firewall_host_words(f),
        count_words(static_cast<std::uint64_t>(f.evidence.number("firewall_drops")), "segment", "segments"));
    w.advice = {firewall_advice(f)};
  } else if (f.cause == "unreachable") {
    explain_unreachable(f);
  } else if (f.cause == "path-lost") {
    w.cause = "several remote hosts stopped answering at once: the path they share";
    w.advice = {"look at this host's link, its default route and the first hop"};
    add_firewall_doubt(f);
  } else {
    w.cause = f.cause == "unknown"
                  ? "nothing comes back: the remote host is gone or the path loses everything; no more is known here"
                  : "nothing comes back: the remote host is down, or the path or a firewall on the way drops packets";
    w.advice = {fmt::format("ping and traceroute to {}; on the remote host: do the segments arrive?",
                            f.connection ? util::to_string(f.connection->remote.addr) : "the remote")};
    add_firewall_doubt(f);
  }
}

void add_firewall_doubt(core::Finding& f) {
  if (!f.evidence.flag("firewall_unseen")) return;
  f.words.cause += "; or a firewall rule of this host, whose drops this kernel does not tell";
  f.words.advice.emplace_back("nft list ruleset (or iptables -nvL), twice: which rule's counter grows?");
}

// EHOSTUNREACH has two makers that leave the same trace: the kernel itself, after asking for the neighbour's hardware
// address in vain, and an ICMP error. ENETUNREACH and the others come by ICMP, or from a route of this host.
void explain_unreachable(core::Finding& f) {
  const std::string err = f.evidence.text("errno");
  const std::string where = f.connection ? util::to_string(f.connection->remote.addr) : "ADDRESS";
  const bool v4 = !f.connection || f.connection->remote.addr.is_v4();
  const std::string_view asked = v4 ? "ARP" : "neighbour discovery";
  if (err == "EHOSTUNREACH") {
    f.words.cause = fmt::format(
        "either the neighbour ({} itself or the next hop to it) does not answer {}, or a router on the way said by "
        "ICMP "
        "that the host cannot be reached ({})",
        where, asked, err);
    f.words.advice = {
        fmt::format("ip route get {} names the next hop; FAILED or INCOMPLETE for it in ip neigh show: the neighbour, "
                    "else a router",
                    where)};
  } else {
    f.words.cause =
        fmt::format("a router on the way, or a route of this host, says that {} cannot be reached ({})", where, err);
    f.words.advice = {
        fmt::format("ip route get {}: is there a route? traceroute {} shows which router says so", where, where)};
  }
}

core::Verdict unanswered_data(const core::Connection& sender, util::BootTime since, const core::Scene& scene) {
  core::Verdict v;
  v.service = core::service_endpoint(sender);
  const core::Listener* refusing = refusing_listener(sender, since, scene);
  if (refusing) {
    v.cause = "accept-queue-full";
    v.listener = refusing->id;
    v.culprit = blame_owner(refusing->owners);
    // Where the kernel tells each refusal, its own word; else the listener's overflow.
    v.confidence = scene.facts.peer_of(sender) ? core::Confidence::certain : core::Confidence::likely;
    add_queue(v.evidence, *refusing, scene.facts);
  } else if (firewall_ate(scene.facts, sender.tuple, since - 1s)) {
    dropped_locally(v, sender.tuple, scene);
  } else if (sender.socket.err_soft != 0) {
    v.cause = "unreachable";
    v.culprit = blame(CulpritKind::network);
    v.confidence = core::Confidence::certain;
    v.evidence.set("errno", core::EvidenceValue{errno_name(sender.socket.err_soft)});
  } else if (scene.facts.stalled_remotes(sender.tuple.netns) >= kRemotesForPath) {
    v.cause = "path-lost";
    blame_silence(v, blame(CulpritKind::network), scene.facts);
  } else {
    v.cause = "unknown";
    blame_silence(v, blame(CulpritKind::network), scene.facts);
  }
  return v;
}

}  // namespace tcpwhy::detect
