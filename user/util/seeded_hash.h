// SPDX-License-Identifier: GPL-2.0-only
// Hashes whose seed is drawn once a run: keys that others choose (addresses, ports, ids of a recording) cannot be made to
// collide. Nothing that is printed may depend on the order of a table with such a hash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "user/util/address.h"

namespace tcpwhy::util {

// Drawn from the kernel (getrandom(2)) at the first call.
std::uint64_t hash_seed();

// Two multiplications, each folded with a shift (the finalizer of MurmurHash3, public domain).
inline std::uint64_t mix(std::uint64_t word) {
  word ^= word >> 33;
  word *= 0xff51afd7ed558ccdULL;
  word ^= word >> 33;
  word *= 0xc4ceb9fe1a85ec53ULL;
  return word ^ (word >> 33);
}

struct SeededHash {
  template <typename Number>
  requires(std::is_integral_v<Number> || std::is_enum_v<Number>) std::size_t operator()(Number value) const {
    return mix(static_cast<std::uint64_t>(value) ^ hash_seed());
  }
  std::size_t operator()(const Address& address) const {
    std::uint64_t words[2];
    std::memcpy(words, address.bytes.data(), sizeof(words));
    return mix(mix(words[0] ^ hash_seed()) ^ words[1]);
  }
  std::size_t operator()(const Endpoint& endpoint) const { return mix((*this)(endpoint.addr) ^ endpoint.port); }
  template <typename A, typename B>
  std::size_t operator()(const std::pair<A, B>& both) const {
    return mix((*this)(both.first) * 0x9e3779b97f4a7c15ULL ^ (*this)(both.second));
  }
};

}  // namespace tcpwhy::util
