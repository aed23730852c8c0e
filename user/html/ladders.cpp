// SPDX-License-Identifier: GPL-2.0-only
#include "user/html/ladders.h"

#include <algorithm>
#include <utility>

#include "user/html/values.h"

namespace tcpwhy::html {
namespace {

core::PairKey key_of(const core::LedgerRow& row) { return core::PairKey::of({row.client, row.server, 0}); }

Json known(std::optional<std::uint32_t> value) { return value ? Json(*value) : Json(nullptr); }

Json numbers_json(const std::optional<core::LadderStep::Numbers>& numbers) {
  if (!numbers) return nullptr;
  const core::LadderStep::Numbers& n = *numbers;
  return {known(n.sent), known(n.acked), known(n.received), n.unacked, n.unread, n.send_window, n.receive_window};
}

}  // namespace

std::size_t Ladders::fitting(const std::vector<const core::LedgerRow*>& rows) {
  std::uint64_t steps = 0;
  std::size_t count = 0;
  for (; count < rows.size() && count < kMostConnections; ++count) {
    steps += std::min<std::uint64_t>(rows[count]->events, kFirstSteps + kLastSteps);
    if (steps > kMostSteps) break;
  }
  return count;
}

Ladders::Ladders(std::vector<const core::LedgerRow*> rows, const core::KernelNames& names)
    : rows_(std::move(rows)), names_(names), ladders_(rows_.size()) {
  for (std::size_t i = 0; i < rows_.size(); ++i) by_ends_.emplace(key_of(*rows_[i]), i);
}

void Ladders::on(const abi::Event& event) {
  const std::optional<abi::Tuple> tuple = abi::tuple_of(event);
  if (!tuple) return;
  // The same addresses may have been used one after another, and in two namespaces.
  const auto [begin, end] = by_ends_.equal_range(core::PairKey::of(*tuple));
  for (auto it = begin; it != end; ++it) {
    std::optional<core::LadderStep> step = core::ladder_step(event, *rows_[it->second], names_);
    if (step && !step->text.empty()) add(ladders_[it->second], {event.time, std::move(*step)});
  }
}

void Ladders::add(Ladder& ladder, Step step) {
  Step* const before = !ladder.last.empty()    ? &ladder.last.back()
                       : !ladder.first.empty() ? &ladder.first.back()
                                               : nullptr;
  // A look that shows what the one before it showed.
  if (before && before->what.kind == "sample" && step.what.kind == "sample" &&
      before->what.at_client == step.what.at_client && before->what.text == step.what.text) {
    before->looks += 1;
    return;
  }
  if (ladder.first.size() < kFirstSteps) {
    ladder.first.push_back(std::move(step));
    return;
  }
  ladder.last.push_back(std::move(step));
  if (ladder.last.size() <= kLastSteps) return;
  ladder.last.pop_front();
  ladder.left_out += 1;
}

void Ladders::json(const std::function<void(std::string_view)>& to) const {
  to("[");
  for (std::size_t i = 0; i < ladders_.size(); ++i) {
    const Ladder& ladder = ladders_[i];
    Json steps = Json::array();
    const auto put = [&](const Step& s) {
      steps.push_back({micros(s.time - rows_[i]->first), s.what.at_client ? 0 : 1, s.what.kind, s.what.text,
                       s.what.state, numbers_json(s.what.numbers), s.looks});
    };
    std::for_each(ladder.first.begin(), ladder.first.end(), put);
    std::for_each(ladder.last.begin(), ladder.last.end(), put);
    Json json = {{"steps", std::move(steps)}};
    if (ladder.left_out > 0) json["left_out"] = ladder.left_out, json["left_out_after"] = ladder.first.size();
    to(i > 0 ? "," : "");
    to(text_of(json));
  }
  to("]");
}

}  // namespace tcpwhy::html
