// SPDX-License-Identifier: GPL-2.0-only
// The live source on the running kernel: needs root, and skips where BPF is not to be had.
#include "user/source/live.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "bpf/tcpwhy_abi.h"
#include "user/abi/decode.h"

namespace tcpwhy::source {
namespace {

using testing::HasSubstr;

class Records {
 public:
  LiveSource::Handler handler() {
    return [this](std::span<const std::byte> bytes) {
      auto event = abi::decode(bytes);
      ASSERT_TRUE(event) << event.error().what;
      events_.push_back(std::move(*event));
    };
  }
  [[nodiscard]] const std::vector<abi::Event>& events() const { return events_; }

  template <typename Body, typename Wanted>
  [[nodiscard]] bool any(Wanted wanted) const {
    return std::any_of(events_.begin(), events_.end(), [&](const abi::Event& event) {
      const auto* body = std::get_if<Body>(&event.body);
      return body && wanted(*body);
    });
  }
  template <typename Body>
  [[nodiscard]] bool any() const {
    return any<Body>([](const Body&) { return true; });
  }

 private:
  std::vector<abi::Event> events_;
};

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// A child that listens on a loopback port and never accepts. (The tracer itself is never an owner.)
class ListeningChild {
 public:
  ListeningChild() {
    int pipe_fds[2];
    if (::pipe(pipe_fds) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) listen_and_pause(pipe_fds[1]);
    ::close(pipe_fds[1]);
    if (::read(pipe_fds[0], &port_, sizeof(port_)) != sizeof(port_)) port_ = 0;
    ::close(pipe_fds[0]);
  }
  ListeningChild(const ListeningChild&) = delete;
  ListeningChild& operator=(const ListeningChild&) = delete;
  ~ListeningChild() { end(); }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  [[nodiscard]] std::uint32_t pid() const { return static_cast<std::uint32_t>(pid_); }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  [[noreturn]] static void listen_and_pause(int tell) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = loopback(0);
    socklen_t length = sizeof(address);
    ::bind(fd, reinterpret_cast<sockaddr*>(&address), length);
    ::listen(fd, 1);
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
    const std::uint16_t port = ntohs(address.sin_port);
    if (::write(tell, &port, sizeof(port)) != sizeof(port)) ::_exit(1);
    while (true) ::pause();
  }

  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
};

class Live : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    LiveOptions options;
    options.buffer_bytes = 1U << 20;
    options.without = without_;
    auto opened = LiveSource::open(options);
    ASSERT_TRUE(opened) << opened.error().what << ": " << opened.error().hint;
    live_ = std::move(*opened);
  }
  // Where the machine is busy, the walk at start takes longer than start() waits for it.
  void start() {
    ASSERT_TRUE(live_->start(records_.handler()));
    ASSERT_TRUE(poll_until([&] { return live_->seeded(); }));
  }
  // Polls until `done`, at most some seconds.
  template <typename Done>
  bool poll_until(Done done) {
    for (int i = 0; i < 100; ++i) {
      EXPECT_TRUE(live_->poll(records_.handler()));
      if (done()) return true;
    }
    return false;
  }

  std::unique_ptr<LiveSource> live_;
  Records records_;
  std::vector<std::string> without_;
};

// What begins and ends a run needs no sweep: kernels that refuse an iterator over maps have it, too.
class LiveWithoutSweep : public Live {
 protected:
  LiveWithoutSweep() { without_ = {"bpf_sk_storage_map", "tcp_destroy_sock"}; }
};

TEST_F(LiveWithoutSweep, TheSeedHasListenersWithTheirOwners) {
  const ListeningChild child;
  start();
  EXPECT_TRUE(records_.any<abi::Seed>([&](const abi::Seed& seed) {
    return seed.owner.pid == child.pid() && seed.socket.listener && seed.socket.tuple.local.port == child.port();
  }));
  EXPECT_TRUE(records_.any<abi::SeedEnd>([](const abi::SeedEnd& end) { return end.initial && end.complete; }));
}

TEST_F(Live, TicksAreInOrderAndTheLastRecord) {
  start();
  ASSERT_TRUE(poll_until([&] { return records_.any<abi::SweepEnd>(); }));
  ASSERT_TRUE(live_->stop(records_.handler()));
  util::BootTime latest{};
  for (const abi::Event& event : records_.events()) {
    if (std::holds_alternative<abi::Tick>(event.body)) {
      EXPECT_GE(event.time, latest);
    }
    latest = std::max(latest, event.time);
  }
  EXPECT_TRUE(std::holds_alternative<abi::Tick>(records_.events().back().body));
}

