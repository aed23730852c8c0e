// SPDX-License-Identifier: GPL-2.0-only
// How the reader looks at a model: which page, in what order, through which filter, at which row. Keys change it; what else
// they ask for is the caller's to do.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "user/top/model.h"

namespace tcpwhy::top {

enum class Page : std::uint8_t { overview, findings, connections, listeners, processes };
inline constexpr std::size_t kPages = 5;
enum class Sheet : std::uint8_t { none, finding, explain, ladder, help };  // over the page

struct Key {
  enum class Kind : std::uint8_t {
    character,
    up,
    down,
    page_up,
    page_down,
    home,
    end,
    enter,
    escape,
    backspace,
    tab,
    back_tab,
  };
  Kind kind = Kind::character;
  char character = 0;  // ASCII
};

// What a key asks of others than the view.
enum class Wish : std::uint8_t { none, quit, save, seek, faster, slower, pause };

struct View {
  Page page = Page::overview;
  Sheet sheet = Sheet::none;
  std::array<std::size_t, kPages> order{};     // which of orders_of(page)
  std::array<std::uint64_t, kPages> chosen{};  // the row that is selected, by its id; 0: the first
  std::string filter;                          // a row passes where its text has it, in any case
  bool typing = false;                         // the filter
  bool show_info = false;                      // findings of severity info, too
  std::uint64_t finding = 0;                   // of Sheet::finding and Sheet::explain
  std::optional<abi::Tuple> connection;        // of Sheet::ladder
  std::size_t scroll = 0;                      // of the sheet, lines
  bool from_file = false;                      // a recording is played
  bool paused = false;
  bool at_end = false;  // of the recording
  double speed = 1;
  std::string note;   // the last thing there is to say of what was asked for
  std::string title;  // the recording's name
};

// The names of the orders in which a page can be; the first is the one it begins with.
const std::vector<std::string_view>& orders_of(Page page);

// The rows of a page as they are shown: indexes into the model's, filtered and in order. Of the overview: the findings.
std::vector<std::size_t> rows_of(Page page, const Model& model, const View& view);
// The identity of a row, the same from one model to the next.
std::uint64_t id_of(Page page, const Model& model, std::size_t row);
// Where in rows_of() the selected row is; the first where it is gone.
std::size_t place_of(Page page, const Model& model, const View& view, const std::vector<std::size_t>& rows);

// rows_on_screen: how far a page key goes.
Wish press(View& view, const Model& model, Key key, std::size_t rows_on_screen);

}  // namespace tcpwhy::top
