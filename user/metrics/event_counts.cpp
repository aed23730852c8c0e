// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/event_counts.h"

#include <utility>
#include <variant>

namespace tcpwhy::metrics {
namespace {

using Type = abi::RetransmitType;

struct Kind {
  Type type;
  const char* word;
  bool always;  // also told where only trouble is
};
constexpr Kind kKinds[] = {{Type::timeout, "timeout", true},
                           {Type::syn, "syn", true},
                           {Type::probe, "probe", true},
                           {Type::fast, "fast", false},
                           {Type::tail_loss, "tail_loss", false}};

}  // namespace

void EventCounts::on(const abi::Event& event) {
  std::visit([this](const auto& body) { on(body); }, event.body);
}

void EventCounts::on(const abi::Retransmit& e) {
  if (const auto index = static_cast<std::size_t>(e.type); index < retransmits_.size()) retransmits_[index] += 1;
}

void EventCounts::on(const abi::ResetSent& e) {
  resets_sent_ += 1;
  if (e.socket.id == abi::SocketId::none) return;
  for (auto* waiting : {&perhaps_received_, &perhaps_before_})
    if (const auto it = waiting->find(e.socket.id); it != waiting->end()) {
      waiting->erase(it);
      return;
    }
}

void EventCounts::on(const abi::ResetReceived& e) {
  if (e.socket.id == abi::SocketId::none)
    resets_received_ += 1;
  else
    perhaps_received_.insert(e.socket.id);
}

void EventCounts::on(const abi::Tick&) {
  resets_received_ += perhaps_before_.size();
  perhaps_before_ = std::exchange(perhaps_received_, {});
}

void EventCounts::add_to(Snapshot& snapshot) const {
  snapshot.add(Id::resets, {"sent"}, resets_sent_);
  snapshot.add(Id::resets, {"received"}, resets_received_);
  for (const Kind& kind : kKinds)
    if (kind.always || every_retransmit_)
      snapshot.add(Id::retransmits, {kind.word}, retransmits_.at(static_cast<std::size_t>(kind.type)));
  snapshot.add(Id::synack_retransmits, {"timer"}, synacks_[0]);
  snapshot.add(Id::synack_retransmits, {"duplicate_syn"}, synacks_[1]);
}

}  // namespace tcpwhy::metrics
