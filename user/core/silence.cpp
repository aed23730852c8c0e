// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/silence.h"

namespace tcpwhy::core {
namespace {

using abi::TcpState;
using namespace std::chrono_literals;

// What came in a moment ago may be about to be read.
constexpr auto kArriving = 600ms;
// The kernel side tells of a client that waits for an answer from 1.5 s on, and of what is idle from 15 min on.
constexpr auto kAwaits = 1s;

bool is_open(TcpState state) { return state == TcpState::established || state == TcpState::close_wait; }

bool is_closing(TcpState state) {
  return state == TcpState::fin_wait1 || state == TcpState::closing || state == TcpState::last_ack;
}

// Begins where it was not there, and may; begins anew where the mark moved.
void since(std::optional<util::BootTime>& begin, std::uint32_t& mark, bool is_so, std::uint32_t mark_now,
           std::optional<util::BootTime> may_begin, util::BootTime now) {
  if (!is_so)
    begin.reset();
  else if (!begin)
    begin = may_begin;
  else if (mark != mark_now)
    begin = now;
  mark = mark_now;
}

bool is_unread(const abi::Socket& s) {
  if (!is_open(s.state) || unread_data(s) == 0) return false;
  return much_unread(s) || s.received_age.value_or(0s) >= kArriving;
}

// Stamps of the kernel say it all: no second look is needed.
void await(Connection& c, const abi::Sample* sample, util::BootTime now) {
  const abi::Socket& s = c.socket;
  const bool may = s.state == TcpState::established && c.role != ConnectionRole::server && !s.accepted &&
                   s.unacked() == 0 && s.bytes_acked > 1 && s.sent_age && *s.sent_age >= kAwaits;
  const bool spoke_last = s.bytes_received == 0 || (s.received_age && s.sent_age && *s.sent_age < *s.received_age);
  // Who speaks again and again and never hears a word tells rather than asks: more segments than one write fills.
  const std::uint32_t mss = s.mss ? s.mss : 536;
  const bool tells =
      sample && s.bytes_received == 0 && sample->data_segments_sent > s.total_retrans + s.bytes_acked / mss + 1;
  if (!may || !spoke_last || tells) return c.silence.awaiting.reset();
  const util::BootTime asked = now - *s.sent_age;
  // Stamps are as coarse as jiffies: the same question keeps its time.
  if (c.silence.awaiting && asked - *c.silence.awaiting < 50ms && *c.silence.awaiting - asked < 50ms) return;
  // Without the sample one does not know whether it asks or only tells.
  if (sample)
    c.silence.awaiting = asked;
  else
    c.silence.awaiting.reset();
}

bool is_unguarded(const abi::Socket& s) {
  return s.state == TcpState::established && !s.keepalive && s.user_timeout == util::Duration{} && s.unacked() == 0 &&
         s.sent_age && s.received_age;
}

}  // namespace

std::uint32_t unread_data(const abi::Socket& s) {
  const bool fin = s.state == TcpState::close_wait || s.state == TcpState::last_ack || s.state == TcpState::closing;
  const std::uint32_t unread = s.unread();
  return fin && unread > 0 ? unread - 1 : unread;
}

bool much_unread(const abi::Socket& s) {
  return unread_data(s) >= kMuchUnread || (unread_data(s) > 0 && own_window_is_shut(s));
}

bool own_window_is_shut(const abi::Socket& s) { return s.rcv_wnd < s.rcv_mss; }

bool window_is_shut(const abi::Socket& s) { return s.snd_wnd < s.mss && s.unsent() > 0; }

namespace {
void look_at(Connection& c, const abi::Sample* sample, util::BootTime now) {
  const abi::Socket& s = c.socket;
  Silence& q = c.silence;
  if (!s.full) return;
  if (q.unread && q.unread_copied != s.copied_seq) q.last_read = now;
  // A silence begins with a look of a sweep. What an event shows may be over in the next moment, without an event.
  const std::optional<util::BootTime> may_begin = sample ? std::optional{now} : std::nullopt;
  since(q.window_shut, q.window_nxt, is_open(s.state) && window_is_shut(s), s.snd_nxt, may_begin, now);
  since(q.unread, q.unread_copied, is_unread(s), s.copied_seq, may_begin, now);
  since(q.closing, q.closing_una, is_closing(s.state) && s.unacked() > 0, s.snd_una, may_begin, now);
  await(c, sample, now);
  if (s.state != TcpState::close_wait)
    q.close_wait.reset();
  else if (!q.close_wait && sample)
    q.close_wait = now - s.segment_age.value_or(0s);
  if (!is_unguarded(s))
    q.idle.reset();
  else if (sample)
    q.idle = now - std::min(*s.sent_age, *s.received_age);
}
}  // namespace

void look(Connection& c, util::BootTime now) { look_at(c, nullptr, now); }

void look(Connection& c, const abi::Sample& sample, util::BootTime now) {
  c.silence.usual_wait = sample.usual_wait;
  c.silence.answers = sample.answers;
  c.silence.unanswered = sample.unanswered;
  look_at(c, &sample, now);
}

}  // namespace tcpwhy::core
