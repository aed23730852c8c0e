// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/filter_values.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string_view>
#include <system_error>

namespace tcpwhy::cli {
namespace {

using util::Error;
using util::Result;

template <typename T>
std::optional<T> parse_number(std::string_view text) {
  T number{};
  const auto [stopped, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || stopped != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

Result<std::uint64_t> inode_of(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {
    return Error{fmt::format("cannot read {}: {}", path, std::strerror(errno)), errno, ""};
  }
  return status.st_ino;
}

bool is_on_filesystem(const std::string& path, decltype(statfs::f_type) magic) {
  struct statfs status {};
  return statfs(path.c_str(), &status) == 0 && status.f_type == magic;
}

Result<std::uint32_t> netns_inode(const std::string& path, const std::string& text, const std::string& hint) {
  const Result<std::uint64_t> inode = inode_of(path);
  if (!inode) {
    const int code = inode.error().code;
    return Error{fmt::format("cannot find network namespace '{}': {}", text, std::strerror(code)), code,
                 code == EACCES || code == EPERM ? "run as root" : hint};
  }
  if (!is_on_filesystem(path, NSFS_MAGIC)) {
    return Error{fmt::format("{} is not a network namespace", path), 0, hint};
  }
  return static_cast<std::uint32_t>(*inode);  // the kernel numbers namespaces with 32 bits
}

// One that is removed meanwhile, or cannot be read, is left out.
void add_cgroups_below(const std::string& folder, std::vector<std::uint64_t>& ids) {
  std::error_code error;
  std::filesystem::directory_iterator at{folder, error};
  for (; !error && at != std::filesystem::directory_iterator{}; at.increment(error)) {
    std::error_code gone;
    if (!at->is_directory(gone) || at->is_symlink(gone)) continue;
    if (const Result<std::uint64_t> below = inode_of(at->path())) ids.push_back(*below);
    add_cgroups_below(at->path(), ids);
  }
}

std::vector<std::uint64_t> cgroups_of(const std::string& top, std::uint64_t inode) {
  std::vector<std::uint64_t> ids{inode};
  add_cgroups_below(top, ids);
  return ids;
}

}  // namespace

Result<std::uint32_t> parse_pid(const std::string& text) {
  const std::optional<std::int32_t> pid = parse_number<std::int32_t>(text);
  if (!pid || *pid <= 0) {
    return Error{fmt::format("'{}' is not a process id", text), 0,
                 "write a number from 1 up, as in 4410; --comm takes a name"};
  }
  return static_cast<std::uint32_t>(*pid);
}

Result<util::Endpoint> parse_service_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  std::string head = colon == std::string::npos ? std::string{} : text.substr(0, colon);
  const std::string tail = colon == std::string::npos ? text : text.substr(colon + 1);
  if (head.empty() || head == "localhost") head = "127.0.0.1";
  const bool bracketed = head.size() > 2 && head.front() == '[' && head.back() == ']';
  if (bracketed) head = head.substr(1, head.size() - 2);
  const std::optional<std::uint16_t> port = parse_number<std::uint16_t>(tail);
  const auto address = util::parse_address(head);
  if (!port || !address || bracketed != (head.find(':') != std::string::npos))
    return Error{fmt::format("'{}' is no address to listen on", text), 0,
                 "write a port, as in 9435, or an address of this host with one: 127.0.0.1:9435, [::1]:9435"};
  return util::Endpoint{*address, *port};
}

Result<std::size_t> parse_size(const std::string& text) {
  const Error no_size{fmt::format("'{}' is not a size", text), 0, "write a number of bytes, or one with k, M or G: 8M"};
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::optional<std::size_t> number = parse_number<std::size_t>(std::string_view{text}.substr(0, digits));
  const std::string_view unit = std::string_view{text}.substr(digits);
  struct Shift {
    std::string_view unit;
    unsigned bits;
  };
  static constexpr Shift kShifts[] = {{"", 0},   {"k", 10},   {"K", 10}, {"KiB", 10}, {"M", 20},
                                      {"m", 20}, {"MiB", 20}, {"G", 30}, {"GiB", 30}};
  for (const Shift& shift : kShifts) {
    if (number && shift.unit == unit && *number != 0 &&
        *number <= std::numeric_limits<std::size_t>::max() >> shift.bits) {
      return *number << shift.bits;
    }
  }
  return no_size;
}

Result<std::vector<std::uint64_t>> resolve_cgroup(const std::string& text, const HostPaths& paths) {
  // A hybrid host keeps its cgroup v2 tree in "unified".
  const std::string candidates[] = {text, paths.cgroup + "/" + text, paths.cgroup + "/unified/" + text};
  bool exists = false;
  for (const std::string& path : candidates) {
    if (&path == candidates && !path.starts_with('/')) {
      continue;
    }
    const Result<std::uint64_t> inode = inode_of(path);
    if (inode && is_on_filesystem(path, CGROUP2_SUPER_MAGIC)) {
      return cgroups_of(path, *inode);
    }
    exists = exists || inode.has_value();
  }
  if (exists) {
    return Error{fmt::format("'{}' is not a folder of cgroup v2", text), 0,
                 fmt::format("name one below the mount of type cgroup2 (usually {})", paths.cgroup)};
  }
  return Error{fmt::format("no cgroup '{}'", text), ENOENT,
               fmt::format("write its path below {}, as in system.slice/nginx.service; the third field of "
                           "/proc/PID/cgroup is a process's",
                           paths.cgroup)};
}

Result<std::uint32_t> resolve_netns(const std::string& text, const HostPaths& paths) {
  constexpr std::string_view kPid = "pid:";
  if (const std::optional<std::uint32_t> inode = parse_number<std::uint32_t>(text); inode && *inode != 0) {
    return *inode;
  }
  if (text.starts_with(kPid)) {
    const std::string digits = text.substr(kPid.size());
    Result<std::uint32_t> pid = parse_pid(digits);
    if (!pid) {
      return std::move(pid.error());
    }
    return netns_inode(fmt::format("{}/{}/ns/net", paths.proc, *pid), text, "is the process still running?");
  }
  const std::string hint =
      "write a name of `ip netns list`, pid:N for that of a process, or an inode number as `lsns -t net` shows it";
  if (text.empty() || text.find('/') != std::string::npos) {
    return Error{fmt::format("'{}' is not the name of a network namespace", text), 0, hint};
  }
  return netns_inode(paths.netns + "/" + text, text, hint);
}

}  // namespace tcpwhy::cli
