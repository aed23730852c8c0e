// SPDX-License-Identifier: GPL-2.0-only
#include "user/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "user/detect/catalogue.h"

namespace tcpwhy::config {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

// The thresholds of a text that must be right.
core::Thresholds thresholds(const std::string& text) {
  const util::Result<Config> config = parse(text, "x.toml");
  if (!config) {
    ADD_FAILURE() << config.error().what;
    return {};
  }
  return config->thresholds;
}

std::string mistake(const std::string& text, const std::string& name = "x.toml") {
  const util::Result<Config> config = parse(text, name);
  if (config) {
    ADD_FAILURE() << "was accepted: " << text;
    return {};
  }
  EXPECT_EQ(config.error().hint, "");
  return config.error().what;
}

TEST(Config, AnEmptyFileSaysNothing) {
  EXPECT_TRUE(thresholds("").empty());
  EXPECT_TRUE(thresholds("# nothing\n\n[thresholds]\n[port.80]\n").empty());
}

TEST(Config, HasThresholdsForAllPortsAndForSingleOnes) {
  const core::Thresholds t = thresholds(R"(
    [thresholds]
    stall-awaiting-reply = "30s"
    reset = "off"
    [port.5432.thresholds]
    stall-awaiting-reply = "off"
    stall-unread = "2min"
    [port.65535.thresholds]
    reset = 'off'
  )");
  EXPECT_EQ(t.base.size(), 2U);
  EXPECT_EQ(t.of(*detect::find_in_catalogue("stall-awaiting-reply")), 30s);
  EXPECT_TRUE(t.off("reset"));
  EXPECT_EQ(t.ports.size(), 2U);
  EXPECT_TRUE(t.off("stall-awaiting-reply", 5432));
  EXPECT_EQ(t.of(*detect::find_in_catalogue("stall-unread"), 5432), 2min);
  EXPECT_TRUE(t.off("reset", 65535));
}

TEST(Config, TakesEveryWayToWriteATable) {
  const core::Thresholds t = thresholds(
      "\xef\xbb\xbfthresholds.reset = \"off\"\r\n"
      "port = { 80.thresholds.reset = \"off\", \"81\" = { thresholds = { "
      "\"stall-unread\" = \"3s\" } } }\r\n");
  EXPECT_TRUE(t.off("reset"));
  EXPECT_TRUE(t.off("reset", 80));
  EXPECT_EQ(t.of(*detect::find_in_catalogue("stall-unread"), 81), 3s);
}

TEST(Config, SaysWhereWhatIsWrongAndWhatToWrite) {
  struct Row {
    const char* text;
    const char* says;
  };
  const Row rows[] = {
      {"[thresholds]\nstall-unacked = 5s",
       "x.toml:2:18: Error while parsing decimal integer: expected digit, saw 's': "
       "write a heading as [thresholds] and a value as stall-unacked = \"5s\""},
      {"[thresholds\n", "x.toml:1:12: "},
      {"[thresholds]\nreset = \"off\"\nreset = \"off\"", "'reset': write it once"},
      {"[thresholds]\nreset = \"\xff\"", "x.toml:2:"},
      {"colour = 1", "x.toml:1:1: there is no setting 'colour': write [thresholds] or [port.5432.thresholds]"},
      {"[threshold]\n", "x.toml:1:2: there is no setting 'threshold'"},
      {"thresholds = 3", "x.toml:1:14: 'thresholds' is not a table: write [thresholds] on a line of its own"},
      {"[[thresholds]]\nreset = \"off\"", "'thresholds' is not a table"},
      {"port = 80", "x.toml:1:8: 'port' is not a table: write [port.5432.thresholds]"},
      {"port.80 = 3", "x.toml:1:11: '80' is not a table: write [port.80.thresholds]"},
      {"[port.80]\nthresholds = \"off\"", "x.toml:2:14: 'thresholds' is not a table"},
      {"[port.80]\nreset = \"off\"", "x.toml:2:1: a port has no setting 'reset': write [port.80.thresholds]"},
      {"[port.0.thresholds]", "x.toml:1:7: '0' is not a port: write a number from 1 to 65535, as in 443"},
      {"[port.65536.thresholds]", "'65536' is not a port"},
      {"[port.http.thresholds]", "'http' is not a port"},
      {"[port.0443.thresholds]", "x.toml:1:7: '0443' is not how a port is written: write 443"},
      {"[thresholds]\n  stall-unackd = \"1s\"",
       "x.toml:2:3: there is no finding 'stall-unackd': did you mean "
       "stall-unacked?"},
      {"[thresholds]\nx = \"1s\"", "there is no finding 'x': the findings are synack-retransmit-unexpected, "},
      {"[port.80.thresholds]\nresset = \"off\"", "x.toml:2:1: there is no finding 'resset': did you mean reset?"},
      {"[thresholds]\nstall-unread = 5",
       "x.toml:2:16: stall-unread is a number, where a text belongs: write "
       "stall-unread = \"30s\" or stall-unread = \"off\""},
      {"[thresholds]\nreset = 1.5", "reset is a number, where a text belongs: write reset = \"off\""},
      {"[thresholds]\nreset = false", "reset is a boolean, where"},
      {"[thresholds]\nreset = [\"off\"]", "reset is an array, where"},
      {"[thresholds]\nreset.off = \"off\"", "reset is a table, where"},
      {"[thresholds]\nreset = 12:00:00", "reset is a date or a time, where"},
      {"[thresholds]\nreset = \"1s\"",
       "x.toml:2:9: reset does not wait for a time to pass: it can only be switched off: "
       "reset = \"off\""},
      {"[thresholds]\nstall-unread = \"soon\"",
       "x.toml:2:16: 'soon' is not a duration: write a number above 0 and its "
       "unit, as in 200ms, 1.5s, 10s, 3min or 2h; or off"},
      {"[thresholds]\nstall-unread = \"0s\"", "'0s' is not a duration"},
      {"[thresholds]\nstall-unread = \"-1s\"", "'-1s' is not a duration"},
      {"[thresholds]\nstall-unread = \"\"", "'' is not a duration"},
  };
  for (const Row& row : rows) {
    const std::string says = mistake(row.text);
    EXPECT_THAT(says, StartsWith("x.toml:")) << row.text;
    EXPECT_THAT(says, HasSubstr(row.says)) << row.text;
  }
}

TEST(Config, TellsAllMistakesInTheOrderOfTheFile) {
  EXPECT_EQ(mistake("[thresholds]\nz = \"1s\"\nreset = 1\n[port.0.thresholds]\n[a]\n").find("x.toml:2:1: "), 0U);
  const std::string says = mistake("[thresholds]\nreset = 2\n[port.0.thresholds]\n[a]\n");
  EXPECT_THAT(says, testing::ContainsRegex("^x.toml:2:9: .*\nx.toml:3:7: .*\nx.toml:4:2: .*$"));
}

TEST(Config, TellsTenMistakesAndCountsTheRest) {
  std::string text;
  for (int i = 0; i < 13; ++i) {
    text += "[x" + std::to_string(i) + "]\n";
  }
  const std::string says = mistake(text);
  EXPECT_EQ(std::count(says.begin(), says.end(), '\n'), 10);
  EXPECT_THAT(says, testing::EndsWith("\nand 3 more"));
}

TEST(Config, WhatItSaysDoesNotDriveTheTerminal) {
  const std::string says = mistake("\"a\\u001b[2Jb\" = 1\n[thresholds]\nstall-unread = \"\\u001b\\n\"", "\x1b.toml");
  EXPECT_THAT(says, HasSubstr("a\\x1b[2Jb"));
  EXPECT_EQ(says.find('\x1b'), std::string::npos);
  EXPECT_EQ(std::count(says.begin(), says.end(), '\n'), 1);
}

TEST(Config, EveryPrefixOfAFileIsReadOrRefused) {
  const std::string text = "[thresholds]\nreset = \"off\"\n[port.80.thresholds]\nstall-unread = \"3s\"\n";
  for (std::size_t length = 0; length <= text.size(); ++length) {
    const util::Result<Config> config = parse(text.substr(0, length), "x.toml");
    EXPECT_TRUE(config || !config.error().what.empty());
  }
}

TEST(ReadConfig, ReadsAFile) {
  std::string path = testing::TempDir() + "tcpwhy-test-XXXXXX";
  close(mkstemp(path.data()));
  std::ofstream{path} << "[thresholds]\nreset = \"off\"\n";
  const util::Result<Config> config = read(path);
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->thresholds.off("reset"));
  std::ofstream{path} << "[thresholds]\nreset = off\n";
  EXPECT_THAT(read(path).error().what, StartsWith(path + ":2:"));
  std::remove(path.c_str());
  EXPECT_THAT(read(path).error().what, HasSubstr("No such file"));
}

