// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/translate.h"

#include "user/core/host.h"

namespace tcpwhy::core {
namespace {

// Above every number that a kernel gives: a reason without a name must not get another kernel's.
constexpr std::uint32_t kNameless = 1U << 30;

std::map<std::uint32_t, std::uint32_t> join(const std::map<std::uint32_t, std::string>& own,
                                            std::map<std::uint32_t, std::string>& joined) {
  std::map<std::string, std::uint32_t> by_name;
  for (const auto& [number, name] : joined) by_name.emplace(name, number);
  std::map<std::uint32_t, std::uint32_t> numbers;
  for (const auto& [number, name] : own) {
    const auto known = by_name.find(name);
    if (known != by_name.end()) {
      numbers.emplace(number, known->second);
      continue;
    }
    const std::uint32_t free = !joined.contains(number) ? number : joined.rbegin()->first + 1;
    joined.emplace(free, name);
    by_name.emplace(name, free);
    numbers.emplace(number, free);
  }
  return numbers;
}

std::uint32_t renumbered(const std::map<std::uint32_t, std::uint32_t>& numbers, std::uint32_t number) {
  const auto it = numbers.find(number);
  return it == numbers.end() ? number | kNameless : it->second;
}

}  // namespace

struct Translation {
  const Translator& t;

  void operator()(abi::Transition& e) const {
    id(e.id);
    tuple(e.tuple);
    e.pid = tag_pid(e.pid, t.host_);
    e.host = t.name_;
  }
  void operator()(abi::StateChange& e) const {
    both(e);
    if (e.last_success) time(*e.last_success);
  }
  void operator()(abi::Retransmit& e) const { both(e); }
  void operator()(abi::SynAckRetransmit& e) const {
    socket(e.listener);
    owner(e.client_owner);
    id(e.request);
    id(e.client);
    if (e.client_established) time(*e.client_established);
    tuple(e.tuple);
  }
  void operator()(abi::ResetSent& e) const {
    both(e);
    if (e.reason >= 0) e.reason = static_cast<int>(renumbered(t.reset_reasons_, static_cast<std::uint32_t>(e.reason)));
  }
  void operator()(abi::ResetReceived& e) const { both(e); }
  void operator()(abi::SocketError& e) const { both(e); }
  void operator()(abi::Drop& e) const {
    id(e.listener);
    tuple(e.tuple);
    e.reason = renumbered(t.drop_reasons_, e.reason);
  }
  void operator()(abi::Seed& e) const { both(e); }
  void operator()(abi::Sample& e) const { both(e); }
  void operator()(abi::ProcessState& e) const {
    e.pid = tag_pid(e.pid, t.host_);
    time(e.start);
  }
  void operator()(abi::Mib& e) const { e.netns = tag_netns(e.netns, t.host_); }
  void operator()(abi::Still& e) const {
    for (abi::SocketId& i : e.ids) id(i);
  }
  void operator()(abi::Clock&) const {}
  void operator()(abi::Tick&) const {}
  void operator()(abi::Lost&) const {}
  void operator()(abi::Limited&) const {}
  void operator()(abi::SeedEnd&) const {}
  void operator()(abi::SweepEnd&) const {}
  void operator()(abi::Host&) const {}

 private:
  template <typename Body>
  void both(Body& e) const {
    socket(e.socket);
    owner(e.owner);
  }
  void socket(abi::Socket& s) const {
    id(s.id);
    tuple(s.tuple);
  }
  void owner(abi::Owner& o) const {
    if (!o.known()) return;
    o.pid = tag_pid(o.pid, t.host_);
    time(o.start);
    o.host = t.name_;
  }
  void tuple(abi::Tuple& of) const { of.netns = tag_netns(of.netns, t.host_); }
  void id(abi::SocketId& i) const { i = tag_socket(i, t.host_); }
  // Zero is "not known".
  void time(util::BootTime& at) const {
    if (at != util::BootTime{}) at += t.shift_;
  }
};

Translator::Translator(std::uint32_t host, std::string name, util::Duration shift, const KernelNames& own,
                       KernelNames& joined)
    : host_(host),
      name_(std::move(name)),
      shift_(shift),
      drop_reasons_(join(own.drop_reasons, joined.drop_reasons)),
      reset_reasons_(join(own.reset_reasons, joined.reset_reasons)) {
  joined.one_hides_firewall = joined.one_hides_firewall || !own.tells_firewall_drops();
}

void Translator::translate(abi::Event& event) const {
  event.time += shift_;
  event.host = host_;
  std::visit(Translation{*this}, event.body);
}

Filter of_host(const Filter& filter, std::uint32_t host) {
  Filter tagged = filter;
  for (std::uint32_t& pid : tagged.pids) pid = tag_pid(pid, host);
  for (std::uint32_t& netns : tagged.netns) netns = tag_netns(netns, host);
  return tagged;
}

Filter of_any_host(const Filter& filter, std::uint32_t hosts) {
  Filter any = filter;
  for (std::uint32_t host = 1; host < hosts; ++host) {
    const Filter tagged = of_host(filter, host);
    any.pids.insert(any.pids.end(), tagged.pids.begin(), tagged.pids.end());
    any.netns.insert(any.netns.end(), tagged.netns.begin(), tagged.netns.end());
  }
  return any;
}

}  // namespace tcpwhy::core
