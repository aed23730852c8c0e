// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include <string>
#include <string_view>

namespace tcpwhy::sink {

// `text` broken between words at `columns`, after a first line that begins with `head`; the following lines are
// indented by `hang`. A word longer than a line is left whole: an address cut in two helps nobody. Ends in a newline.
// `head_columns` is the width of `head` on the screen, colour not counted.
struct Margin {
  std::string head;
  std::size_t head_columns = 0;
  std::size_t hang = 0;
  std::size_t columns = 0;
};
std::string paragraph(std::string_view text, const Margin& margin);

}  // namespace tcpwhy::sink
