// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/pager.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>

namespace tcpwhy::cli {
namespace {

// Whether it ran: the shell says 127 where there is no such program, 126 where it may not be run.
bool run_pager(const char* pager, const std::string& text) {
  std::signal(SIGPIPE, SIG_IGN);  // whoever leaves the pager early has read enough
  FILE* pipe = ::popen(pager, "w");
  if (pipe == nullptr) return false;
  (void)std::fwrite(text.data(), 1, text.size(), pipe);
  const int status = ::pclose(pipe);
  return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) != 126 && WEXITSTATUS(status) != 127;
}

}  // namespace

void page(const std::string& text) {
  const char* said = std::getenv("PAGER");
  const char* pager = said != nullptr ? said : "less -R";
  if (::isatty(STDOUT_FILENO) == 1 && *pager != '\0') {
    (void)::setenv("LESS", "FRX", 0);
    if (run_pager(pager, text)) return;
  }
  std::cout << text;
}

}  // namespace tcpwhy::cli
