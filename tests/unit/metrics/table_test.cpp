// SPDX-License-Identifier: GPL-2.0-only
// The table is a contract, and doc/metrics.md is where it can be read.
#include "user/metrics/table.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace tcpwhy::metrics {
namespace {

std::string labels_of(const Metric& m) {
  std::string all;
  for (const std::string_view label : m.labels) all += (all.empty() ? "" : ", ") + std::string{label};
  return all;
}

std::string cell(const std::string& text) { return text.empty() ? " |" : " " + text + " |"; }

std::string row_of(const Metric& m) {
  return fmt::format("| `{}` | {} |", m.name, m.type == Type::counter ? "counter" : "gauge") +
         cell(std::string{m.unit}) + cell(labels_of(m)) + cell(std::string{m.help});
}

// The rows of doc/metrics.md about metrics.
std::vector<std::string> rows_of_the_page() {
  std::ifstream page{"doc/metrics.md"};
  std::vector<std::string> rows;
  for (std::string line; std::getline(page, line);)
    if (line.starts_with("| `tcpwhy_")) rows.push_back(line);
  return rows;
}

TEST(Table, ThePageListsExactlyTheMetricsThatThereAre) {
  std::vector<std::string> rows;
  for (const Metric& m : table()) rows.push_back(row_of(m));
  EXPECT_EQ(rows_of_the_page(), rows);
}

TEST(Table, NamesAreAsPrometheusWantsThem) {
  std::set<std::string_view> names;
  for (const Metric& m : table()) {
    EXPECT_TRUE(m.name.starts_with("tcpwhy_")) << m.name;
    EXPECT_FALSE(m.name.ends_with("_total")) << m.name << ": the samples of a counter get it";
    EXPECT_THAT(m.name, testing::MatchesRegex("[a-z_]+"));
    EXPECT_TRUE(m.unit.empty() || m.name.ends_with("_" + std::string{m.unit})) << m.name;
    EXPECT_TRUE(m.help.ends_with('.')) << m.name;
    names.insert(m.name);
  }
  EXPECT_EQ(names.size(), kMetrics);
}

}  // namespace
}  // namespace tcpwhy::metrics
