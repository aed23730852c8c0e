// SPDX-License-Identifier: GPL-2.0-only
// The pages that were embedded (cmake/explain.cmake).
#include <algorithm>

#include "explain_pages.h"
#include "user/explain/page.h"

namespace tcpwhy::explain {
namespace {

// What is embedded does not depend on the machine: the tests see that each page can be read. One that cannot is left out,
// for nothing else depends on it.
std::vector<Page> read_all() {
  std::vector<Page> all;
  for (const std::string_view text : kPageTexts) {
    util::Result<Page> page = parse(text);
    if (page) all.push_back(std::move(*page));
  }
  std::sort(all.begin(), all.end(), [](const Page& a, const Page& b) { return a.slug < b.slug; });
  return all;
}

}  // namespace

std::span<const Page> pages() {
  static const std::vector<Page> all = read_all();
  return all;
}

}  // namespace tcpwhy::explain
