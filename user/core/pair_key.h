// SPDX-License-Identifier: GPL-2.0-only
// Both ends of a connection in one order, so that either end finds it.
#pragma once

#include <compare>
#include <cstddef>

#include "user/abi/event.h"

namespace tcpwhy::core {

struct PairKey {
  util::Endpoint a;
  util::Endpoint b;
  auto operator<=>(const PairKey&) const = default;
  static PairKey of(const abi::Tuple& t) {
    return t.local < t.remote ? PairKey{t.local, t.remote} : PairKey{t.remote, t.local};
  }
};
struct PairHash {
  std::size_t operator()(const PairKey& key) const;
};

}  // namespace tcpwhy::core
