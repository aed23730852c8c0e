// SPDX-License-Identifier: GPL-2.0-only
// libbpf's own messages: silent, but for spdlog's debug and trace levels and for the last of them in an error.
#pragma once

#include <string>

namespace tcpwhy::source {

// From now on libbpf says nothing on stderr.
void capture_libbpf_messages();

// The last warnings since the previous call, on one line; empty where there were none.
std::string take_libbpf_warnings();

// For the live source's own notes (this is its only file that includes spdlog).
void log_info(const std::string& text);
void log_debug(const std::string& text);

}  // namespace tcpwhy::source
