// SPDX-License-Identifier: GPL-2.0-only
#include "user/screen/screen.h"

#include <curses.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "user/screen/signals.h"
#include "user/screen/terminal.h"

namespace tcpwhy::screen {
namespace {

using top::Style;

// Of init_pair(). Red and yellow differ for those who see neither by being bold or not, and by the words beside them.
constexpr short kCritical = 1;
constexpr short kWarning = 2;
constexpr short kInfo = 3;
constexpr int kEscape = 27;

struct EndScreen {
  void operator()(SCREEN* screen) const {
    if (isendwin() == FALSE) endwin();
    delscreen(screen);
  }
};

// What takes the terminal back: out of the other screen, cursor on, no attributes.
std::string leaving_text() {
  std::string text;
  for (const char* capability : {"sgr0", "rmkx", "cnorm", "rmcup"}) {
    const char* const value = tigetstr(capability);
    // terminfo(3X): -1 where it is no string capability.
    if (value != nullptr && reinterpret_cast<std::intptr_t>(value) != -1) text += value;
  }
  return text;
}

bool wants_colour() {
  const char* const no_color = std::getenv("NO_COLOR");  // no-color.org: set and not empty
  return no_color == nullptr || *no_color == '\0';
}

// Where the terminal is not known to take UTF-8, what is not ASCII is a question mark.
std::string ascii(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80)
      out += c;
    else if ((byte & 0xC0U) != 0x80U)
      out += '?';
  }
  return out;
}

class Curses final : public Screen {
 public:
  Curses(std::unique_ptr<Signals> signals, SCREEN* screen) : signals_(std::move(signals)), screen_(screen) {}

  void prepare();
  void show(const top::Frame& frame) override;
  std::optional<top::Key> key(util::Duration wait) override;
  bool settle() override;
  [[nodiscard]] top::Size size() const override;
  [[nodiscard]] bool lost() const override { return lost_; }

 private:
  void draw(int row, const top::Line& line, bool is_last);
  [[nodiscard]] attr_t attributes(Style style) const;
  void take_over_size();

  std::unique_ptr<Signals> signals_;
  std::unique_ptr<SCREEN, EndScreen> screen_;
  bool colour_ = false;
  bool utf8_ = false;
  bool lost_ = false;
};

void Curses::prepare() {
  cbreak();
  noecho();
  nonl();
  keypad(stdscr, TRUE);
  nodelay(stdscr, TRUE);
  leaveok(stdscr, TRUE);
  curs_set(0);
  utf8_ = MB_CUR_MAX > 1;
  colour_ = wants_colour() && has_colors() == TRUE;
  if (!colour_) return;
  start_color();
  use_default_colors();
  init_pair(kCritical, COLOR_RED, -1);
  init_pair(kWarning, COLOR_YELLOW, -1);
  init_pair(kInfo, COLOR_BLUE, -1);
}

attr_t Curses::attributes(Style style) const {
  const auto coloured = [this](short pair) {
    return colour_ ? static_cast<attr_t>(COLOR_PAIR(pair)) : attr_t{A_NORMAL};
  };
  switch (style) {
    case Style::dim:
      return A_DIM;
    case Style::strong:
      return A_BOLD;
    case Style::title:
      return A_REVERSE;
    case Style::critical:
      return A_BOLD | coloured(kCritical);
    case Style::warning:
      return coloured(kWarning);
    case Style::info:
      return coloured(kInfo);
    case Style::plain:
      break;
  }
  return A_NORMAL;
}

void Curses::draw(int row, const top::Line& line, bool is_last) {
  const attr_t whole = line.selected ? attr_t{A_REVERSE} : attr_t{A_NORMAL};
  attrset(static_cast<int>(whole));
  move(row, 0);
  clrtoeol();
  for (const top::Span& span : line.spans) {
    attrset(
        static_cast<int>(whole | (line.selected && span.style == Style::title ? attr_t{0} : attributes(span.style))));
    const std::string text = utf8_ ? span.text : ascii(span.text);
    addstr(text.c_str());
  }
  int y = 0;
  int x = 0;
  getyx(stdscr, y, x);
  attrset(static_cast<int>(whole));
  // A selected row is one to its end; the last cell of the screen stays, for writing it might scroll.
  if (line.selected && y == row)
    for (; x < COLS - (is_last ? 1 : 0); ++x) addch(' ');
  attrset(A_NORMAL);
}

