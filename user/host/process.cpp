// SPDX-License-Identifier: GPL-2.0-only
#include "user/host/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <memory>
#include <string_view>
#include <vector>

namespace tcpwhy::host {
namespace {

constexpr std::size_t kMostThreads = 256;       // looked at for one that runs
constexpr std::uint32_t kMostFiles = 1U << 20;  // counted one by one, where the kernel does not tell

// The head of a small file of /proc; empty where it cannot be read.
std::string read_file(const std::string& path) {
  std::array<char, 4096> bytes;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::string text;
  for (ssize_t n; text.size() < 4 * bytes.size() && (n = ::read(fd, bytes.data(), bytes.size())) > 0;)
    text.append(bytes.data(), static_cast<std::size_t>(n));
  ::close(fd);
  return text;
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// Entries of a directory, "." and ".." left out, until visit says false.
template <typename Visit>
bool for_each_entry(const std::string& path, Visit visit) {
  const std::unique_ptr<DIR, CloseDirectory> directory{::opendir(path.c_str())};
  if (!directory) return false;
  while (const dirent* entry = ::readdir(directory.get()))
    if (entry->d_name[0] != '.' && !visit(entry->d_name)) break;
  return true;
}

template <typename Number>
Number number(std::string_view text) {
  Number value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> result;
  while (true) {
    const std::size_t begin = text.find_first_not_of(" \n\t");
    if (begin == std::string_view::npos) return result;
    text.remove_prefix(begin);
    const std::size_t length = std::min(text.find_first_of(" \n\t"), text.size());
    result.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
}

// Of /proc/PID/stat, what follows the name, which may hold spaces and parentheses: [0] is the state (proc(5) field 3).
std::vector<std::string_view> stat_fields(std::string_view stat) {
  const std::size_t end = stat.rfind(')');
  return end == std::string_view::npos ? std::vector<std::string_view>{} : words(stat.substr(end + 1));
}

void read_stat(Process& process, const std::string& folder) {
  constexpr std::size_t kState = 3 - 3, kUser = 14 - 3, kSystem = 15 - 3, kThreads = 20 - 3, kStart = 22 - 3;
  const std::string stat = read_file(folder + "stat");
  const std::vector<std::string_view> fields = stat_fields(stat);
  if (fields.size() <= kStart) return;
  process.state = fields[kState].front();
  process.threads = number<std::uint32_t>(fields[kThreads]);
  const long user_hz = ::sysconf(_SC_CLK_TCK);
  if (user_hz <= 0) return;
  const std::uint64_t tick_ns = 1'000'000'000ULL / static_cast<std::uint64_t>(user_hz);
  process.start_ns = number<std::uint64_t>(fields[kStart]) * tick_ns;
  process.cpu_ns = (number<std::uint64_t>(fields[kUser]) + number<std::uint64_t>(fields[kSystem])) * tick_ns;
}

bool any_thread_runs(const std::string& folder) {
  std::size_t looked_at = 0;
  bool runs = false;
  for_each_entry(folder + "task", [&](const char* thread) {
    const std::string stat = read_file(folder + "task/" + thread + "/stat");
    const std::vector<std::string_view> fields = stat_fields(stat);
    runs = !fields.empty() && fields.front() == "R";
    return !runs && ++looked_at < kMostThreads;
  });
  return runs;
}

bool waits_for_sockets(long call) {
  static constexpr long kCalls[] = {SYS_epoll_pwait,
                                    SYS_ppoll,
                                    SYS_pselect6,
                                    SYS_accept,
                                    SYS_accept4,
                                    SYS_recvfrom,
                                    SYS_recvmsg,
                                    SYS_io_getevents,
#ifdef SYS_epoll_wait
                                    SYS_epoll_wait,
                                    SYS_poll,
                                    SYS_select,
#endif
#ifdef SYS_epoll_pwait2
                                    SYS_epoll_pwait2,
#endif
#ifdef SYS_io_uring_enter
                                    SYS_io_uring_enter,
#endif
                                    SYS_read};
  return std::find(std::begin(kCalls), std::end(kCalls), call) != std::end(kCalls);
}

// /proc/PID/task/TID/syscall: the number of the call it sleeps in, "running", or -1 outside of any.
std::optional<std::uint32_t> count_polling(const std::string& folder) {
  std::size_t looked_at = 0;
  std::uint32_t polling = 0;
  bool shown = false;
  for_each_entry(folder + "task", [&](const char* thread) {
    const std::string text = read_file(folder + "task/" + thread + "/syscall");
    shown = shown || !text.empty();
    long call = -1;
    std::from_chars(text.data(), text.data() + text.size(), call);
    if (waits_for_sockets(call)) polling += 1;
    return ++looked_at < kMostThreads;
  });
  return shown ? std::optional{polling} : std::nullopt;
}

std::optional<std::uint32_t> count_files(const std::string& folder) {
  const std::string path = folder + "fd";
  struct stat status {};
  // Since 6.2 the size of the folder is the number of its files; before, it is 0.
  if (::stat(path.c_str(), &status) != 0 || ::faccessat(AT_FDCWD, path.c_str(), R_OK | X_OK, AT_EACCESS) != 0)
    return std::nullopt;
  if (status.st_size > 0) return static_cast<std::uint32_t>(status.st_size);
  std::uint32_t count = 0;
  if (!for_each_entry(path, [&count](const char*) { return ++count < kMostFiles; })) return std::nullopt;
  return count;
}

std::optional<std::uint32_t> read_file_limit(const std::string& folder) {
  constexpr std::string_view kRow = "Max open files";
  const std::string limits = read_file(folder + "limits");
  const std::size_t row = limits.find(kRow);
  if (row == std::string::npos) return std::nullopt;
  const std::vector<std::string_view> fields = words(std::string_view{limits}.substr(row + kRow.size(), 64));
  if (fields.empty()) return std::nullopt;
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max() - 1;  // the last stands for "not known"
  if (fields.front() == "unlimited") return static_cast<std::uint32_t>(kMost);
  return static_cast<std::uint32_t>(std::min(number<std::uint64_t>(fields.front()), kMost));
}

// "0::/system.slice/nginx.service": the line of cgroup v2.
std::string read_cgroup(const std::string& folder) {
  const std::string text = "\n" + read_file(folder + "cgroup");
  const std::size_t line = text.find("\n0::");
  if (line == std::string::npos) return {};
  const std::size_t begin = line + 4;
  return text.substr(begin, text.find('\n', begin) - begin);
}

std::string read_wait_channel(const std::string& folder) {
  const std::string name = read_file(folder + "wchan");
  return name == "0" ? std::string{} : name;
}

}  // namespace

Process read_process(std::uint32_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid) + "/";
  Process process;
  process.pid = pid;
  read_stat(process, folder);
  if (process.state == '?') return process;
  if (process.threads > 1 && process.state != 'R' && any_thread_runs(folder)) process.state = 'R';
  process.open_fds = count_files(folder);
  process.fd_limit = read_file_limit(folder);
  process.wait_channel = read_wait_channel(folder);
  process.cgroup = read_cgroup(folder);
  process.polling = count_polling(folder);
  return process;
}

}  // namespace tcpwhy::host
