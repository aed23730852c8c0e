// SPDX-License-Identifier: GPL-2.0-only
#include "user/util/nearest.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace tcpwhy::util {
namespace {

// Letters to change, to add or to leave out, from one word to the other (Levenshtein's distance).
std::size_t letters_apart(std::string_view a, std::string_view b) {
  std::vector<std::size_t> above(b.size() + 1);
  std::iota(above.begin(), above.end(), 0U);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::vector<std::size_t> row{i + 1};
    for (std::size_t j = 0; j < b.size(); ++j) {
      row.push_back(std::min({above[j + 1] + 1, row[j] + 1, above[j] + (a[i] == b[j] ? 0 : 1)}));
    }
    above = std::move(row);
  }
  return above.back();
}

}  // namespace

std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
  constexpr std::size_t kLongest = 64;  // no name is
  constexpr std::size_t kShortestPart = 4;
  if (word.size() > kLongest) {
    return {};
  }
  std::string_view near;
  std::string_view part;
  std::size_t distance = std::max<std::size_t>(2, word.size() / 4) + 1;
  std::size_t parts = 0;
  for (const std::string_view name : known) {
    if (const std::size_t letters = letters_apart(word, name); letters < distance) {
      distance = letters;
      near = name;
    }
    if (word.size() >= kShortestPart && name.find(word) != std::string_view::npos) {
      parts += 1;
      part = name;
    }
  }
  return !near.empty() ? near : parts == 1 ? part : std::string_view{};
}

}  // namespace tcpwhy::util
