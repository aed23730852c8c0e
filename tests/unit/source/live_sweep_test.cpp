// SPDX-License-Identifier: GPL-2.0-only
// What sweeps report of many sockets at once, on the running kernel: needs root, and skips where BPF is not to be had.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "user/abi/decode.h"
#include "user/source/live.h"

namespace tcpwhy::source {
namespace {

using abi::SocketId;

// More than three buffers of an iterator hold (32 KiB, 288 bytes a sample).
constexpr int kConnections = 400;
constexpr std::size_t kUnread = 70'000;  // suspect at once (TW_UNREAD_MUCH)

// Connections over loopback, both ends in this process; the listener's port tells them from others on this host.
class Connections {
 public:
  Connections() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int room = 1 << 20;
    ::setsockopt(listener_, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), length);
    ::listen(listener_, 16);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    address_ = address;
  }
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;
  ~Connections() {
    ::close(listener_);
    for (const auto& [client, server] : pairs_) {
      ::close(client);
      ::close(server);
    }
  }
  void open(int count) {
    for (int i = 0; i < count; ++i) {
      const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      ASSERT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address_), sizeof(address_)), 0);
      pairs_.emplace_back(client, ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      ASSERT_GE(pairs_.back().second, 0);
    }
  }
  void close_last() {
    ::close(pairs_.back().first);
    ::close(pairs_.back().second);
    pairs_.pop_back();
  }
  void write_to_each(std::size_t bytes) {
    const std::vector<char> data(bytes);
    for (const auto& [client, server] : pairs_)
      ASSERT_EQ(::send(client, data.data(), data.size(), MSG_DONTWAIT), static_cast<ssize_t>(bytes));
  }
  void read_all() { read(~std::size_t{0}); }
  void read(std::size_t most) {
    std::vector<char> buffer(std::min<std::size_t>(most, 1 << 20));
    for (const auto& [client, server] : pairs_)
      while (::recv(server, buffer.data(), buffer.size(), 0) > 0 && most > buffer.size()) {
      }
  }
  [[nodiscard]] std::uint16_t port() const { return ntohs(address_.sin_port); }

 private:
  int listener_ = -1;
  sockaddr_in address_{};
  std::vector<std::pair<int, int>> pairs_;
};

class Sweeps : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }
  // False: BPF is not to be had; the test is skipped.
  bool start(LiveOptions options = {}) {
    options.buffer_bytes = 1U << 20;
    auto opened = LiveSource::open(options);
    if (!opened) return false;
    live_ = std::move(*opened);
    EXPECT_TRUE(live_->start(handler()));
    return true;
  }
  LiveSource::Handler handler() {
    return [this](std::span<const std::byte> bytes) {
      const auto event = abi::decode(bytes);
      ASSERT_TRUE(event) << event.error().what;
      take(*event);
    };
  }
  void take(const abi::Event& event) {
    if (const auto* sample = std::get_if<abi::Sample>(&event.body)) {
      samples_in_sweep_ += 1;
      if (sample->socket.tuple.local.port != connections_.port()) return;
      samples_ += 1;
      last_[sample->socket.id] = sample->socket.rcv_nxt - sample->socket.copied_seq;
    } else if (const auto* still = std::get_if<abi::Still>(&event.body)) {
      ids_in_sweep_ += still->ids.size();
      named_.insert(still->ids.begin(), still->ids.end());
    } else if (const auto* end = std::get_if<abi::SweepEnd>(&event.body)) {
      sweeps_ += 1;
      EXPECT_TRUE(end->confirms);
      EXPECT_EQ(end->still, ids_in_sweep_);
      EXPECT_EQ(end->sockets, samples_in_sweep_);
      visited_ = end->visited;
      ids_in_sweep_ = samples_in_sweep_ = 0;
    } else if (const auto* process = std::get_if<abi::ProcessState>(&event.body)) {
      read_age_ = process->read_age;
      answered_ = true;
    }
  }
  void sweep(int times) {
    const int until = sweeps_ + times;
    for (int i = 0; i < 600 && sweeps_ < until; ++i) ASSERT_TRUE(live_->poll(handler()));
    ASSERT_GE(sweeps_, until);
  }
  std::optional<util::Duration> read_age_of_this_process() {
    answered_ = false;
    core::Wants wants;
    wants.processes = {static_cast<std::uint32_t>(::getpid())};
    live_->want(wants);
    for (int i = 0; i < 100 && !answered_; ++i) EXPECT_TRUE(live_->poll(handler()));
    EXPECT_TRUE(answered_);
    return read_age_;
  }
  [[nodiscard]] std::size_t unread() const {
    return static_cast<std::size_t>(
        std::count_if(last_.begin(), last_.end(), [](const auto& entry) { return entry.second != 0; }));
  }

  Connections connections_;
  std::unique_ptr<LiveSource> live_;
  std::map<SocketId, std::uint32_t> last_;  // bytes unread in the last sample
  std::set<SocketId> named_;                // in Still records
  int sweeps_ = 0;
  std::uint64_t samples_ = 0, samples_in_sweep_ = 0, ids_in_sweep_ = 0, visited_ = 0;
  std::optional<util::Duration> read_age_;
  bool answered_ = false;
};

