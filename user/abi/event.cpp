// SPDX-License-Identifier: GPL-2.0-only
#include "user/abi/event.h"

namespace tcpwhy::abi {
namespace {

struct TupleOf {
  template <typename Body>
  std::optional<Tuple> operator()(const Body& body) const {
    if constexpr (requires { body.tuple; })
      return body.tuple;
    else if constexpr (requires { body.socket.tuple; })
      return body.socket.tuple;
    else
      return std::nullopt;
  }
};

}  // namespace

std::optional<Tuple> tuple_of(const Event& event) { return std::visit(TupleOf{}, event.body); }

std::string_view to_string(RetransmitType type) {
  static constexpr std::array<std::string_view, 6> kNames{"?", "time-out", "fast", "tail loss", "SYN", "window probe"};
  return kNames.at(static_cast<std::size_t>(type));
}

std::string_view to_string(LossWay way) {
  static constexpr std::array<std::string_view, kLossWays> kNames{
      "ring_full",  "recursion", "iterator_failed", "walk_incomplete",
      "table_full", "not_swept", "queue_not_shown", "want_unanswered"};
  return kNames.at(static_cast<std::size_t>(way));
}

}  // namespace tcpwhy::abi
