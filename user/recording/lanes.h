// SPDX-License-Identifier: GPL-2.0-only
// Bytes by the eight: sums and differences modulo 256, each byte for itself, and the transposition of a matrix of bytes.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tcpwhy::recording {

static_assert(std::endian::native == std::endian::little, "records and files are little-endian");

inline std::uint64_t load_lanes(const std::byte* at) {
  std::uint64_t lanes = 0;
  std::memcpy(&lanes, at, sizeof(lanes));
  return lanes;
}
inline void store_lanes(std::byte* at, std::uint64_t lanes) { std::memcpy(at, &lanes, sizeof(lanes)); }

inline constexpr std::size_t kLanes = sizeof(std::uint64_t);
inline constexpr std::uint64_t kTopBits = 0x8080808080808080U;

// The top bit of each byte by itself, so that no carry leaves its byte.
inline std::uint64_t add_lanes(std::uint64_t a, std::uint64_t b) {
  return ((a & ~kTopBits) + (b & ~kTopBits)) ^ ((a ^ b) & kTopBits);
}
inline std::uint64_t subtract_lanes(std::uint64_t a, std::uint64_t b) {
  return ((a | kTopBits) - (b & ~kTopBits)) ^ ((a ^ ~b) & kTopBits);
}

// lanes[i] holds row i, and then column i.
inline void transpose_square(std::array<std::uint64_t, kLanes>& lanes) {
  const auto swap = [&lanes](std::size_t i, std::size_t distance, std::uint64_t mask) {
    const std::uint64_t moved = ((lanes[i] >> (8 * distance)) ^ lanes[i + distance]) & mask;
    lanes[i + distance] ^= moved;
    lanes[i] ^= moved << (8 * distance);
  };
  for (const std::size_t i : {0U, 1U, 2U, 3U}) swap(i, 4, 0x00000000FFFFFFFFU);
  for (const std::size_t i : {0U, 1U, 4U, 5U}) swap(i, 2, 0x0000FFFF0000FFFFU);
  for (const std::size_t i : {0U, 2U, 4U, 6U}) swap(i, 1, 0x00FF00FF00FF00FFU);
}

// A matrix of bytes, row by row; and where its transpose goes.
struct Matrix {
  const std::byte* from;
  std::size_t rows;
  std::size_t columns;
  std::byte* to;

  void square(std::size_t row, std::size_t column) const {
    std::array<std::uint64_t, kLanes> lanes;
    for (std::size_t i = 0; i < kLanes; ++i) lanes[i] = load_lanes(from + (row + i) * columns + column);
    transpose_square(lanes);
    for (std::size_t i = 0; i < kLanes; ++i) store_lanes(to + (column + i) * rows + row, lanes[i]);
  }
  // Of rows and columns up to these, but not those that squares have done.
  void rest(std::size_t whole_rows, std::size_t whole_columns) const {
    for (std::size_t row = 0; row < rows; ++row)
      for (std::size_t column = row < whole_rows ? whole_columns : 0; column < columns; ++column)
        to[column * rows + row] = from[row * columns + column];
  }
};

inline void transpose_matrix(const std::byte* from, std::size_t rows, std::size_t columns, std::byte* to) {
  const Matrix matrix{from, rows, columns, to};
  const std::size_t whole_rows = rows / kLanes * kLanes;
  const std::size_t whole_columns = columns / kLanes * kLanes;
  // The long way outside: what one turn of it touches stays in the cache.
  if (rows > columns) {
    for (std::size_t row = 0; row < whole_rows; row += kLanes)
      for (std::size_t column = 0; column < whole_columns; column += kLanes) matrix.square(row, column);
  } else {
    for (std::size_t column = 0; column < whole_columns; column += kLanes)
      for (std::size_t row = 0; row < whole_rows; row += kLanes) matrix.square(row, column);
  }
  matrix.rest(whole_rows, whole_columns);
}

}  // namespace tcpwhy::recording