TEST_F(Sweeps, EachOfManySocketsThatRecoverTogetherIsReportedAtRest) {
  ASSERT_TRUE(start());
  connections_.open(kConnections);
  connections_.write_to_each(kUnread);
  sweep(3);
  ASSERT_EQ(unread(), static_cast<std::size_t>(kConnections));
  const std::uint64_t before = samples_;
  sweep(2);
  EXPECT_LT(samples_ - before, 20U) << "nothing changed: ids prove it";
  for (const auto& [id, bytes] : last_) EXPECT_TRUE(named_.contains(id));
  EXPECT_GE(visited_, static_cast<std::uint64_t>(kConnections));
  connections_.read_all();
  sweep(4);
  EXPECT_EQ(unread(), 0U) << "records of their recovery are missing";
  named_.clear();
  sweep(2);
  for (const auto& [id, bytes] : last_) EXPECT_FALSE(named_.contains(id)) << "it is at rest";
}

TEST_F(Sweeps, AWholeSweepReportsWhatDidNotChange) {
  ASSERT_TRUE(start());
  connections_.open(kConnections);
  connections_.write_to_each(kUnread);
  sweep(3);
  ASSERT_EQ(unread(), static_cast<std::size_t>(kConnections));
  last_.clear();
  core::Wants wants;
  wants.whole_sweep = true;
  live_->want(wants);
  sweep(1);
  EXPECT_EQ(unread(), static_cast<std::size_t>(kConnections));
  last_.clear();
  sweep(2);
  EXPECT_LT(unread(), 20U) << "one whole sweep for one want";
}

TEST_F(Sweeps, ALostSampleIsNamedByTheNextSweepAndComesWithAWholeOne) {
  LiveOptions options;
  options.lose_each = 7;  // no divisor of kConnections: a whole sweep loses others
  ASSERT_TRUE(start(options));
  connections_.open(kConnections);
  connections_.write_to_each(kUnread);
  sweep(4);
  const std::size_t seen = last_.size();
  EXPECT_LT(seen, static_cast<std::size_t>(kConnections) * 9 / 10);
  EXPECT_GE(named_.size(), static_cast<std::size_t>(kConnections));
  core::Wants wants;
  wants.whole_sweep = true;
  live_->want(wants);
  sweep(2);
  EXPECT_GT(last_.size(), seen);
}

TEST_F(Sweeps, OnlyReadingProvesThatAProcessReads) {
  ASSERT_TRUE(start());
  connections_.open(2);
  sweep(2);
  EXPECT_FALSE(read_age_of_this_process().has_value()) << "it has read nothing";
  connections_.write_to_each(1000);
  connections_.read_all();
  sweep(2);
  const auto after_read = read_age_of_this_process();
  ASSERT_TRUE(after_read.has_value());
  for (int i = 0; i < 4; ++i) {
    connections_.open(1);
    sweep(1);
    connections_.close_last();
    sweep(1);
  }
  const auto after_opens = read_age_of_this_process();
  ASSERT_TRUE(after_opens.has_value());
  EXPECT_GE(*after_opens, *after_read + std::chrono::seconds{3}) << "to open and to close is not to read";
}

TEST_F(Sweeps, WhoNeverReadsAllThereIsReadsAllTheSame) {
  ASSERT_TRUE(start());
  connections_.open(1);
  connections_.write_to_each(kUnread);
  sweep(3);
  EXPECT_FALSE(read_age_of_this_process().has_value());
  connections_.read(1000);
  sweep(2);
  const auto age = read_age_of_this_process();
  ASSERT_TRUE(age.has_value());
  EXPECT_LT(*age, std::chrono::seconds{10});
}

}  // namespace
}  // namespace tcpwhy::source