TEST(ReadConfig, SaysWhyAFileCannotBeRead) {
  struct Row {
    const char* path;
    const char* says;
  };
  for (const Row& row : {Row{"/no/such/file", "cannot read '/no/such/file': No such file or directory"},
                         Row{"/", "cannot read '/': Is a directory"},
                         Row{"/dev/zero", "cannot read '/dev/zero': it is larger than 1 MiB"}}) {
    const util::Result<Config> config = read(row.path);
    ASSERT_FALSE(config) << row.path;
    EXPECT_EQ(config.error().what, row.says);
    EXPECT_EQ(config.error().hint, "name a TOML file; `tcpwhy trace --show-config` prints one to begin with");
  }
}

// The line of --show-config that sets this, or speaks of it.
std::string line_of(const std::string& shown, const std::string& setting) {
  const std::size_t at = shown.find(setting);
  EXPECT_NE(at, std::string::npos) << setting << " is not in\n" << shown;
  return at == std::string::npos ? "" : shown.substr(at, shown.find('\n', at) - at);
}

TEST(ShowConfig, SaysWhereEachValueComesFrom) {
  core::Thresholds file = thresholds(R"(
    [thresholds]
    stall-unacked = "5s"
    accept-queue-overflow = "7s"
    reset = "off"
    [port.5432.thresholds]
    stall-unacked = "off"
  )");
  core::Thresholds flags;
  flags["accept-queue-overflow"] = 1500ms;
  flags.ports[5432]["reset"] = std::nullopt;
  flags.ports[22]["stall-unacked"] = 90s;
  const std::string shown = show(file, flags, "my\nown.toml");
  EXPECT_THAT(shown, HasSubstr("file (my\\x0aown.toml)"));
  EXPECT_THAT(line_of(shown, "stall-unacked = \"5s\""), HasSubstr(" # file: nothing acknowledged"));
  EXPECT_THAT(line_of(shown, "accept-queue-overflow = \"1500ms\""), HasSubstr(" # flag: "));
  EXPECT_THAT(line_of(shown, "reset = \"off\""), testing::EndsWith(" # file"));
  EXPECT_THAT(line_of(shown, "synack-retransmit-unexpected = \"200ms\""), HasSubstr(" # default: "));
  EXPECT_THAT(line_of(shown, "# timed-out = \"off\""), testing::EndsWith(" # default: on"));
  EXPECT_THAT(shown, HasSubstr("\n[port.22.thresholds]\nstall-unacked = \"90s\"  # flag\n"));
  EXPECT_THAT(
      shown, HasSubstr("\n[port.5432.thresholds]\nstall-unacked = \"off\"  # file\nreset = \"off\"          # flag\n"));
}

