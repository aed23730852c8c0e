// SPDX-License-Identifier: GPL-2.0-only
#include "user/util/printable.h"

#include <gtest/gtest.h>

namespace tcpwhy::util {
namespace {

using namespace std::string_literals;

TEST(Printable, LeavesTextAlone) {
  EXPECT_EQ(printable(""), "");
  EXPECT_EQ(printable("nginx: worker"), "nginx: worker");
  EXPECT_EQ(printable("caf\xc3\xa9 \xe2\x86\x92 \xf0\x9f\x90\x8b"), "caf\xc3\xa9 \xe2\x86\x92 \xf0\x9f\x90\x8b");
}

TEST(Printable, EscapesControlCharacters) {
  EXPECT_EQ(printable("\x1b[2Jx"), "\\x1b[2Jx");
  EXPECT_EQ(printable("a\nb\tc\0d\x7f"s), "a\\x0ab\\x09c\\x00d\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");  // CSI as one character
}

TEST(Printable, EscapesWhatIsNotUtf8) {
  EXPECT_EQ(printable("\xff"), "\\xff");
  EXPECT_EQ(printable("a\xc3"), "a\\xc3");                           // cut short
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");                    // longer than need be
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // a surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond U+10FFFF
  EXPECT_EQ(printable("\xe2\x28\xa1"), "\\xe2(\\xa1");
}

TEST(Printable, EscapesWhatTurnsTheWritingDirection) { EXPECT_EQ(printable("\xe2\x80\xae"), "\\xe2\\x80\\xae"); }

TEST(Printable, NoByteBelowSpaceComesOut) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      for (const char c : printable(std::string{static_cast<char>(first), static_cast<char>(second)})) {
        EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7f);
      }
    }
  }
}

}  // namespace
}  // namespace tcpwhy::util
