// SPDX-License-Identifier: GPL-2.0-only
#include "user/html/explanations.h"

#include "user/explain/markup.h"
#include "user/explain/page.h"
#include "user/html/values.h"

namespace tcpwhy::html {
namespace {

using explain::Block;
using explain::Span;

Json spans_json(std::string_view text) {
  Json list = Json::array();
  for (const Span& span : explain::spans(text)) {
    // A link leads to another page of the repository, which is not beside a report.
    const bool plain = span.kind == Span::Kind::text || span.kind == Span::Kind::link;
    list.push_back({{plain ? "text" : span.kind == Span::Kind::code ? "code" : "em", span.text}});
  }
  return list;
}

Json block_json(const Block& block) {
  if (block.kind == Block::Kind::code) return {{"code", block.text}};
  if (block.kind == Block::Kind::bullet) return {{"bullet", spans_json(block.text)}};
  if (block.kind == Block::Kind::paragraph) return {{"text", spans_json(block.text)}};
  Json rows = Json::array();
  for (const std::vector<std::string>& row : block.rows) {
    Json cells = Json::array();
    for (const std::string& cell : row) cells.push_back(spans_json(cell));
    rows.push_back(std::move(cells));
  }
  return {{"table", std::move(rows)}};
}

Json blocks_json(std::string_view markdown) {
  Json list = Json::array();
  for (const Block& block : explain::blocks(markdown)) list.push_back(block_json(block));
  return list;
}

}  // namespace

std::string explanations_json(const std::set<std::string_view>& slugs) {
  Json all = Json::object();
  for (const std::string_view slug : slugs) {
    const explain::Page* const page = explain::find(slug);
    if (!page) continue;
    Json sections = Json::array();
    for (const explain::Section& section : page->sections)
      sections.push_back({{"title", section.title}, {"blocks", blocks_json(section.text)}});
    all[std::string{slug}] = {{"meaning", blocks_json(page->meaning)}, {"sections", std::move(sections)}};
  }
  return text_of(all);
}

}  // namespace tcpwhy::html
