// SPDX-License-Identifier: GPL-2.0-only
#include "user/core/event_view.h"

#include <utility>

#include "user/core/event_text.h"
#include "user/core/facts.h"
#include "user/core/host.h"

namespace tcpwhy::core {
namespace {

void set_ms(Evidence& values, std::string_view key, const std::optional<util::Duration>& time) {
  if (time) values.set(key, util::to_ms(*time));
}

void put_queue(Evidence& values, const abi::Socket& s) {
  values.set("queue", s.queue);
  values.set("limit", s.limit);
  values.set("drops", s.drops);
  values.set("requests", s.requests);
  set_ms(values, "head_age_ms", s.head_age);
}

void put_connection(Evidence& values, const abi::Socket& s) {
  values.set("unacked", s.unacked());
  values.set("unsent", s.unsent());
  values.set("unread", s.unread());
  values.set("send_window", s.snd_wnd);
  values.set("receive_window", s.rcv_wnd);
  values.set("bytes_acked", s.bytes_acked);
  values.set("bytes_received", s.bytes_received);
  values.set("timeouts", std::uint32_t{s.retransmits});
  values.set("retransmits", s.total_retrans);
  values.set("rto_ms", util::to_ms(s.rto));
  values.set("srtt_us", std::int64_t{std::chrono::duration_cast<std::chrono::microseconds>(s.srtt).count()});
  values.set("snd_una", s.snd_una);
  values.set("rcv_nxt", s.rcv_nxt);
  set_ms(values, "sent_age_ms", s.sent_age);
  set_ms(values, "received_age_ms", s.received_age);
  if (s.err) values.set("error", s.err);
  if (s.err_soft) values.set("soft_error", s.err_soft);
}

void put_segment(Evidence& values, const abi::Segment& segment) {
  values.set("seq", segment.seq);
  values.set("ack_seq", segment.ack_seq);
  values.set("payload", segment.payload);
  values.set("syn", segment.syn);
  values.set("fin", segment.fin);
  values.set("rst", segment.rst);
  values.set("ack", segment.ack);
}

class Fields {
 public:
  Fields(EventView& view, const KernelNames& names) : view_(view), names_(names) {}

