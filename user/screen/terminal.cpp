// SPDX-License-Identifier: GPL-2.0-only
#include "user/screen/terminal.h"

// clang-format off
#include <curses.h>
#include <term.h>
// clang-format on
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "terminfo_built_in.h"

namespace tcpwhy::screen {
namespace {

// setupterm() allocates what newterm() makes anew.
bool is_known(const char* name) {
  int found = 0;
  return setupterm(name, STDOUT_FILENO, &found) == OK;
}

bool take_built_in(std::string_view name) {
  const auto* const it =
      std::find_if(std::begin(kBuiltIn), std::end(kBuiltIn), [&](const BuiltIn& b) { return name == b.name; });
  return it != std::end(kBuiltIn) && ::setenv("TERMINFO", it->description, 1) == 0;
}

}  // namespace

util::Status describe_terminal() {
  const char* const name = std::getenv("TERM");
  if (name == nullptr || *name == '\0')
    return util::Error{"TERM is not set: what kind of terminal this is cannot be known", 0,
                       "set it: TERM=xterm-256color fits most"};
  const std::string term = name;
  if (!is_known(name) && !(take_built_in(term) && is_known(name)))
    return util::Error{"this host knows no terminal '" + term + "' (TERM)", 0,
                       "set TERM to one that yours resembles: TERM=xterm-256color fits most"};
  const char* const move = tigetstr("cup");
  if (move == nullptr || move == reinterpret_cast<const char*>(-1))
    return util::Error{"the terminal '" + term + "' (TERM) has no cursor that can be moved", 0,
                       "`tcpwhy trace` tells the same findings line by line"};
  return util::Done{};
}

}  // namespace tcpwhy::screen
