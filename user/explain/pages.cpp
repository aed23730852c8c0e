// SPDX-License-Identifier: GPL-2.0-only
// The pages that were embedded (cmake/explain.cmake).
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "explain_pages.h"
#include "user/explain/page.h"

namespace tcpwhy::explain {
namespace {

// What is embedded does not depend on the machine: a page that cannot be read fails in every run, so in the first test.
std::vector<Page> read_all() {
  std::vector<Page> all;
  for (const std::string_view text : kPageTexts) {
    util::Result<Page> page = parse(text);
    if (!page) {
      fmt::print(stderr, "tcpwhy: the page that begins with {}: {}\n", text.substr(0, text.find('\n')),
                 page.error().what);
      std::abort();
    }
    all.push_back(std::move(*page));
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
