// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/lanes.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace tcpwhy::recording {
namespace {

TEST(Lanes, EachByteIsAddedForItself) {
  std::mt19937_64 random{1};
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t a = random(), b = i % 2 ? random() : ~0ULL;
    const std::uint64_t sum = add_lanes(a, b);
    for (int byte = 0; byte < 64; byte += 8)
      ASSERT_EQ((sum >> byte) & 0xff, (((a >> byte) & 0xff) + ((b >> byte) & 0xff)) & 0xff);
    ASSERT_EQ(subtract_lanes(sum, b), a);
    ASSERT_EQ(subtract_lanes(sum, a), b);
  }
}

// Whole squares, what is left over at either side, less than one square, nothing.
TEST(Lanes, RowsBecomeColumns) {
  std::mt19937 random{2};
  for (std::size_t rows = 0; rows < 40; ++rows)
    for (std::size_t columns = 0; columns < 40; columns += columns < 20 ? 1 : 7) {
      std::vector<std::byte> from(rows * columns), to(rows * columns);
      for (std::byte& b : from) b = static_cast<std::byte>(random());
      transpose_matrix(from.data(), rows, columns, to.data());
      for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t c = 0; c < columns; ++c) ASSERT_EQ(to[c * rows + r], from[r * columns + c]) << rows << columns;
    }
}

}  // namespace
}  // namespace tcpwhy::recording
