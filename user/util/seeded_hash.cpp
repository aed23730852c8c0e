// SPDX-License-Identifier: GPL-2.0-only
#include "user/util/seeded_hash.h"

#include <sys/random.h>

#include <chrono>

namespace tcpwhy::util {
namespace {

std::uint64_t draw() {
  std::uint64_t seed = 0;
  if (::getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed)) return seed;
  // Early at boot the kernel may have no randomness yet: the clock is better than a constant.
  return mix(static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()));
}

}  // namespace

std::uint64_t hash_seed() {
  static const std::uint64_t seed = draw();
  return seed;
}

}  // namespace tcpwhy::util
