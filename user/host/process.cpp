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

#include "user/util/fd.h"

namespace tcpwhy::host {
namespace {

constexpr std::size_t kMostThreads = 256;       // looked at for one that runs
constexpr std::uint32_t kMostFiles = 1U << 20;  // counted one by one, where the kernel does not tell

// /proc/PID, opened once: its files are found without a look-up of the process for each.
class Folder {
 public:
  explicit Folder(std::uint32_t pid)
      : fd_(::open(("/proc/" + std::to_string(pid)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {}
  [[nodiscard]] int get() const { return fd_.get(); }
  // The head of a small file, for which /proc needs one read; empty where it cannot be read.
  [[nodiscard]] std::string_view read(const char* name) {
    const util::Fd file{::openat(fd_.get(), name, O_RDONLY | O_CLOEXEC)};
    const ssize_t n = file.get() < 0 ? -1 : ::read(file.get(), bytes_.data(), bytes_.size());
    return {bytes_.data(), n < 0 ? 0 : static_cast<std::size_t>(n)};
  }

 private:
  util::Fd fd_;
  std::array<char, 4096> bytes_;
};

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// Entries of a directory, "." and ".." left out, until visit says false.
template <typename Visit>
bool for_each_entry(const Folder& folder, const char* name, Visit visit) {
  util::Fd fd{::openat(folder.get(), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  const std::unique_ptr<DIR, CloseDirectory> directory{fd.is_open() ? ::fdopendir(fd.get()) : nullptr};
  if (!directory) return false;
  (void)fd.release();  // the directory closes it
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

char state_in(std::string_view stat) {
  const std::size_t end = stat.rfind(')');
  return end == std::string_view::npos || stat.size() < end + 3 ? '?' : stat[end + 2];
}

void read_stat(Process& process, Folder& folder) {
  constexpr std::size_t kState = 3 - 3, kUser = 14 - 3, kSystem = 15 - 3, kThreads = 20 - 3, kStart = 22 - 3;
  const std::vector<std::string_view> fields = stat_fields(folder.read("stat"));
  if (fields.size() <= kStart) return;
  process.state = fields[kState].front();
  process.threads = number<std::uint32_t>(fields[kThreads]);
  static const long user_hz = ::sysconf(_SC_CLK_TCK);
  if (user_hz <= 0) return;
  const std::uint64_t tick_ns = 1'000'000'000ULL / static_cast<std::uint64_t>(user_hz);
  process.start_ns = number<std::uint64_t>(fields[kStart]) * tick_ns;
  process.cpu_ns = (number<std::uint64_t>(fields[kUser]) + number<std::uint64_t>(fields[kSystem])) * tick_ns;
}

bool waits_for_sockets(long call) {
  static constexpr long kCalls[] = {
      SYS_epoll_pwait,    SYS_ppoll, SYS_pselect6, SYS_accept, SYS_accept4, SYS_recvfrom, SYS_recvmsg, SYS_io_getevents,
#ifdef SYS_epoll_wait
      SYS_epoll_wait,     SYS_poll,  SYS_select,
#endif
#ifdef SYS_epoll_pwait2
      SYS_epoll_pwait2,
#endif
#ifdef SYS_io_uring_enter
      SYS_io_uring_enter,
#endif
  };
  return std::find(std::begin(kCalls), std::end(kCalls), call) != std::end(kCalls);
}

bool is_socket(const Folder& folder, std::uint64_t fd) {
  std::array<char, 16> target;
  const ssize_t n = ::readlinkat(folder.get(), ("fd/" + std::to_string(fd)).c_str(), target.data(), target.size());
  return n < 0 || std::string_view{target.data(), static_cast<std::size_t>(n)}.starts_with("socket:");
}

// Of a call as /proc shows it, its number and its arguments in hexadecimal: a read is one of a socket, or of something else.
bool waits_for_sockets(std::string_view text, const Folder& folder) {
  long call = -1;
  std::from_chars(text.data(), text.data() + text.size(), call);
  if (call != SYS_read && call != SYS_readv) return waits_for_sockets(call);
  constexpr std::string_view kHexadecimal = "0x";
  const std::size_t argument = text.find(kHexadecimal);
  if (argument == std::string_view::npos) return true;
  const std::string_view digits = text.substr(argument + kHexadecimal.size());
  std::uint64_t fd = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), fd, 16);
  return is_socket(folder, fd);
}

// What the threads of a process do.
struct Threads {
  std::uint32_t polling = 0;
  bool shown = false;   // their system calls
  bool moving = false;  // one woke or slept meanwhile: what it waits for is not known
  bool any_runs = false;
};

// /proc/PID/task/TID/syscall: the number of the call it sleeps in, -1 outside of any, or "running", which the kernel also says
// of a thread that woke or slept while it was looked at (task_current_syscall() in lib/syscall.c).
void look_at_thread(Threads& threads, Folder& folder, const std::string& thread) {
  const std::string_view text = folder.read((thread + "syscall").c_str());
  threads.shown = threads.shown || !text.empty();
  const bool may_run = text.empty() || text.front() == 'r';
  if (may_run) {
    threads.moving = true;
    threads.any_runs = threads.any_runs || state_in(folder.read((thread + "stat").c_str())) == 'R';
    return;
  }
  if (waits_for_sockets(text, folder)) threads.polling += 1;
}

void read_threads(Process& process, Folder& folder) {
  Threads threads;
  if (process.threads <= 1) {
    look_at_thread(threads, folder, "");
  } else {
    std::size_t looked_at = 0;
    for_each_entry(folder, "task", [&](const char* thread) {
      look_at_thread(threads, folder, std::string{"task/"} + thread + "/");
      threads.moving = threads.moving || ++looked_at >= kMostThreads;  // the others may wait for a socket
      return looked_at < kMostThreads;
    });
    if (threads.any_runs) process.state = 'R';
  }
  // None of them waits for a socket only where each is seen to wait for something else.
  if (threads.polling > 0 || (threads.shown && !threads.moving)) process.polling = threads.polling;
}

std::optional<std::uint32_t> count_files(const Folder& folder) {
  struct stat status {};
  // Since 6.2 the size of the folder is the number of its files; before, it is 0.
  if (::fstatat(folder.get(), "fd", &status, 0) != 0 || ::faccessat(folder.get(), "fd", R_OK | X_OK, AT_EACCESS) != 0)
    return std::nullopt;
  if (status.st_size > 0) return static_cast<std::uint32_t>(status.st_size);
  std::uint32_t count = 0;
  if (!for_each_entry(folder, "fd", [&count](const char*) { return ++count < kMostFiles; })) return std::nullopt;
  return count;
}

std::optional<std::uint32_t> read_file_limit(Folder& folder) {
  constexpr std::string_view kRow = "Max open files";
  const std::string_view limits = folder.read("limits");
  const std::size_t row = limits.find(kRow);
  if (row == std::string_view::npos) return std::nullopt;
  const std::vector<std::string_view> fields = words(limits.substr(row + kRow.size(), 64));
  if (fields.empty()) return std::nullopt;
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max() - 1;  // the last stands for "not known"
  if (fields.front() == "unlimited") return static_cast<std::uint32_t>(kMost);
  return static_cast<std::uint32_t>(std::min(number<std::uint64_t>(fields.front()), kMost));
}

// "0::/system.slice/nginx.service": the line of cgroup v2.
std::string read_cgroup(Folder& folder) {
  const std::string text = "\n" + std::string{folder.read("cgroup")};
  const std::size_t line = text.find("\n0::");
  if (line == std::string::npos) return {};
  const std::size_t begin = line + 4;
  return text.substr(begin, text.find('\n', begin) - begin);
}

std::string read_wait_channel(Folder& folder) {
  const std::string_view name = folder.read("wchan");
  return name == "0" ? std::string{} : std::string{name};
}

void read_resources(Process& process, Folder& folder) {
  process.open_fds = count_files(folder);
  process.fd_limit = read_file_limit(folder);
  process.cgroup = read_cgroup(folder);
}

Process look_at_process(std::uint32_t pid, Folder& folder) {
  Process process;
  process.pid = pid;
  read_stat(process, folder);
  if (process.state == '?') return process;
  process.wait_channel = read_wait_channel(folder);
  read_threads(process, folder);
  return process;
}

}  // namespace

Process look_at_process(std::uint32_t pid) {
  Folder folder{pid};
  return look_at_process(pid, folder);
}

void read_resources(Process& process) {
  Folder folder{process.pid};
  read_resources(process, folder);
}

Process read_process(std::uint32_t pid) {
  Folder folder{pid};
  Process process = look_at_process(pid, folder);
  if (process.state != '?') read_resources(process, folder);
  return process;
}

}  // namespace tcpwhy::host
