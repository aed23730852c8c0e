// SPDX-License-Identifier: GPL-2.0-only
// The words of the command line turned into values. An Error says what is wrong with the word and what to write instead.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "user/util/address.h"
#include "user/util/result.h"
#include "user/util/time.h"

namespace tcpwhy::cli {

using util::parse_port;
using util::parse_positive_duration;
util::Result<std::uint32_t> parse_pid(const std::string& text);
// Where to listen: "127.0.0.1:9435", "[::1]:9435"; "9435" and ":9435" are on 127.0.0.1. Port 0 is any free one.
util::Result<util::Endpoint> parse_service_address(const std::string& text);
// "8M", "512k", "1048576"
util::Result<std::size_t> parse_size(const std::string& text);

// Where the host keeps what --cgroup and --netns name.
struct HostPaths {
  std::string cgroup = "/sys/fs/cgroup";
  std::string netns = "/run/netns";
  std::string proc = "/proc";
};
// A cgroup v2 folder, absolute or below the mount: its id, which is its inode, and the ids of those below it now.
util::Result<std::vector<std::uint64_t>> resolve_cgroup(const std::string& text, const HostPaths& paths = {});
// An inode number, a name of `ip netns`, or pid:N: the inode of the network namespace.
util::Result<std::uint32_t> resolve_netns(const std::string& text, const HostPaths& paths = {});

}  // namespace tcpwhy::cli
