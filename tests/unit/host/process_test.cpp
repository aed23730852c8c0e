// SPDX-License-Identifier: GPL-2.0-only
#include "user/host/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "user/host/identity.h"

namespace tcpwhy::host {
namespace {

std::uint32_t as_pid(pid_t pid) { return static_cast<std::uint32_t>(pid); }

// A child that pauses until it is killed.
class Child {
 public:
  explicit Child(const std::function<void()>& before_pause = [] {}) : pid_(::fork()) {
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    before_pause();
    while (true) ::pause();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

// Waits for what the kernel does a moment later; false after some seconds.
bool becomes(std::uint32_t pid, const std::function<bool(const Process&)>& wanted) {
  for (int i = 0; i < 2000; ++i) {
    if (wanted(read_process(pid))) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return false;
}

TEST(ReadProcess, AProcessThatIsGoneIsNotKnown) {
  const Process process = read_process(0x7ffffffe);
  EXPECT_EQ(process.state, '?');
  EXPECT_EQ(process.start_ns, 0U);
  EXPECT_FALSE(process.open_fds.has_value());
}

TEST(ReadProcess, ThisProcess) {
  const Process process = read_process(as_pid(::getpid()));
  EXPECT_EQ(process.state, 'R');
  EXPECT_GE(process.threads, 1U);
  EXPECT_GT(process.start_ns, 0U);
  EXPECT_LT(process.start_ns, static_cast<std::uint64_t>(boot_now().time_since_epoch().count()));
  ASSERT_TRUE(process.open_fds.has_value());
  EXPECT_GE(*process.open_fds, 3U);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(process.fd_limit, static_cast<std::uint32_t>(limit.rlim_cur));
}

TEST(ReadProcess, OneMoreFileIsCounted) {
  const std::optional<std::uint32_t> before = read_process(as_pid(::getpid())).open_fds;
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const std::optional<std::uint32_t> after = read_process(as_pid(::getpid())).open_fds;
  ::close(fd);
  ASSERT_TRUE(before && after);
  EXPECT_EQ(*after, *before + 1);
}

TEST(ReadProcess, AStoppedProcessIsT) {
  const Child child;
  ::kill(child.pid(), SIGSTOP);
  EXPECT_TRUE(becomes(as_pid(child.pid()), [](const Process& p) { return p.state == 'T'; }));
}

TEST(ReadProcess, ASleepingProcessIsS) {
  const Child child;
  EXPECT_TRUE(becomes(as_pid(child.pid()), [](const Process& p) { return p.state == 'S'; }));
}

// A child that reads what never comes.
Child reader_of(int fd) {
  return Child{[fd] {
    char byte;
    (void)!::read(fd, &byte, 1);
  }};
}

TEST(ReadProcess, AReadOfAPipeWaitsForNoSocket) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Child child = reader_of(ends[0]);
  EXPECT_TRUE(becomes(as_pid(child.pid()), [](const Process& p) { return p.polling == 0U; }));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(ReadProcess, AReadOfASocketWaitsForOne) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const Child child = reader_of(ends[0]);
  EXPECT_TRUE(becomes(as_pid(child.pid()), [](const Process& p) { return p.polling == 1U; }));
  ::close(ends[0]);
  ::close(ends[1]);
}

// Whoever comes and goes waits for something that one look does not tell: it is not held up for it.
TEST(ReadProcess, AThreadThatMovesIsNotKnownToWaitForNothing) {
  const Child child{[] {
    while (true) ::usleep(1);
  }};
  const std::uint32_t pid = as_pid(child.pid());
  EXPECT_TRUE(becomes(pid, [](const Process& p) { return p.state != '?' && !p.polling; }));
}

TEST(ReadProcess, ABusyThreadMakesASleepingLeaderRun) {
  const Child child{[] {
    std::thread{[] {
      for (std::atomic<int> n = 0;; ++n) {
      }
    }}.detach();
  }};
  EXPECT_TRUE(becomes(as_pid(child.pid()), [](const Process& p) { return p.threads == 2 && p.state == 'R'; }));
}

TEST(ReadProcess, ANameWithSpacesAndParenthesesDoesNotMislead) {
  const Child child{[] { ::prctl(PR_SET_NAME, ") R 1 (x"); }};
  EXPECT_TRUE(becomes(as_pid(child.pid()), [](const Process& p) { return p.state == 'S' && p.threads == 1; }));
}

TEST(ReadProcess, ALoweredLimitIsSeen) {
  const Child child{[] {
    const rlimit few{64, 64};
    setrlimit(RLIMIT_NOFILE, &few);
  }};
  EXPECT_TRUE(becomes(as_pid(child.pid()), [](const Process& p) { return p.fd_limit == 64U; }));
}

TEST(ReadIdentity, ThisHost) {
  const core::RunIdentity identity = read_identity();
  EXPECT_FALSE(identity.host.empty());
  EXPECT_EQ(identity.boot_id.size(), 36U);
  struct stat status {};
  ASSERT_EQ(stat("/proc/self/ns/net", &status), 0);
  EXPECT_EQ(identity.netns, status.st_ino);
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  const auto told = boot_now().time_since_epoch() + std::chrono::nanoseconds{identity.wall.at_start().nanoseconds};
  EXPECT_LT(std::chrono::abs(wall - told), std::chrono::seconds{1});
}

}  // namespace
}  // namespace tcpwhy::host