void Curses::show(const top::Frame& frame) {
  for (std::size_t i = 0; i < frame.size() && static_cast<int>(i) < LINES; ++i)
    draw(static_cast<int>(i), frame[i], static_cast<int>(i) == LINES - 1);
  refresh();
}

top::Size Curses::size() const {
  return {static_cast<std::size_t>(LINES > 0 ? LINES : 0), static_cast<std::size_t>(COLS > 0 ? COLS : 0)};
}

void Curses::take_over_size() {
  winsize now{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &now) == 0 && now.ws_row > 0 && now.ws_col > 0)
    resizeterm(now.ws_row, now.ws_col);
}

bool Curses::settle() {
  bool anew = false;
  if (Signals::take_stop()) {
    endwin();
    Signals::stop_here();
    (void)Signals::take_continued();
    take_over_size();
    anew = true;
  }
  // Stopped and continued by others: whoever had the terminal meanwhile may have changed its modes.
  if (Signals::take_continued()) {
    reset_prog_mode();
    anew = true;
  }
  if (Signals::take_resized()) {
    take_over_size();
    anew = true;
  }
  if (anew) clearok(stdscr, TRUE);
  return anew;
}

std::optional<top::Key> Curses::key(util::Duration wait) {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(wait).count();
  const int ready = ::poll(&input, 1, static_cast<int>(ms));
  if (ready > 0 && (input.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) lost_ = true;
  const int code = getch();
  if (code == ERR) return std::nullopt;
  using Kind = top::Key::Kind;
  switch (code) {
    case KEY_UP:
      return top::Key{Kind::up};
    case KEY_DOWN:
      return top::Key{Kind::down};
    case KEY_PPAGE:
      return top::Key{Kind::page_up};
    case KEY_NPAGE:
      return top::Key{Kind::page_down};
    case KEY_HOME:
      return top::Key{Kind::home};
    case KEY_END:
      return top::Key{Kind::end};
    case KEY_ENTER:
    case '\r':
    case '\n':
      return top::Key{Kind::enter};
    case KEY_BACKSPACE:
    case '\b':
    case 127:
      return top::Key{Kind::backspace};
    case KEY_BTAB:
      return top::Key{Kind::back_tab};
    case '\t':
      return top::Key{Kind::tab};
    case kEscape:
      return top::Key{Kind::escape};
    default:
      break;
  }
  if (code < ' ' || code > '~') return std::nullopt;
  return top::Key{Kind::character, static_cast<char>(code)};
}

}  // namespace

util::Status check_terminal() {
  if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDOUT_FILENO) != 1)
    return util::Error{"top needs a terminal: standard input or output is none", 0,
                       "`tcpwhy trace` tells the same findings line by line, `tcpwhy report` those of a recording"};
  return describe_terminal();
}

util::Result<std::unique_ptr<Screen>> Screen::open() {
  if (auto status = check_terminal(); !status) return std::move(status.error());
  (void)std::setlocale(LC_CTYPE, "");  // for UTF-8
  ::set_escdelay(25);
  // Before newterm() changes the modes; and ncurses leaves signals alone that have a handler.
  auto signals = std::make_unique<Signals>(leaving_text());
  SCREEN* const screen = newterm(nullptr, stdout, stdin);
  if (screen == nullptr) return util::Error{"the terminal cannot be drawn on", errno, "set TERM to what it is"};
  set_term(screen);
  auto curses = std::make_unique<Curses>(std::move(signals), screen);
  curses->prepare();
  return std::unique_ptr<Screen>{std::move(curses)};
}

}  // namespace tcpwhy::screen
