// SPDX-License-Identifier: GPL-2.0-only
#include "user/top/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/top/samples.h"
#include "user/top/text.h"

namespace tcpwhy::top {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr Page kAllPages[] = {Page::overview, Page::findings, Page::connections, Page::listeners, Page::processes};

View on(Page page) {
  View view;
  view.page = page;
  return view;
}

std::string shown(const Model& model, const View& view, Size size = {24, 80}) {
  return text_of(lay_out(model, view, size));
}

// A model with more of everything than any screen has, and with names that try to break out.
Model crowded() {
  Model model = sample();
  for (std::uint64_t i = 0; i < 300; ++i) {
    model.findings.push_back(finding(100 + i, core::Severity::warning, 100));
    ConnectionRow row = connection(static_cast<std::uint32_t>(100 + i), 1U << 31);
    row.owner = process(4194303, "\xE6\xBC\xA2\xE5\xAD\x97\xE6\xBC\xA2\xE5\xAD\x97\x1b[2J");
    row.tuple.remote = at("2001:db8:1234:5678:9abc:def0:1234:5678", 65535);
    row.what = "synack-retransmit-unexpected";
    row.retransmits = 1U << 31;
    model.connections.push_back(row);
    model.processes.push_back(process_row(4194303, "fifteen-letters", 999999));
    model.listeners.push_back(model.listeners.front());
    model.listeners.back().queue = model.listeners.back().limit = 1U << 31;
  }
  model.header.host = std::string(300, 'h');
  return model;
}

TEST(Layout, FillsTheScreenAndNeverMore) {
  for (const Model& model : {Model{}, sample(), crowded()})
    for (const Page page : kAllPages)
      for (const Sheet sheet : {Sheet::none, Sheet::finding, Sheet::explain, Sheet::ladder, Sheet::help})
        for (const Size size : {Size{24, 80}, Size{10, 60}, Size{9, 59}, Size{1, 1}, Size{50, 200}, Size{60, 81}}) {
          View view = on(page);
          view.sheet = sheet;
          view.finding = 2;
          const Frame frame = lay_out(model, view, size);
          ASSERT_EQ(frame.size(), size.rows);
          for (const Line& line : frame) {
            ASSERT_LE(columns_of(line.text()), size.columns) << line.text();
            for (const char c : line.text()) ASSERT_GE(static_cast<unsigned char>(c), 0x20) << line.text();
          }
        }
}

// At 80 columns and more nothing of a heading, of the keys or of an ordinary row is cut.
TEST(Layout, EightyColumnsAreEnough) {
  Model model = sample();
  model.header.events_per_second = 12345;
  model.header.connections_per_second = 12345;
  model.header.sweep_share = 0.0123;
  model.header.sweep_interval = std::chrono::milliseconds{500};
  for (const bool from_file : {false, true})
    for (const Page page : kAllPages)
      for (const Sheet sheet : {Sheet::none, Sheet::finding, Sheet::explain, Sheet::ladder, Sheet::help})
        for (const std::size_t width : {80U, 100U, 132U}) {
          View view = on(page);
          view.sheet = sheet;
          view.finding = 2;
          view.from_file = from_file;
          const Frame frame = lay_out(model, view, {24, width});
          EXPECT_THAT(frame.back().text(), Not(HasSubstr("~")));
          EXPECT_THAT(frame[2].text(), Not(HasSubstr("~")));
          for (const Line& line : frame)
            if (line.text().starts_with("SEV ")) {
              EXPECT_THAT(line.text(), Not(HasSubstr("~")));
            }
        }
}

// Whatever is in a row, its numbers end where those of the others do.
TEST(Layout, ColumnsLineUp) {
  for (const Page page : {Page::connections, Page::listeners, Page::processes})
    for (const std::size_t width : {80U, 100U, 132U}) {
      View view = on(page);
      const Frame plain = lay_out(sample(), view, {24, width});
      const Frame full = lay_out(crowded(), view, {24, width});
      EXPECT_EQ(columns_of(plain[5].text()), columns_of(full[5].text())) << width;
      EXPECT_EQ(columns_of(plain[5].text()), columns_of(full[9].text())) << width;
    }
}

TEST(Layout, TheOverviewHasAllFour) {
  const std::string text = shown(sample(), {});
  EXPECT_THAT(text, HasSubstr("connections 20,012 in 14 processes"));
  EXPECT_THAT(text, HasSubstr("worst CRITICAL (1 open)"));
  EXPECT_THAT(text, HasSubstr("CRIT   f-2 accept-queue-overflow"));
  EXPECT_THAT(text, HasSubstr("queue-s"));
  EXPECT_THAT(text, HasSubstr("[##########]"));
  EXPECT_THAT(text, HasSubstr("5/4"));
  EXPECT_THAT(text, HasSubstr("560K"));
  EXPECT_THAT(text, HasSubstr("postgres"));
  EXPECT_THAT(text, Not(HasSubstr("f-3 ")));  // info
}

TEST(Layout, WhatIsUnknownIsNotANumber) {
  Model model = sample();
  model.header.connections.reset();
  const std::string text = shown(model, {});
  EXPECT_THAT(text, HasSubstr("connections -"));
  EXPECT_THAT(text, HasSubstr("new -"));
  EXPECT_THAT(text, HasSubstr("events -"));
  EXPECT_THAT(text, HasSubstr("sweep -"));
}

TEST(Layout, AnOldCountSaysSo) {
  Model model = sample();
  EXPECT_THAT(shown(model, {}), Not(HasSubstr("ago)")));
  model.header.counted = moment(590);
  EXPECT_THAT(shown(model, {}), HasSubstr("(10s ago)"));
}

TEST(Layout, OpenFindingsComeFirstTheWorstOnTop) {
  View view = on(Page::findings);
  view.show_info = true;
  const std::string text = shown(sample(), view);
  const auto place = [&](const std::string& id) { return text.find(id); };
  EXPECT_LT(place("f-2 "), place("f-1 "));
  EXPECT_LT(place("f-1 "), place("f-3 "));
  EXPECT_LT(place("f-3 "), place("f-4 "));
  EXPECT_THAT(text, HasSubstr("over   f-4"));
}

// Whether it still holds is unknown: it is not "over".
TEST(Layout, WhatWasForgottenIsNotOver) {
  Model model = sample();
  core::Finding& f = model.findings[3].finding;
  f.phase = core::Phase::closed;
  f.ended = core::Ended::forgotten;
  View view = on(Page::findings);
  view.show_info = true;
  EXPECT_THAT(shown(model, view), HasSubstr("?      f-4"));
  view.sheet = Sheet::finding;
  view.finding = 4;
  EXPECT_THAT(shown(model, view), HasSubstr("no longer observed at "));
}

TEST(Layout, ColourOnlyRepeatsWords) {
  for (const Page page : kAllPages)
    for (const Line& line : lay_out(crowded(), on(page), {24, 80}))
      for (const Span& span : line.spans)
        if (span.style == Style::critical || span.style == Style::warning) {
          EXPECT_TRUE(line.text().find("CRIT") != std::string::npos || line.text().find("WARN") != std::string::npos ||
                      line.text().find("lost ") != std::string::npos)
              << line.text();
        }
}

TEST(Layout, TheSelectedRowIsOnTheScreenAndTheOnlyOne) {
  const Model model = crowded();
  View view = on(Page::connections);
  for (int i = 0; i < 250; ++i) (void)press(view, model, {Key::Kind::down}, 10);
  std::size_t selected = 0;
  for (const Line& line : lay_out(model, view, {24, 80})) selected += line.selected ? 1 : 0;
  EXPECT_EQ(selected, 1U);
}

TEST(Layout, AFindingIsToldInItsOwnWords) {
  View view;
  view.sheet = Sheet::finding;
  view.finding = 2;
  const std::string text = shown(sample(), view);
  for (const char* words : {"FINDING f-2", "queue-server[22189] has accepted nothing.", "the accept queue is full",
                            "clients wait", "queue 5 over limit 4", "find what blocks it", "a longer backlog"})
    EXPECT_THAT(text, HasSubstr(words));
}

TEST(Layout, ASheetScrollsNoFurtherThanItsEnd) {
  View view;
  view.sheet = Sheet::help;
  (void)press(view, sample(), {Key::Kind::end}, 10);
  EXPECT_THAT(shown(sample(), view, {12, 80}), HasSubstr("OPENNG"));
  EXPECT_THAT(shown(sample(), view, {12, 80}), Not(HasSubstr("filter: rows")));
}

TEST(Layout, APlayedRecordingSaysWhereItIs) {
  View view;
  view.from_file = true;
  view.title = "incident.tcpwhy";
  view.speed = 10;
  EXPECT_THAT(shown(sample(), view), HasSubstr("incident.tcpwhy  playing  x10"));
  view.at_end = true;
  EXPECT_THAT(shown(sample(), view), HasSubstr("AT ITS END"));
}

}  // namespace
}  // namespace tcpwhy::top
