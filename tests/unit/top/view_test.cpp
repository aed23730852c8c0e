// SPDX-License-Identifier: GPL-2.0-only
#include "user/top/view.h"

#include <gtest/gtest.h>

#include "tests/unit/top/samples.h"

namespace tcpwhy::top {
namespace {

using Kind = Key::Kind;

Wish type(View& view, const Model& model, std::string_view keys) {
  Wish last = Wish::none;
  for (const char c : keys) last = press(view, model, {Kind::character, c}, 10);
  return last;
}

std::uint64_t chosen_finding(const Model& model, const View& view) {
  const auto rows = rows_of(Page::findings, model, view);
  return model.findings[rows[place_of(view.page, model, view, rows)]].finding.id;
}

TEST(View, TheSelectionStaysWithItsRowWhenRowsMove) {
  Model model = sample();
  View view;
  EXPECT_EQ(chosen_finding(model, view), 2U);
  (void)press(view, model, {Kind::down}, 10);
  EXPECT_EQ(chosen_finding(model, view), 1U);
  model.findings.push_back(finding(9, core::Severity::critical, 500));  // goes on top
  EXPECT_EQ(chosen_finding(model, view), 1U);
  model.findings.erase(model.findings.begin());  // and gone it is
  EXPECT_EQ(chosen_finding(model, view), 9U);
}

TEST(View, EnterOpensWhatTheRowIsAbout) {
  const Model model = sample();
  View view;
  (void)press(view, model, {Kind::enter}, 10);
  EXPECT_EQ(view.sheet, Sheet::finding);
  EXPECT_EQ(view.finding, 2U);
  (void)press(view, model, {Kind::escape}, 10);
  EXPECT_EQ(view.sheet, Sheet::none);
  (void)type(view, model, "3");
  (void)press(view, model, {Kind::enter}, 10);
  EXPECT_EQ(view.sheet, Sheet::ladder);
  ASSERT_TRUE(view.connection);
  EXPECT_EQ(*view.connection, model.connections[0].tuple);
  (void)type(view, model, "4");
  (void)press(view, model, {Kind::enter}, 10);
  EXPECT_EQ(view.sheet, Sheet::finding);
  (void)type(view, model, "5");
  (void)press(view, model, {Kind::enter}, 10);
  EXPECT_EQ(view.sheet, Sheet::none);
  EXPECT_FALSE(view.note.empty());
}

TEST(View, ALadderIsOneKeyFromItsFinding) {
  Model model = sample();
  core::ConnectionView c;
  c.local = at("10.0.0.1", 80);
  c.remote = at("10.0.0.9", 50000);
  model.findings[1].finding.connection = c;
  View view;
  (void)press(view, model, {Kind::enter}, 10);
  (void)type(view, model, "l");
  EXPECT_EQ(view.sheet, Sheet::ladder);
  EXPECT_EQ(view.connection->remote.port, 50000);
}

TEST(View, AnExplanationGoesBackToItsFinding) {
  const Model model = sample();
  View view;
  (void)press(view, model, {Kind::enter}, 10);
  (void)type(view, model, "e");
  EXPECT_EQ(view.sheet, Sheet::explain);
  EXPECT_EQ(view.finding, 2U);
  (void)press(view, model, {Kind::escape}, 10);
  EXPECT_EQ(view.sheet, Sheet::finding);
  (void)press(view, model, {Kind::escape}, 10);
  EXPECT_EQ(view.sheet, Sheet::none);
}

TEST(View, TheFilterLooksAtWhatARowSays) {
  const Model model = sample();
  View view;
  (void)type(view, model, "5/POSTG");
  EXPECT_TRUE(view.typing);
  ASSERT_EQ(rows_of(Page::processes, model, view).size(), 1U);
  EXPECT_EQ(model.processes[rows_of(Page::processes, model, view)[0]].use.comm, "postgres");
  (void)type(view, model, "q");  // a letter now
  EXPECT_TRUE(rows_of(Page::processes, model, view).empty());
  (void)press(view, model, {Kind::backspace}, 10);
  (void)press(view, model, {Kind::enter}, 10);
  EXPECT_FALSE(view.typing);
  EXPECT_EQ(view.filter, "POSTG");
  (void)press(view, model, {Kind::escape}, 10);
  EXPECT_EQ(rows_of(Page::processes, model, view).size(), 2U);
}

TEST(View, OrdersGoRound) {
  const Model model = sample();
  View view;
  view.page = Page::connections;
  EXPECT_EQ(rows_of(Page::connections, model, view).front(), 0U);
  (void)type(view, model, "o");  // unread bytes
  EXPECT_EQ(rows_of(Page::connections, model, view).front(), 1U);
  for (std::size_t i = 1; i < orders_of(Page::connections).size(); ++i) (void)type(view, model, "o");
  EXPECT_EQ(rows_of(Page::connections, model, view).front(), 0U);
}

// Whatever the order, equal rows keep theirs by id.
TEST(View, EveryOrderIsTotal) {
  Model model = sample();
  model.connections.clear();
  model.processes.clear();
  model.listeners.assign(40, model.listeners.front());
  model.findings.clear();
  for (std::uint32_t i = 0; i < 40; ++i) {
    model.connections.push_back(connection(i + 1, 5));
    model.processes.push_back(process_row(i + 1, "same", 5));
    model.listeners[i].id = i + 1;
    model.findings.push_back(finding(i + 1, core::Severity::warning, 100));
  }
  for (const Page page : {Page::findings, Page::connections, Page::listeners, Page::processes})
    for (std::size_t order = 0; order < orders_of(page).size(); ++order) {
      View view;
      view.order[static_cast<std::size_t>(page)] = order;
      const auto rows = rows_of(page, model, view);
      ASSERT_EQ(rows.size(), 40U);
      for (std::size_t i = 1; i < rows.size(); ++i) {
        const bool newest_first = page == Page::findings && order == 1;
        if (newest_first) {
          EXPECT_GT(id_of(page, model, rows[i - 1]), id_of(page, model, rows[i]));
        } else {
          EXPECT_LT(id_of(page, model, rows[i - 1]), id_of(page, model, rows[i])) << orders_of(page)[order];
        }
      }
    }
}

TEST(View, KeysThatAskOthers) {
  const Model model = sample();
  View view;
  EXPECT_EQ(type(view, model, "q"), Wish::quit);
  EXPECT_EQ(type(view, model, "s"), Wish::save);
  EXPECT_EQ(type(view, model, " "), Wish::pause);
  EXPECT_EQ(type(view, model, "n"), Wish::none);  // live there is nothing to seek in
  EXPECT_EQ(type(view, model, "+"), Wish::none);
  view.from_file = true;
  EXPECT_EQ(type(view, model, "n"), Wish::seek);
  EXPECT_EQ(type(view, model, "+"), Wish::faster);
  EXPECT_EQ(type(view, model, "-"), Wish::slower);
  view.sheet = Sheet::help;
  EXPECT_EQ(type(view, model, "q"), Wish::none);  // closes the sheet
  EXPECT_EQ(view.sheet, Sheet::none);
}

TEST(View, NoKeyHarmsAnEmptyModel) {
  const Model model;
  for (std::size_t page = 0; page < kPages; ++page)
    for (int kind = 0; kind <= static_cast<int>(Kind::back_tab); ++kind)
      for (char c = ' '; c <= '~'; ++c) {
        View view;
        view.page = static_cast<Page>(page);
        (void)press(view, model, {static_cast<Kind>(kind), c}, 0);
        (void)press(view, model, {Kind::enter}, 0);
      }
}

}  // namespace
}  // namespace tcpwhy::top