TEST(ShowConfig, GivenBackItSaysTheSame) {
  core::Thresholds file;
  file["stall-unacked"] = 1ns;
  file["stall-unread"] = 3'600s;  // shown where it was said, even if this version does not look for it
  file.ports[1]["stall-unread"] = std::nullopt;
  file.ports[2];
  core::Thresholds flags;
  flags["stall-unacked"] = 61s;
  flags["reset"] = std::nullopt;
  flags.ports[65535]["connect-refused"] = std::nullopt;
  flags.ports[1]["stall-unacked"] = 1'001us;
  const core::Thresholds effective = file.overlaid_with(flags);
  const core::Thresholds again = thresholds(show(file, flags, ""));
  for (const detect::FindingSpec& row : detect::catalogue()) {
    EXPECT_EQ(again.off(row.slug), effective.off(row.slug)) << row.slug;
    EXPECT_EQ(again.of(row), effective.of(row)) << row.slug;
    for (const std::uint16_t port : std::initializer_list<std::uint16_t>{1, 2, 3, 65535}) {
      EXPECT_EQ(again.off(row.slug, port), effective.off(row.slug, port)) << row.slug << port;
      EXPECT_EQ(again.of(row, port), effective.of(row, port)) << row.slug << port;
    }
  }
}

TEST(ShowConfig, NeverWrapsATerminal) {
  std::istringstream lines{show({}, {}, "")};
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 120U) << line;
  }
}

}  // namespace
}  // namespace tcpwhy::config
