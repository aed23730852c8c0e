// SPDX-License-Identifier: GPL-2.0-only
#include "user/top/text.h"

#include <gtest/gtest.h>

namespace tcpwhy::top {
namespace {

using namespace std::chrono_literals;

core::Process process(std::uint32_t pid, const std::string& comm) {
  core::Process p;
  p.pid = pid;
  p.comm = comm;
  return p;
}

TEST(Text, EveryCellHasItsWidth) {
  EXPECT_EQ(left("abc", 5), "abc  ");
  EXPECT_EQ(left("abcdef", 5), "abcd~");
  EXPECT_EQ(right("abc", 5), "  abc");
  EXPECT_EQ(keep_end("127.0.0.1:38367", 8), "~1:38367");
  EXPECT_EQ(left("", 0), "");
}

TEST(Text, ColumnsAreThoseOfATerminal) {
  EXPECT_EQ(columns_of("é"), 1U);
  EXPECT_EQ(columns_of("漢字"), 4U);
  EXPECT_EQ(columns_of("e\xCC\x81"), 1U);        // e and a combining accent
  EXPECT_EQ(left("漢字漢", 5), "漢字~");         // never half of one
  EXPECT_EQ(columns_of(left("漢字漢", 4)), 4U);  // 漢 and ~, and a blank for the column that is left
  EXPECT_EQ(columns_of("\xE6\xBC"), 1U);         // cut short: read to its end, not beyond
}

TEST(Text, APidIsNeverCut) {
  EXPECT_EQ(process_name(process(22189, "queue-server"), 19), "queue-server[22189]");
  EXPECT_EQ(process_name(process(22189, "queue-server"), 15), "queue-s~[22189]");
  EXPECT_EQ(process_name(std::nullopt, 4), "-   ");
  EXPECT_EQ(process_name(process(1, "a\x1b[31mb"), 20), left("a\\x1b[31mb[1]", 20));
}

TEST(Text, BytesAndDurationsStayNarrow) {
  EXPECT_EQ(bytes(0), "0");
  EXPECT_EQ(bytes(999), "999");
  EXPECT_EQ(bytes(1000), "1.0K");
  EXPECT_EQ(bytes(573440), "560K");
  EXPECT_EQ(bytes(1U << 20), "1.0M");
  for (std::uint64_t n = 1; n < 1ULL << 62; n = n * 2 + 1) EXPECT_LE(bytes(n).size(), 5U) << n;
  EXPECT_EQ(duration(450ms), "0.5s");
  EXPECT_EQ(duration(99s), "99s");
  EXPECT_EQ(duration(125s), "2m05s");
  EXPECT_EQ(duration(3h + 10min), "3h10m");
  EXPECT_EQ(duration(-1s), "0.0s");
  for (util::Duration d = 1ms; d < 24h * 9999; d = d * 2 + 1ms) EXPECT_LE(duration(d).size(), 6U) << d.count();
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(999), "999");
}

TEST(Text, ABarIsFullFromItsLimitOn) {
  EXPECT_EQ(bar(0, 100, 12), "[..........]");
  EXPECT_EQ(bar(1, 4096, 12), "[#.........]");
  EXPECT_EQ(bar(50, 100, 12), "[#####.....]");
  EXPECT_EQ(bar(99, 100, 12), "[#########.]");
  EXPECT_EQ(bar(100, 100, 12), "[##########]");
  EXPECT_EQ(bar(5, 4, 12), "[##########]");
  EXPECT_EQ(bar(1, 0, 12), "[##########]");
}

TEST(Text, LinesBreakBetweenWords) {
  const std::vector<std::string> lines = wrapped("one two three four", 9, 2);
  EXPECT_EQ(lines, (std::vector<std::string>{"one two", "  three", "  four"}));
  EXPECT_EQ(wrapped("127.0.0.1:50000->127.0.0.1:80", 5).size(), 1U);  // a word is never cut
  EXPECT_EQ(wrapped("", 5), std::vector<std::string>{""});
}

}  // namespace
}  // namespace tcpwhy::top
