// SPDX-License-Identifier: GPL-2.0-only
#include "user/html/page.h"

#include <algorithm>

#include "user/html/embedded.h"
#include "user/html/packed.h"
#include "user/html/values.h"
#include "user/util/version.h"

namespace tcpwhy::html {
namespace {

// Lines of JSON as one list.
std::string list_of(std::string_view lines) {
  std::string list = "[";
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    list += list.size() > 1 ? "," : "";
    list += line;
  }
  return list + "]";
}

Json origins_json(const std::vector<Origin>& origins) {
  Json list = Json::array();
  for (const Origin& o : origins)
    list.push_back({{"file", o.file}, {"host", o.host}, {"kernel", o.kernel}, {"tool", o.tool}});
  return list;
}

Json sentences_json(const std::vector<Sentences>& all) {
  Json list = Json::array();
  for (const Sentences& s : all) list.push_back({s.cause, s.effect, s.evidence});
  return list;
}

std::string report_json(const Contents& c) {
  const Json about = {{"tool", util::version()},
                      {"netns", c.run.netns},
                      {"clocks", core::clock_sentences(c.run)},
                      {"origins", origins_json(c.origins)},
                      {"notes", c.notes},
                      {"connections_left_out", c.connections_left_out},
                      {"listeners_left_out", c.listeners_left_out},
                      {"with_ladder", c.with_ladder}};
  return "{\"about\":" + text_of(about) + ",\"lines\":" + list_of(c.lines) +
         ",\"sentences\":" + text_of(sentences_json(c.sentences)) + ",\"activity\":" + c.activity +
         ",\"listeners\":" + c.queues + ",\"connections\":" + c.connections + ",\"processes\":" + c.people +
         ",\"explain\":" + c.explanations + "}";
}

// Not a script of the browser's: bytes that the page's own script reads.
std::string element(std::string_view id, const std::string& packed) {
  return "<script type=\"application/octet-stream\" id=\"" + std::string{id} + "\">" + packed + "</script>\n";
}

}  // namespace

bool available() { return !page_head().empty(); }

std::string page(const Contents& contents, const Ladders& ladders) {
  Packed lives;
  ladders.json([&lives](std::string_view text) { lives.add(text); });
  return std::string{page_head()} + element("report", packed(report_json(contents))) +
         element("ladders", lives.finish()) + std::string{page_tail()};
}

}  // namespace tcpwhy::html