// A child with as many sockets as two walks' buffers hold, and none that listens.
class HoldingChild {
 public:
  static constexpr int kPairs = 200;

  HoldingChild() {
    int pipe_fds[2];
    if (::pipe(pipe_fds) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) hold_and_pause(pipe_fds[1]);
    ::close(pipe_fds[1]);
    char ready = 0;
    is_ready_ = ::read(pipe_fds[0], &ready, 1) == 1;
    ::close(pipe_fds[0]);
  }
  HoldingChild(const HoldingChild&) = delete;
  HoldingChild& operator=(const HoldingChild&) = delete;
  ~HoldingChild() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] bool is_ready() const { return is_ready_; }

 private:
  [[noreturn]] static void hold_and_pause(int tell) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = loopback(0);
    socklen_t length = sizeof(address);
    ::bind(listener, reinterpret_cast<sockaddr*>(&address), length);
    ::listen(listener, kPairs);
    ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
    for (int i = 0; i < kPairs; ++i) {
      const int client = ::socket(AF_INET, SOCK_STREAM, 0);
      if (::connect(client, reinterpret_cast<sockaddr*>(&address), length) != 0) ::_exit(1);
      if (::accept(listener, nullptr, nullptr) < 0) ::_exit(1);
    }
    ::close(listener);
    if (::write(tell, "r", 1) != 1) ::_exit(1);
    while (true) ::pause();
  }

  pid_t pid_ = -1;
  bool is_ready_ = false;
};

TEST_F(LiveWithoutSweep, EventsAreHandedOverWhileTheWalkAtStartGoesOn) {
  const HoldingChild holder;
  ASSERT_TRUE(holder.is_ready());
  const auto slowly = [record = records_.handler()](std::span<const std::byte> bytes) {
    tw_header header;
    std::memcpy(&header, bytes.data(), sizeof(header));
    if (header.kind == TW_KIND_SEED) ::usleep(1000);
    record(bytes);
  };
  ASSERT_TRUE(live_->start(slowly));
  EXPECT_FALSE(live_->seeded()) << "400 sockets do not fit into one read";
  const ListeningChild child;
  const auto listens = [&](const abi::StateChange& change) {
    return change.to == abi::TcpState::listen && change.owner.pid == child.pid();
  };
  for (int i = 0; i < 100 && !live_->seeded(); ++i) ASSERT_TRUE(live_->poll(slowly));
  ASSERT_TRUE(live_->seeded());
  const auto& events = records_.events();
  const auto event = std::find_if(events.begin(), events.end(), [&](const abi::Event& e) {
    const auto* change = std::get_if<abi::StateChange>(&e.body);
    return change && listens(*change);
  });
  const auto end = std::find_if(events.begin(), events.end(), [](const abi::Event& e) {
    const auto* walked = std::get_if<abi::SeedEnd>(&e.body);
    return walked && walked->initial && walked->complete;
  });
  ASSERT_NE(end, events.end());
  EXPECT_LT(event, end);
  std::size_t seeds = 0;
  for (const abi::Event& e : events) seeds += std::holds_alternative<abi::Seed>(e.body) ? 1 : 0;
  EXPECT_GE(seeds, 2U * HoldingChild::kPairs);
}

TEST_F(LiveWithoutSweep, TheEndComesSoonHoweverMuchIsLeftAndTheRestIsLost) {
  start();
  constexpr int kListens = 1000;
  for (int i = 0; i < kListens; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::listen(fd, 1);
    ::close(fd);
  }
  std::uint64_t handed_over = 0, lost = 0;
  const auto slowly = [&](std::span<const std::byte> bytes) {
    const auto event = abi::decode(bytes);
    ASSERT_TRUE(event);
    if (const auto* loss = std::get_if<abi::Lost>(&event->body)) {
      EXPECT_EQ(loss->way, abi::LossWay::ring);
      lost += loss->count;
    }
    if (!std::holds_alternative<abi::StateChange>(event->body)) return;
    handed_over += 1;
    ::usleep(2000);
  };
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_TRUE(live_->stop(slowly));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds{3}) << "all of it takes more than 4 s";
  EXPECT_GT(handed_over, 0U);
  EXPECT_GT(lost, 0U);
  EXPECT_GE(handed_over + lost, 2U * kListens);
}

