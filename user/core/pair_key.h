// SPDX-License-Identifier: GPL-2.0-only
// Both ends of a connection in one order, so that either end finds it.
#pragma once

#include <compare>
#include <cstddef>
#include <utility>

#include "user/abi/event.h"
#include "user/util/seeded_hash.h"

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
  std::size_t operator()(const PairKey& key) const {
    const util::SeededHash hash;
    return util::mix(hash(key.a) * 0x9e3779b97f4a7c15ULL ^ hash(key.b));
  }
  // Of one host, where the addresses mean something on it alone.
  std::size_t operator()(const std::pair<std::uint32_t, PairKey>& key) const {
    return util::mix((*this)(key.second) ^ key.first);
  }
};

}  // namespace tcpwhy::core
