// SPDX-License-Identifier: GPL-2.0-only
#include "user/top/census.h"

#include <algorithm>
#include <utility>

namespace tcpwhy::top {
namespace {

using abi::TcpState;

// A SYN or FIN that is not acknowledged takes a sequence number, but is no data.
std::uint32_t unacked_data(const core::HeldSocket& s) {
  const bool control = s.state == TcpState::syn_sent || s.state == TcpState::syn_recv ||
                       s.state == TcpState::fin_wait1 || s.state == TcpState::closing || s.state == TcpState::last_ack;
  return control && s.unacked > 0 ? s.unacked - 1 : s.unacked;
}

// The peer's FIN likewise, until the process has read to the end.
std::uint32_t unread_data(const core::HeldSocket& s) {
  const bool fin = s.state == TcpState::close_wait || s.state == TcpState::closing || s.state == TcpState::last_ack;
  return fin && s.unread > 0 ? s.unread - 1 : s.unread;
}

template <typename T>
bool lets_through(const std::vector<T>& allowed, const T& value) {
  return allowed.empty() || std::find(allowed.begin(), allowed.end(), value) != allowed.end();
}

std::uint32_t& counter_of(ProcessUse& use, TcpState state) {
  switch (state) {
    case TcpState::listen:
      return use.listening;
    case TcpState::syn_sent:
    case TcpState::syn_recv:
    case TcpState::new_syn_recv:
      return use.opening;
    case TcpState::close_wait:
      return use.close_wait;
    case TcpState::fin_wait1:
    case TcpState::fin_wait2:
    case TcpState::closing:
    case TcpState::last_ack:
    case TcpState::time_wait:
      return use.closing;
    default:
      return use.established;
  }
}

}  // namespace

bool CensusTaker::passes(const core::HeldSocket& s) const {
  return lets_through(filter_.pids, s.pid) && lets_through(filter_.comms, s.comm) &&
         lets_through(filter_.netns, s.tuple.netns) && lets_through(filter_.cgroups, s.cgroup_id);
}

void CensusTaker::add(const core::HeldSocket& s) {
  if (!passes(s)) return;
  const auto [socket, is_new] = last_holder_.try_emplace(s.id, s.pid);
  if (!is_new && std::exchange(socket.value(), s.pid) == s.pid) return;  // another descriptor of the same process
  const auto [known, first] = by_pid_.try_emplace(s.pid, census_.processes.size());
  if (first) census_.processes.push_back({.pid = s.pid, .start = s.start, .comm = s.comm});
  ProcessUse& use = census_.processes[known->second];
  counter_of(use, s.state) += 1;
  if (is_new) (s.state == TcpState::listen ? census_.listeners : census_.connections) += 1;
  if (s.state == TcpState::listen) return;
  use.unread += unread_data(s);
  use.unacked += unacked_data(s);
}

Census CensusTaker::take() {
  by_pid_.clear();
  last_holder_.clear();
  return std::exchange(census_, {});
}

}  // namespace tcpwhy::top
