// SPDX-License-Identifier: GPL-2.0-only
#include "user/html/queues.h"

#include <algorithm>

#include "user/core/facts.h"
#include "user/core/host.h"
#include "user/html/values.h"

namespace tcpwhy::html {

void Queues::on(const abi::Event& event) {
  if (const auto* e = std::get_if<abi::Sample>(&event.body)) note(event, e->socket, e->owner);
  if (const auto* e = std::get_if<abi::Seed>(&event.body)) note(event, e->socket, e->owner);
  if (const auto* e = std::get_if<abi::StateChange>(&event.body)) note(event, e->socket, e->owner);
  if (const auto* e = std::get_if<abi::SynAckRetransmit>(&event.body)) note(event, e->listener, {});
}

void Queues::note(const abi::Event& event, const abi::Socket& s, const abi::Owner& owner) {
  if (!s.listener || !s.full || s.id == abi::SocketId::none) return;
  const auto id = static_cast<std::uint64_t>(s.id);
  if (listeners_.size() >= kMostListeners && !listeners_.contains(id)) {
    left_out_ += 1;
    return;
  }
  Listener& listener = listeners_[id];
  if (listener.points.empty()) listener.tuple = s.tuple, listener.host = event.host, listener.first_drops = s.drops;
  if (owner.known()) listener.owner = owner;
  listener.queue_max = std::max(listener.queue_max, s.queue);
  listener.points.push_back({event.time, s.queue, s.limit, s.drops});
  if (listener.points.size() > kMostPoints) thin(listener.points);
}

void Queues::thin(std::vector<Point>& points) {
  std::vector<Point> kept;
  kept.reserve(points.size() / 2 + 1);
  for (std::size_t i = 0; i + 1 < points.size(); i += 2)
    kept.push_back(points[i].queue > points[i + 1].queue ? points[i] : points[i + 1]);
  kept.push_back(points.back());
  points = std::move(kept);
}

std::string Queues::json(const core::RunIdentity& run, People& people) const {
  Json list = Json::array();
  for (const auto& [id, listener] : listeners_) {
    Json points = Json::array();
    for (const Point& p : listener.points)
      points.push_back({micros(p.time, run.wall), p.queue, p.limit, p.drops - listener.first_drops});
    const util::Endpoint& at = listener.tuple.local;
    list.push_back({{"addr", util::to_string(at.addr)},
                    {"port", at.port},
                    {"host", run.host_name(listener.host)},
                    {"netns", core::plain_netns(listener.tuple.netns)},
                    {"owner", listener.owner.known() ? people.number_of(core::process_of(listener.owner)) : -1},
                    {"queue_max", listener.queue_max},
                    {"limit", listener.points.back().limit},
                    {"refused", listener.points.back().drops - listener.first_drops},
                    {"points", std::move(points)}});
  }
  return text_of(list);
}

}  // namespace tcpwhy::html