TEST_F(Live, WantsAreAnsweredInOrder) {
  const ListeningChild child;
  start();
  const std::size_t before = records_.events().size();
  abi::Tuple listener;
  listener.local = {*util::parse_address("127.0.0.1"), child.port()};
  live_->want({{listener}, {child.pid()}});
  const auto walk_ended = [](const abi::SeedEnd& end) { return !end.initial && end.complete; };
  ASSERT_TRUE(poll_until([&] { return records_.any<abi::SeedEnd>(walk_ended); }));
  std::vector<abi::Event> answers{records_.events().begin() + static_cast<std::ptrdiff_t>(before),
                                  records_.events().end()};
  const auto is_seed = [&](const abi::Event& e) {
    const auto* seed = std::get_if<abi::Seed>(&e.body);
    return seed && seed->owner.pid == child.pid();
  };
  const auto is_end = [](const abi::Event& e) { return std::holds_alternative<abi::SeedEnd>(e.body); };
  const auto seed = std::find_if(answers.begin(), answers.end(), is_seed);
  const auto end = std::find_if(answers.begin(), answers.end(), is_end);
  ASSERT_NE(seed, answers.end());
  EXPECT_LT(seed, end);
  EXPECT_TRUE(records_.any<abi::ProcessState>(
      [&](const abi::ProcessState& p) { return p.pid == child.pid() && p.state == 'S' && p.fd_limit.has_value(); }));
}

TEST_F(Live, AFullListenerIsSampledAndItsEndIsSeen) {
  start();
  ListeningChild child;
  std::vector<int> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const sockaddr_in address = loopback(child.port());
    ::connect(clients.back(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  }
  const auto is_full = [&](const abi::Sample& sample) {
    return sample.socket.tuple.local.port == child.port() && sample.socket.over_limit();
  };
  EXPECT_TRUE(poll_until([&] { return records_.any<abi::Sample>(is_full); }));
  const std::uint32_t pid = child.pid();
  child.end();
  const auto is_end = [&](const abi::StateChange& change) {
    return change.from == abi::TcpState::listen && change.owner.pid == pid && change.owner.exiting &&
           change.owner.exit_code == SIGKILL;
  };
  EXPECT_TRUE(poll_until([&] { return records_.any<abi::StateChange>(is_end); }));
  for (const int fd : clients) ::close(fd);
  EXPECT_GE(live_->connections_seen(), 4U);
}

TEST_F(Live, WithoutAScreenNothingIsCounted) {
  start();
  EXPECT_FALSE(live_->can_count_held());
  EXPECT_FALSE(live_->count_held(util::BootTime{std::chrono::hours{1}}, [](const core::HeldSocket&) { FAIL(); }));
}

TEST(LiveCount, EachSocketThatAProcessHoldsIsToldAndNoneIsARecord) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const ListeningChild child;
  LiveOptions options;
  options.buffer_bytes = 1U << 20;
  options.count_held = true;
  const auto opened = LiveSource::open(options);
  ASSERT_TRUE(opened) << opened.error().what << ": " << opened.error().hint;
  LiveSource& live = **opened;
  std::size_t records = 0;
  ASSERT_TRUE(live.start([&records](std::span<const std::byte>) { ++records; }));
  ASSERT_TRUE(live.can_count_held());
  const std::size_t before = records;
  std::size_t found = 0;
  const util::BootTime now{std::chrono::hours{1}};
  ASSERT_TRUE(live.count_held(now, [&](const core::HeldSocket& held) {
    if (held.pid != child.pid()) return;
    found += 1;
    EXPECT_EQ(held.state, abi::TcpState::listen);
    EXPECT_NE(held.tuple.netns, 0U);
    EXPECT_FALSE(held.comm.empty());
    EXPECT_NE(held.start, util::BootTime{});
  }));
  EXPECT_EQ(found, 1U);
  EXPECT_EQ(records, before);
  EXPECT_FALSE(live.count_held(now, [](const core::HeldSocket&) {}));  // not so soon again
}

TEST(LiveOpen, ABufferThatIsNoPowerOfTwoIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  LiveOptions options;
  options.buffer_bytes = 3U << 20;
  const auto opened = LiveSource::open(options);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().hint, HasSubstr("power of two"));
}

TEST(LiveOpen, AMissingBtfFileIsNamed) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  LiveOptions options;
  options.btf_file = "/nonexistent/vmlinux";
  const auto opened = LiveSource::open(options);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().what, HasSubstr("/nonexistent/vmlinux"));
}

TEST(LiveOpen, WithoutRootItSaysWhatItNeeds) {
  if (::geteuid() == 0) GTEST_SKIP() << "this is root";
  const auto opened = LiveSource::open({});
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().what, HasSubstr("CAP_BPF"));
  EXPECT_EQ(opened.error().hint, "run as root");
}

}  // namespace
}  // namespace tcpwhy::source
