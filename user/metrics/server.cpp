// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/server.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/verb.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "user/metrics/answer.h"
#include "user/util/fd.h"

namespace tcpwhy::metrics {
namespace {

namespace http = boost::beast::http;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kMostConnections = 32;
constexpr std::uint32_t kLongestHeader = 8U << 10;
constexpr std::size_t kMostDiscarded = std::size_t{64} << 10;
constexpr seconds kForFirstRequest{5};
constexpr seconds kForNextRequest{90};  // longer than the usual interval of scrapes: their connection stays
constexpr seconds kForAnswer{10};
constexpr seconds kForLastBytes{1};
constexpr milliseconds kAcceptAgain{200};

bool would_block() { return errno == EAGAIN || errno == EINTR; }

// Where the newest snapshot is left for the thread that serves.
class Shelf {
 public:
  void put(std::shared_ptr<const Snapshot> snapshot) {
    const std::lock_guard lock{mutex_};
    newest_.swap(snapshot);  // the old one is freed outside
  }
  std::shared_ptr<const Snapshot> newest() {
    const std::lock_guard lock{mutex_};
    return newest_;
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<const Snapshot> newest_;
};

using Respond = std::function<Answer(const Request&)>;

// One connection: a request is read, its answer written, and so on. Never waits.
class Connection {
 public:
  Connection(util::Fd socket, const Respond& respond) : socket_(std::move(socket)), respond_(&respond) {
    expect_request(kForFirstRequest);
  }
  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] short events() const { return static_cast<short>(state_ == State::writing ? POLLOUT : POLLIN); }
  [[nodiscard]] Clock::time_point deadline() const { return deadline_; }

  // Something may be read, or written. False: it is over.
  bool go_on() { return state_ == State::writing ? write() : read(); }

 private:
  enum class State { reading, writing, leaving };

  void expect_request(seconds within) {
    state_ = State::reading;
    deadline_ = Clock::now() + within;
    parser_.emplace();
    parser_->header_limit(kLongestHeader);
  }

  bool read() {
    char part[4096];
    const ssize_t count = ::recv(fd(), part, sizeof part, 0);
    if (count < 0) return would_block();
    if (state_ == State::leaving) {
      discarded_ += static_cast<std::size_t>(count);
      return count > 0 && discarded_ <= kMostDiscarded;
    }
    if (count == 0) return false;
    input_.append(part, static_cast<std::size_t>(count));
    return parse();
  }

  bool parse() {
    boost::beast::error_code failure;
    input_.erase(0, parser_->put(boost::asio::const_buffer{input_.data(), input_.size()}, failure));
    if (failure && failure != http::error::need_more)
      return say({400, "text/plain; charset=utf-8", std::make_shared<const std::string>("this is no request\n")}, false,
                 false);
    if (!parser_->is_header_done()) return true;
    const auto& request = parser_->get();
    const bool has_body = parser_->chunked() || parser_->content_length().value_or(0) > 0;
    const auto view = [](boost::beast::string_view text) { return std::string_view{text.data(), text.size()}; };
    const Answer answer = (*respond_)(
        {view(request.method_string()), view(request.target()), view(request[http::field::accept]), has_body});
    return say(answer, request.keep_alive() && answer.status == 200 && !has_body, request.method() == http::verb::head);
  }

  bool say(const Answer& answer, bool keep_alive, bool without_body) {
    const boost::beast::string_view reason = http::obsolete_reason(http::int_to_status(answer.status));
    head_ = fmt::format(
        "HTTP/1.1 {} {}\r\nServer: tcpwhy\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{}\r\n",
        answer.status, std::string_view{reason.data(), reason.size()}, answer.type, answer.body->size(),
        keep_alive ? "keep-alive" : "close",
        answer.status == 405   ? "Allow: GET, HEAD\r\n"
        : answer.status == 503 ? "Retry-After: 1\r\n"
                               : "");
    body_ = without_body ? nullptr : answer.body;
    sent_ = 0;
    keep_alive_ = keep_alive;
    state_ = State::writing;
    deadline_ = Clock::now() + kForAnswer;
    return write();
  }

  bool write() {
    const std::size_t body_size = body_ ? body_->size() : 0;
    while (sent_ < head_.size() + body_size) {
      const bool in_head = sent_ < head_.size();
      const std::string_view rest =
          in_head ? std::string_view{head_}.substr(sent_) : std::string_view{*body_}.substr(sent_ - head_.size());
      const ssize_t count = ::send(fd(), rest.data(), rest.size(), MSG_NOSIGNAL | (in_head && body_ ? MSG_MORE : 0));
      if (count < 0) return would_block();
      sent_ += static_cast<std::size_t>(count);
    }
    body_.reset();
    return keep_alive_ ? next_request() : leave();
  }

  bool next_request() {
    expect_request(kForNextRequest);
    return input_.empty() || parse();  // it may have come already
  }

  // Closed with something unread, the kernel would send an RST, which might overtake the answer: so the client is heard out,
  // for a moment.
  bool leave() {
    state_ = State::leaving;
    deadline_ = Clock::now() + kForLastBytes;
    return ::shutdown(fd(), SHUT_WR) == 0;
  }