  void operator()(const abi::Transition& e) {
    change(e.id, e.from, e.to);
    if (e.pid != 0) {
      view_.owner.emplace();
      view_.owner->pid = e.pid;
      view_.owner->comm = e.comm;
    }
    set("snd_una", e.snd_una);
    set("snd_nxt", e.snd_nxt);
    set("rcv_nxt", e.rcv_nxt);
    set("copied_seq", e.copied_seq);
    set("retransmits", e.total_retrans);
    if (e.err) set("error", e.err);
  }
  void operator()(const abi::StateChange& e) {
    socket(e);
    change(e.socket.id, e.from, e.to);
    if (e.owner.exiting) set("exiting", true);
  }
  void operator()(const abi::Retransmit& e) {
    set("type", std::string{abi::to_string(e.type)});
    if (e.error) set("send_error", -e.error);
    socket(e);
  }
  void operator()(const abi::SynAckRetransmit& e) {
    view_.id = static_cast<std::uint64_t>(e.request);
    view_.state = abi::to_string(abi::TcpState::new_syn_recv);
    set("by_timer", e.by_timer);
    set("client_acked", e.acked);
    set("timeouts", std::uint32_t{e.num_timeout});
    set("retransmits", std::uint32_t{e.num_retrans});
    set("since_synack_ms", util::to_ms(e.since_synack));
    if (e.client != abi::SocketId::none) set("client_id", static_cast<std::uint64_t>(e.client));
    put_queue(view_.values, e.listener);
  }
  void operator()(const abi::ResetSent& e) {
    set("passive", e.trigger.has_value());
    set("reason", std::string{names_.reset_reason(e.reason)});
    if (e.trigger) put_segment(view_.values, *e.trigger);
    socket(e);
  }
  void operator()(const abi::ResetReceived& e) { socket(e); }
  void operator()(const abi::SocketError& e) { socket(e); }
  void operator()(const abi::Drop& e) {
    set("reason", std::string{names_.drop_reason(e.reason)});
    put_segment(view_.values, e.segment);
    if (e.listener == abi::SocketId::none) return;
    view_.id = static_cast<std::uint64_t>(e.listener);
    set("queue", e.queue);
    set("limit", e.limit);
    set("drops", e.drops);
    set_ms(view_.values, "head_age_ms", e.head_age);
  }
  void operator()(const abi::Sample& e) {
    socket(e);
    if (e.socket.listener) return;
    set_ms(view_.values, "usual_wait_ms", e.usual_wait);
    set_ms(view_.values, "window_shut_ms", e.window_shut_age);
    set("data_segments_sent", e.data_segments_sent);
  }
  void operator()(const abi::Lost& e) {
    counted(e.kind, e.count);
    // Recordings made before there were ways have only the first.
    if (e.way != abi::LossWay::ring) set("way", std::string{abi::to_string(e.way)});
  }
  void operator()(const abi::Limited& e) { counted(e.kind, e.count); }
  void operator()(const abi::ProcessState& e) {
    set("pid", plain_pid(e.pid));
    if (!e.cgroup.empty()) set("cgroup", e.cgroup);
    set("state", std::string{e.state});
    set("threads", e.threads);
    set("cpu_ms", util::to_ms(e.cpu));
    if (!e.wait_channel.empty()) set("wait_channel", e.wait_channel);
    if (e.open_fds) set("open_fds", *e.open_fds);
    if (e.fd_limit) set("fd_limit", *e.fd_limit);
    if (e.polling) set("waiting_for_sockets", *e.polling);
    set_ms(view_.values, "read_age_ms", e.read_age);
  }
  void operator()(const abi::Host& e) {
    set("memory_pages", e.memory);
    set("memory_low", e.memory_low);
    set("memory_pressure", e.memory_pressure);
    set("memory_high", e.memory_high);
    set("orphans", e.orphans);
    set("orphans_limit", e.orphans_limit);
  }
  void operator()(const abi::Mib& e) {
    set("netns", plain_netns(e.netns));
    for (std::size_t i = 0; i < e.values.size(); ++i) set(abi::kMibNames.at(i), e.values.at(i));
  }
  void operator()(const abi::Clock& e) {
    set("wall_offset_ns", e.offset.nanoseconds);
    set("moved_ns", e.moved.count());
  }
  void operator()(const abi::Seed&) {}
  void operator()(const abi::Tick&) {}
  void operator()(const abi::SeedEnd&) {}
  void operator()(const abi::SweepEnd&) {}
  void operator()(const abi::Still&) {}

 private:
  template <typename Value>
  void set(std::string_view key, const Value& value) {
    view_.values.set(key, value);
  }
  void change(abi::SocketId id, abi::TcpState from, abi::TcpState to) {
    view_.id = static_cast<std::uint64_t>(id);
    view_.from = abi::to_string(from);
    view_.to = abi::to_string(to);
  }
  template <typename Body>
  void socket(const Body& e) {
    view_.id = static_cast<std::uint64_t>(e.socket.id);
    view_.state = abi::to_string(e.socket.state);
    if (e.owner.known()) view_.owner = process_of(e.owner);
    if (e.socket.listener)
      put_queue(view_.values, e.socket);
    else if (e.socket.full)
      put_connection(view_.values, e.socket);
  }
  void counted(std::string_view kind, std::uint64_t count) {
    set("of", std::string{kind});
    set("count", count);
  }

  EventView& view_;
  const KernelNames& names_;
};

}  // namespace

std::optional<EventView> event_view(const abi::Event& event, const KernelNames& names, bool with_fields) {
  EventView view;
  view.line = event_text(event, names);
  if (view.line.empty()) return std::nullopt;
  view.time = event.time;
  view.host = event.host;
  view.kind = abi::name_of(event);
  if (!with_fields) return view;
  if (const std::optional<abi::Tuple> tuple = abi::tuple_of(event)) {
    view.connection.emplace();
    view.connection->local = tuple->local;
    view.connection->remote = tuple->remote;
    view.connection->netns = tuple->netns;
  }
  std::visit(Fields{view, names}, event.body);
  view.id = static_cast<std::uint64_t>(tag_socket(abi::SocketId{view.id}, event.host));
  return view;
}

}  // namespace tcpwhy::core
