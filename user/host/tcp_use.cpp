// SPDX-License-Identifier: GPL-2.0-only
#include "user/host/tcp_use.h"

#include <fstream>
#include <sstream>
#include <string>

namespace tcpwhy::host {

TcpUse read_tcp_use() {
  TcpUse use;
  std::ifstream sockstat{"/proc/net/sockstat"};
  for (std::string line; std::getline(sockstat, line);) {
    if (!line.starts_with("TCP:")) continue;
    std::istringstream words{line.substr(4)};
    std::string key;
    std::uint64_t value = 0;
    while (words >> key >> value) {
      if (key == "orphan") use.orphans = value;
      if (key == "mem") use.memory_pages = value;
    }
  }
  std::ifstream{"/proc/sys/net/ipv4/tcp_mem"} >> use.memory_low >> use.memory_pressure >> use.memory_high;
  std::ifstream{"/proc/sys/net/ipv4/tcp_max_orphans"} >> use.orphans_limit;
  return use;
}

}  // namespace tcpwhy::host
