// SPDX-License-Identifier: GPL-2.0-only
#include "user/host/mib.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace tcpwhy::host {

std::uint32_t read_netns(std::uint32_t pid) {
  struct stat status {};
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/net";
  return ::stat(path.c_str(), &status) == 0 ? static_cast<std::uint32_t>(status.st_ino) : 0;
}

std::array<std::uint64_t, abi::kMibNames.size()> parse_mib(std::string_view netstat) {
  std::array<std::uint64_t, abi::kMibNames.size()> values{};
  std::istringstream lines{std::string{netstat}};
  std::string names, numbers;
  while (std::getline(lines, names) && std::getline(lines, numbers)) {
    std::istringstream name_words{names}, number_words{numbers};
    std::string name, number;
    if (!(name_words >> name && number_words >> number) || name != "TcpExt:" || number != name) continue;
    while (name_words >> name && number_words >> number) {
      const auto known = std::find(abi::kMibNames.begin(), abi::kMibNames.end(), name);
      if (known != abi::kMibNames.end())
        values.at(static_cast<std::size_t>(known - abi::kMibNames.begin())) =
            std::strtoull(number.c_str(), nullptr, 10);
    }
  }
  return values;
}

std::optional<abi::Mib> read_mib(std::uint32_t pid) {
  abi::Mib mib;
  mib.netns = read_netns(pid);
  std::ifstream file{"/proc/" + std::to_string(pid) + "/net/netstat"};
  if (mib.netns == 0 || !file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  mib.values = parse_mib(text.str());
  return mib;
}

}  // namespace tcpwhy::host
