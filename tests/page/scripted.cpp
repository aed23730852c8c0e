// SPDX-License-Identifier: GPL-2.0-only
//
// scripted: a recording out of a script (user/source/script.h), for tests that need one that no kernel makes on demand.

#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>

#include "user/recording/recorder.h"
#include "user/source/script.h"

int main(int argc, char** argv) {
  using namespace tcpwhy;
  if (argc != 2) {
    std::fputs("usage: scripted FILE < SCRIPT\n\nExit codes: 0 written, 1 not, 2 wrong usage.\n", stderr);
    return 2;
  }
  const std::string text{std::istreambuf_iterator<char>{std::cin}, {}};
  const auto script = source::parse_script(text);
  if (!script) return std::fprintf(stderr, "scripted: %s\n", script.error().what.c_str()), 1;
  recording::Meta meta;
  meta.tool = "scripted";
  meta.kernel = "6.0.0-scripted";
  meta.settings.names = source::script_names();
  meta.settings.identity = {"script-host", "c0ffee00-0000-4000-8000-000000000000",
                            util::WallOffset{1'700'000'000'000'000'000}, 1};
  auto recorder = recording::Recorder::open({.path = argv[1], .overwrite = true, .may_wait = true}, meta);
  if (!recorder) return std::fprintf(stderr, "scripted: %s\n", recorder.error().what.c_str()), 1;
  for (const auto& record : script->records) (*recorder)->record(record);
  return (*recorder)->finish(0) ? 0 : 1;
}
