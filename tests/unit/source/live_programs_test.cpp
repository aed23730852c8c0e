// SPDX-License-Identifier: GPL-2.0-only
// The BPF programs and their walks on the running kernel: needs root, and skips where BPF is not to be had.
#include "user/source/live_programs.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "user/kernel/btf.h"
#include "user/kernel/btf_names.h"
#include "user/source/live_config.h"
#include "user/source/live_log.h"

namespace tcpwhy::source {
namespace {

// A connection to itself: the client has sent `bytes` that nobody reads. The child pauses.
class Unread {
 public:
  explicit Unread(std::size_t bytes) {
    int pipe_fds[2];
    if (::pipe(pipe_fds) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) connect_and_pause(pipe_fds[1], bytes);
    ::close(pipe_fds[1]);
    char ready = 0;
    is_ready_ = ::read(pipe_fds[0], &ready, 1) == 1;
    ::close(pipe_fds[0]);
  }
  Unread(const Unread&) = delete;
  Unread& operator=(const Unread&) = delete;
  ~Unread() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] std::uint32_t pid() const { return static_cast<std::uint32_t>(pid_); }
  [[nodiscard]] bool is_ready() const { return is_ready_; }

 private:
  [[noreturn]] static void connect_and_pause(int tell, std::size_t bytes) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    ::bind(listener, reinterpret_cast<sockaddr*>(&address), length);
    ::listen(listener, 1);
    ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
    const int client = ::socket(AF_INET, SOCK_STREAM, 0);
    if (::connect(client, reinterpret_cast<sockaddr*>(&address), length) != 0) ::_exit(1);
    if (::accept(listener, nullptr, nullptr) < 0) ::_exit(1);
    const std::vector<char> data(bytes);
    if (::write(client, data.data(), data.size()) != static_cast<ssize_t>(data.size())) ::_exit(1);
    if (::write(tell, "r", 1) != 1) ::_exit(1);
    while (true) ::pause();
  }

  pid_t pid_ = -1;
  bool is_ready_ = false;
};

class Walks : public testing::Test {
 protected:
  static constexpr std::size_t kMuch = 100'000;  // suspect at once

  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    capture_libbpf_messages();
    auto btf = kernel::Btf::open("");
    ASSERT_TRUE(btf) << btf.error().what;
    // Walks alone: kernels that refuse an iterator over maps have them, too.
    const kernel::Survey survey{*btf, {"bpf_sk_storage_map", "tcp_destroy_sock"}};
    auto programs = Programs::load({make_config({}, survey, {}), 1U << 20, "", {}, false}, survey);
    // Root and no programs: the tool would not start here, either.
    ASSERT_TRUE(programs) << programs.error().what;
    programs_ = std::move(*programs);
    if (!programs_->can_walk_one()) GTEST_SKIP() << "this kernel walks no single process";
  }
  // How many samples there are of each owner.
  OnRecord count(std::map<std::uint32_t, int>& owners) {
    return [&owners](std::span<const std::byte> record) {
      tw_sample sample;
      ASSERT_GE(record.size(), sizeof(sample));
      std::memcpy(&sample, record.data(), sizeof(sample));
      EXPECT_EQ(sample.header.kind, TW_KIND_SAMPLE);
      owners[sample.owner.pid] += 1;
    };
  }

  std::unique_ptr<Programs> programs_;
};

TEST_F(Walks, OneProcessAloneIsLookedAt) {
  const Unread stuck{kMuch}, other{kMuch};
  ASSERT_TRUE(stuck.is_ready() && other.is_ready());
  std::map<std::uint32_t, int> found;
  programs_->begin_round();
  const auto run = programs_->walk_suspects_of(stuck.pid(), count(found));
  ASSERT_TRUE(run);
  EXPECT_EQ(run->records, 1U) << "the record of its activity is no sample";
  EXPECT_THAT(found, testing::ElementsAre(testing::Pair(stuck.pid(), 1)));
  programs_->begin_round();
  found.clear();
  ASSERT_TRUE(programs_->walk_suspects_of(stuck.pid(), count(found)));
  EXPECT_THAT(found, testing::IsEmpty()) << "it is tracked now, the sweep reports it";
  ASSERT_TRUE(programs_->walk_suspects(count(found)));
  EXPECT_EQ(found.count(other.pid()), 1U);
  EXPECT_EQ(found.count(stuck.pid()), 0U);
}

TEST_F(Walks, AProcessThatIsGoneHasNothing) {
  std::map<std::uint32_t, int> found;
  std::uint32_t pid = 0;
  {
    const Unread gone{kMuch};
    pid = gone.pid();
  }
  const auto run = programs_->walk_suspects_of(pid, count(found));
  EXPECT_TRUE(!run || run->records == 0);
  EXPECT_THAT(found, testing::IsEmpty());
  EXPECT_THAT(programs_->take_active(), testing::IsEmpty());
}

TEST_F(Walks, WhoUsedTheNetworkLatelyIsKnownAfterAWalk) {
  const Unread busy{10};
  ASSERT_TRUE(busy.is_ready());
  std::map<std::uint32_t, int> found;
  for (const bool alone : {false, true}) {
    ASSERT_TRUE(alone ? programs_->walk_suspects_of(busy.pid(), count(found)) : programs_->walk_suspects(count(found)));
    const auto active = programs_->take_active();
    const auto it = std::find_if(active.begin(), active.end(), [&](const auto& a) { return a.pid == busy.pid(); });
    ASSERT_NE(it, active.end());
    EXPECT_LT(it->age, std::chrono::seconds{30});
    EXPECT_GE(it->files, 3U);
    EXPECT_TRUE(programs_->take_active().empty());
  }
}

TEST_F(Walks, WhoConnectsIsKnownAtOnce) {
  ASSERT_TRUE(programs_->attach());
  const Unread busy{1};
  ASSERT_TRUE(busy.is_ready());
  EXPECT_THAT(programs_->take_connecting(), testing::Contains(busy.pid()));
  EXPECT_THAT(programs_->take_connecting(), testing::Not(testing::Contains(busy.pid())));
  programs_->detach();
}

}  // namespace
}  // namespace tcpwhy::source