  util::Fd socket_;
  const Respond* respond_;
  State state_ = State::reading;
  Clock::time_point deadline_{};
  std::string input_;
  std::optional<http::request_parser<http::empty_body>> parser_;
  std::string head_;
  std::shared_ptr<const std::string> body_;
  std::size_t sent_ = 0;
  bool keep_alive_ = false;
  std::size_t discarded_ = 0;
};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress to_socket(const util::Endpoint& at) {
  SocketAddress result;
  if (at.addr.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(at.port);
    std::memcpy(&v4.sin_addr, at.addr.bytes.data() + 12, sizeof v4.sin_addr);
    std::memcpy(&result.storage, &v4, result.size = sizeof v4);
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(at.port);
    std::memcpy(&v6.sin6_addr, at.addr.bytes.data(), sizeof v6.sin6_addr);
    std::memcpy(&result.storage, &v6, result.size = sizeof v6);
  }
  return result;
}

std::uint16_t port_of(int fd) {
  SocketAddress own;
  own.size = sizeof own.storage;
  if (::getsockname(fd, own.get(), &own.size) != 0) return 0;
  sockaddr_in6 either{};  // the port stands at the same place in both
  std::memcpy(&either, &own.storage, sizeof either);
  return ntohs(either.sin6_port);
}

class PollServer final : public Server {
 public:
  PollServer() = default;
  PollServer(const PollServer&) = delete;
  PollServer& operator=(const PollServer&) = delete;
  ~PollServer() override {
    if (!thread_.joinable()) return;
    const std::uint64_t one = 1;
    while (::write(stop_.get(), &one, sizeof one) < 0 && errno == EINTR) {
    }
    thread_.join();
  }

  // 0, or why it cannot.
  int listen(const util::Endpoint& at) {
    SocketAddress address = to_socket(at);
    const int yes = 1;
    listener_ = util::Fd{::socket(address.get()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    stop_ = util::Fd{::eventfd(0, EFD_CLOEXEC)};
    if (listener_.get() < 0 || stop_.get() < 0) return errno;
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (::bind(listener_.get(), address.get(), address.size) != 0) return errno;
    if (::listen(listener_.get(), static_cast<int>(kMostConnections)) != 0) return errno;
    at_ = {at.addr, port_of(listener_.get())};
    return 0;
  }

  void start(std::function<void()> at_start) {
    // Signals are the tracing thread's.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread{[this, at_start = std::move(at_start)] {
      pthread_setname_np(pthread_self(), "metrics");
      if (at_start) at_start();
      run();
    }};
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  [[nodiscard]] util::Endpoint at() const override { return at_; }
  void publish(Snapshot snapshot) override { shelf_.put(std::make_shared<const Snapshot>(std::move(snapshot))); }

 private:
  void run() {
    while (!stopped_) {
      // Memory that is short for a client is no reason to end the trace.
      try {
        turn();
      } catch (const std::exception&) {
        connections_.clear();
      }
    }
    connections_.clear();
  }

  void turn() {
    const Clock::time_point now = Clock::now();
    connections_.remove_if([now](const Connection& c) { return c.deadline() <= now; });
    std::vector<pollfd> waits{{stop_.get(), POLLIN, 0},
                              {listener_.get(), static_cast<short>(accept_from_ <= now ? POLLIN : 0), 0}};
    Clock::time_point next = accept_from_ <= now ? Clock::time_point::max() : accept_from_;
    for (const Connection& c : connections_) {
      waits.push_back({c.fd(), c.events(), 0});
      next = std::min(next, c.deadline());
    }
    const int limit =
        next == Clock::time_point::max() ? -1 : static_cast<int>(std::chrono::ceil<milliseconds>(next - now).count());
    if (::poll(waits.data(), waits.size(), limit) <= 0) return;
    stopped_ = waits[0].revents != 0;
    std::size_t i = 2;
    connections_.remove_if([&](Connection& c) { return waits[i++].revents != 0 && !c.go_on(); });
    if (waits[1].revents != 0) accept();
  }

  void accept() {
    util::Fd socket{::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (socket.get() < 0) {
      // No descriptor is left, perhaps.
      if (!would_block() && errno != ECONNABORTED) accept_from_ = Clock::now() + kAcceptAgain;
      return;
    }
    // An honest scrape is over in milliseconds: the oldest is idle, or slow.
    if (connections_.size() >= kMostConnections) connections_.pop_front();
    connections_.emplace_back(std::move(socket), respond_);
  }

  Shelf shelf_;
  Answers answers_;
  const Respond respond_ = [this](const Request& request) { return answers_.to(request, shelf_.newest()); };
  util::Fd listener_;
  util::Fd stop_;
  util::Endpoint at_;
  Clock::time_point accept_from_{};
  bool stopped_ = false;
  std::list<Connection> connections_;  // the oldest first
  std::thread thread_;
};

util::Error explained(const util::Endpoint& at, int failure) {
  std::string hint;
  if (failure == EADDRINUSE)
    hint = fmt::format(
        "another program has it, perhaps another tcpwhy (ss -ltnp 'sport = :{}'): stop that, or choose another port",
        at.port);
  else if (failure == EACCES)
    hint = "ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher one";
  else if (failure == EADDRNOTAVAIL)
    hint = "no interface of this host has the address: see `ip address`";
  return {fmt::format("cannot serve metrics on {}: {}", util::to_string(at), std::strerror(failure)), failure, hint};
}

}  // namespace

util::Result<std::unique_ptr<Server>> Server::open(const util::Endpoint& at, std::function<void()> at_start) {
  auto server = std::make_unique<PollServer>();
  if (const int failure = server->listen(at); failure != 0) return explained(at, failure);
  server->start(std::move(at_start));
  return std::unique_ptr<Server>{std::move(server)};
}

}  // namespace tcpwhy::metrics
