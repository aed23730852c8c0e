// SPDX-License-Identifier: GPL-2.0-only
// The flight recorder's unit file: its limits leave room for what the options in it ask for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "user/cli/command_line.h"
#include "user/cli/filter_values.h"
#include "user/cli/memory_share.h"

namespace tcpwhy::cli {
namespace {

constexpr const char* kUnitFile = "scripts/systemd/tcpwhy-flight-recorder.service";  // from the repository's root
// The program itself, the kernel side's tables, and pages of the file that a save writes: all are charged to the unit.
constexpr std::uint64_t kRest = 128U << 20;

using UnitFile = std::multimap<std::string, std::string>;

UnitFile read_unit() {
  UnitFile unit;
  std::ifstream file(kUnitFile);
  for (std::string line; std::getline(file, line);)
    if (const std::size_t at = line.find('='); at != std::string::npos && line.front() != '#')
      unit.emplace(line.substr(0, at), line.substr(at + 1));
  return unit;
}

std::string value_of(const UnitFile& unit, const std::string& key) {
  EXPECT_EQ(unit.count(key), 1U) << kUnitFile << ": " << key;
  const auto row = unit.find(key);
  return row == unit.end() ? "" : row->second;
}

// The options of the command that the unit starts.
TraceOptions started_by(const UnitFile& unit) {
  std::istringstream text(value_of(unit, "ExecStart"));
  std::vector<std::string> words;
  for (std::string word; text >> word;) words.push_back(word);
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  CommandLine line;
  try {
    line.parse(static_cast<int>(argv.size()), argv.data());
  } catch (const CLI::ParseError& error) {
    ADD_FAILURE() << error.what();
  }
  EXPECT_TRUE(line.trace());
  return line.trace().value_or(TraceOptions{});
}

std::uint64_t bytes_of(const std::string& size) {
  const auto parsed = parse_size(size);
  EXPECT_TRUE(parsed) << size;
  return parsed ? *parsed : 0;
}

// What the unit is charged for.
std::uint64_t whole(const TraceOptions& options) {
  const auto share = share_memory(options);
  EXPECT_TRUE(share);
  return share ? share->tables + share->flight + 2 * std::uint64_t{options.buffer_bytes} + kRest : 0;
}

TEST(FlightRecorderUnit, ItsMemoryHoldsWhatItsOptionsAskFor) {
  const UnitFile unit = read_unit();
  const TraceOptions options = started_by(unit);
  EXPECT_TRUE(options.recording.flight);
  EXPECT_TRUE(options.recording.save_on_critical);
  EXPECT_GE(bytes_of(value_of(unit, "MemoryMax")), whole(options));
}

TEST(FlightRecorderUnit, TheDefaultsFitItToo) {
  const UnitFile unit = read_unit();
  TraceOptions options = started_by(unit);
  options.max_memory.reset();
  options.buffer_bytes = TraceOptions{}.buffer_bytes;
  EXPECT_GE(bytes_of(value_of(unit, "MemoryMax")), whole(options));
}

// A reader that waits for its CPU loses events: on a busy host, where they matter.
TEST(FlightRecorderUnit, ItIsNotNice) {
  const UnitFile unit = read_unit();
  for (const char* key : {"Nice", "CPUQuota", "CPUWeight", "CPUSchedulingPolicy"})
    EXPECT_EQ(unit.count(key), 0U) << key;
}

}  // namespace
}  // namespace tcpwhy::cli
