// SPDX-License-Identifier: GPL-2.0-only
#include "user/detect/elsewhere.h"

#include <fmt/format.h>

#include "user/detect/verdicts.h"

namespace tcpwhy::detect {
namespace {

using abi::TcpState;
using core::Sighting;

// A SYN that arrives leaves no record; the answer that is sent again a second later does.
constexpr std::uint32_t kEnoughSyns = 2;

// "12:00:01.002Z"
std::string clock_of(util::BootTime time, const core::Scene& scene) {
  return util::rfc3339(time, scene.wall).substr(11, 12) + "Z";
}

struct Names {
  std::string here;
  std::string there;
};

// What the other host told of the other end; null where it did not, or where a recording has a hole.
const Sighting* sighting_of(const core::Connection& c, util::BootTime since, const core::Scene& scene, Names& names) {
  const core::Facts& facts = scene.facts;
  if (!facts.several_hosts() || !facts.covers(c.host, since)) return nullptr;
  const Sighting* seen = facts.seen_elsewhere(c);
  if (!seen || !facts.covers(seen->host, since)) return nullptr;
  names = {facts.host_name(c.host), facts.host_name(seen->host)};
  return seen;
}

void say(core::Verdict& v, const std::string& sentence) {
  if (!sentence.empty()) v.evidence.set("seen_elsewhere", core::EvidenceValue{sentence});
}

std::string of_request(const core::Connection& request, const Sighting& client, const Names& names,
                       const core::Scene& scene) {
  const auto established = client.established ? client.established : request.client_established;
  if (established && request.client_acked)
    return fmt::format("client's ACK left {} at {}, reached {}, and its listener dropped it", names.there,
                       clock_of(*established, scene), names.here);
  if (established)
    return fmt::format("client's ACK left {} at {}, never reached {}", names.there, clock_of(*established, scene),
                       names.here);
  if (client.state == TcpState::syn_sent)
    return fmt::format("{}'s client still waits for the SYN-ACK: none reached {}", names.there, names.there);
  return {};
}

// Signed distance of two sequence numbers.
std::int32_t past(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b); }

std::string of_data(const core::Connection& sender, const Sighting& receiver, util::BootTime since, const Names& names,
                    const core::Scene& scene) {
  const abi::Socket& s = sender.socket;
  if (receiver.closed) return fmt::format("{} closed its end at {}", names.there, clock_of(*receiver.closed, scene));
  if (receiver.state == TcpState::new_syn_recv)
    return fmt::format("{} never got the ACK of the handshake, nor what {} sent after it", names.there, names.here);
  const auto first = receiver.first.received ? receiver.first.received : sender.first_sent;
  if (!first || !receiver.received || !s.full) return {};
  const std::uint32_t got = *receiver.received - *first;
  const std::uint32_t sent = s.snd_nxt - *first;
  if (past(*receiver.received, s.snd_una) > 0)
    return fmt::format("{} received up to byte {} of {} that {} sent: its acknowledgments never reached {}",
                       names.there, got, sent, names.here, names.here);
  if (receiver.received_at >= since)
    return fmt::format("{} received up to byte {}, {} has sent up to {}: what followed never reached {}", names.there,
                       got, names.here, sent, names.there);
  return fmt::format("{} told last of its end at {}: {}, received up to byte {}; {} has sent up to {}", names.there,
                     clock_of(receiver.received_at, scene), abi::to_string(receiver.state), got, names.here, sent);
}

}  // namespace

void add_elsewhere_of_request(core::Verdict& v, const core::Connection& request, util::BootTime since,
                              const core::Scene& scene) {
  Names names;
  if (firewall_ate(scene.facts, request.tuple, since)) return;
  if (const Sighting* client = sighting_of(request, since, scene, names))
    say(v, of_request(request, *client, names, scene));
}

void add_elsewhere_of_connect(core::Verdict& v, const core::Connection& client, util::BootTime since,
                              const core::Scene& scene) {
  const core::Facts& facts = scene.facts;
  if (!facts.several_hosts() || firewall_ate(facts, client.tuple, since)) return;
  Names names;
  if (const Sighting* request = sighting_of(client, since, scene, names)) {
    if (request->state == TcpState::new_syn_recv)
      say(v, fmt::format("{} got the SYN and answered it; its SYN-ACK never reached {}", names.there, names.here));
    return;
  }
  const core::Listener* l = facts.listener_at(client.tuple.remote, client.tuple.netns);
  const bool quiet = l && l->host != client.host && l->requests * 2 <= l->limit && !refuses(*l, scene.now());
  if (!quiet || client.syn_retransmits < kEnoughSyns || !facts.names().tells_firewall_drops()) return;
  if (!facts.covers(client.host, since) || !facts.covers(l->host, since)) return;
  say(v, fmt::format("{}'s listener {} never saw the SYN", facts.host_name(l->host), util::to_string(l->tuple.local)));
}

void add_elsewhere_of_data(core::Verdict& v, const core::Connection& sender, util::BootTime since,
                           const core::Scene& scene) {
  Names names;
  const Sighting* receiver = sighting_of(sender, since, scene, names);
  if (receiver) say(v, of_data(sender, *receiver, since, names, scene));
}

void add_elsewhere_of_stray(core::Verdict& v, const core::Connection& end, util::BootTime since,
                            const core::Scene& scene) {
  Names names;
  const Sighting* other = sighting_of(end, since, scene, names);
  if (!other) return;
  if (other->closed)
    say(v, fmt::format("{} closed its end at {}", names.there, clock_of(*other->closed, scene)));
  else
    say(v, fmt::format("{}'s end is still {}", names.there, abi::to_string(other->state)));
}

void explain_elsewhere(core::Finding& f) {
  if (f.evidence.has("seen_elsewhere")) f.words.evidence += "; " + f.evidence.text("seen_elsewhere");
}

}  // namespace tcpwhy::detect
