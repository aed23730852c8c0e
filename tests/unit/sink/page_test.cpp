// SPDX-License-Identifier: GPL-2.0-only
#include "user/sink/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace tcpwhy::sink {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kPage = R"(# stall-example

Nothing moves, and *nobody* says why.

## How the kernel gets there

It waits for `read()`, as [stall-unread](stall-unread.md) says, and this sentence is long enough to be broken.

## How tcpwhy knows

It looks.

## Threshold

None.

## Causes

| cause | culprit kind | rests on |
|---|---|---|
| `one` | network | this |
| `two` | unknown | that |

## When it stays quiet

- Mostly.

## How it can be wrong

- With `two`.

## What to check

- `ss -tn`: everything.

## What to change

- `one`: this.
- `two`: that.

## Example

```text
12:00:00  as it stands
```

## Evidence keys

`none`.
)";

explain::Page page() { return *explain::parse(kPage); }

TEST(PageText, HasEverySectionInItsOrder) {
  const std::string text = page_text(page(), {.columns = 60});
  std::size_t at = 0;
  for (const char* title :
       {"stall-example", "HOW THE KERNEL GETS THERE", "THRESHOLD", "CAUSES", "EXAMPLE", "EVIDENCE KEYS"}) {
    at = text.find(title, at);
    ASSERT_NE(at, std::string::npos) << title;
  }
  EXPECT_THAT(text, HasSubstr("\n  Nothing moves, and nobody says why.\n"));
  EXPECT_THAT(text, HasSubstr("\n  It waits for `read()`, as stall-unread says, and this\n  sentence is"));
  EXPECT_THAT(text, HasSubstr("\n  `one`\n      culprit kind: network\n      rests on: this\n  `two`\n"));
  EXPECT_THAT(text, HasSubstr("\n  - `one`: this.\n  - `two`: that.\n"));
  EXPECT_THAT(text, HasSubstr("\n12:00:00  as it stands\n"));
}

TEST(PageText, OfOneCauseOnlyWhatConcernsIt) {
  const std::string text = cause_text(page(), "one", {});
  EXPECT_THAT(text, HasSubstr("\nCAUSE one\n  culprit kind: network\n  rests on: this\n"));
  EXPECT_THAT(text, HasSubstr("`one`: this."));
  EXPECT_THAT(text, HasSubstr("`ss -tn`: everything."));
  EXPECT_THAT(text, Not(HasSubstr("that")));
  EXPECT_THAT(text, Not(HasSubstr("With"))) << "what can be wrong with the other";
}

TEST(PageText, ColourTakesNoRoomAndEndsWithItsWord) {
  const std::string plain = page_text(page(), {.columns = 60});
  const std::string coloured = page_text(page(), {.colour = true, .columns = 60});
  EXPECT_THAT(coloured, HasSubstr("\x1b[1mread()\x1b[0m"));
  EXPECT_THAT(coloured, HasSubstr("\x1b[1mss\x1b[0m \x1b[1m-tn\x1b[0m"));
  std::istringstream lines{coloured};
  for (std::string line; std::getline(lines, line);) {
    std::size_t width = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '\x1b')
        i = line.find('m', i);
      else
        ++width;
    }
    EXPECT_LE(width, 60U) << line;
  }
}

}  // namespace
}  // namespace tcpwhy::sink
