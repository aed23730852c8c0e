// SPDX-License-Identifier: GPL-2.0-only
// What `tcpwhy explain` says, for the findings of one report.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace tcpwhy::html {

// By slug: {"meaning": [block...], "sections": [{"title", "blocks": [block...]}]}. A block is {"text": [span...]},
// {"bullet": [span...]}, {"code": "..."} or {"table": [[cell: [span...]...]...]}, the head first; a span {"text"}, {"code"}
// or {"em"}.
std::string explanations_json(const std::set<std::string_view>& slugs);

}  // namespace tcpwhy::html
