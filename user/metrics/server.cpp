// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/server.h"

#include <pthread.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <csignal>
#include <list>
#include <mutex>
#include <optional>
#include <thread>

#include "user/metrics/answer.h"

namespace tcpwhy::metrics {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using Failure = boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kMostSessions = 32;
constexpr std::uint32_t kLongestHeader = 8U << 10;
constexpr std::size_t kMostDiscarded = 64U << 10;
constexpr seconds kForFirstRequest{5};
constexpr seconds kForNextRequest{90};  // longer than the usual interval of scrapes: their connection stays
constexpr seconds kForAnswer{10};
constexpr seconds kForLastBytes{1};
constexpr milliseconds kAcceptAgain{200};

asio::ip::address to_asio(const util::Address& address) {
  if (address.is_v4()) {
    asio::ip::address_v4::bytes_type bytes{};
    std::copy(address.bytes.begin() + 12, address.bytes.end(), bytes.begin());
    return asio::ip::address_v4{bytes};
  }
  return asio::ip::address_v6{address.bytes};
}

class Session;

// What sessions need of their server; on its thread, but for publish().
class Hall {
 public:
  void publish(std::shared_ptr<const Snapshot> snapshot) {
    const std::lock_guard lock{mutex_};
    newest_.swap(snapshot);
  }
  Answer answer(const Request& request) { return answers_.to(request, newest()); }
  void enter(const std::shared_ptr<Session>& session);
  void leave(const Session* session) {
    sessions_.remove_if([session](const std::shared_ptr<Session>& s) { return s.get() == session; });
  }
  void close_all();

 private:
  std::shared_ptr<const Snapshot> newest() {
    const std::lock_guard lock{mutex_};
    return newest_;
  }
  std::mutex mutex_;
  std::shared_ptr<const Snapshot> newest_;
  Answers answers_;
  std::list<std::shared_ptr<Session>> sessions_;  // the oldest first
};

// One connection. The hall keeps it, and each operation that is under way.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, Hall& hall) : stream_(std::move(socket)), hall_(hall) {}
  void read(seconds within) {
    parser_.emplace();
    parser_->header_limit(kLongestHeader);
    stream_.expires_after(within);
    http::async_read_header(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](const Failure& failure, std::size_t) { self->on_request(failure); });
  }
  void close() {
    Failure ignored;
    stream_.socket().close(ignored);
  }

 private:
  using Full = http::response<http::span_body<const char>>;
  using Head = http::response<http::empty_body>;

  void on_request(const Failure& failure) {
    if (failure == http::error::end_of_stream) return say_goodbye();
    if (failure && failure.category() != make_error_code(http::error::bad_method).category()) return leave();
    if (failure) return send(bad_request(), false, false);
    const auto& request = parser_->get();
    const bool has_body = parser_->chunked() || parser_->content_length().value_or(0) > 0;
    const auto view = [](beast::string_view text) { return std::string_view{text.data(), text.size()}; };
    const Answer answer = hall_.answer(
        {view(request.method_string()), view(request.target()), view(request[http::field::accept]), has_body});
    send(answer, request.keep_alive() && answer.status == 200 && !has_body, request.method() == http::verb::head);
  }
  static Answer bad_request() {
    return {400, "text/plain; charset=utf-8", std::make_shared<const std::string>("this is no request\n")};
  }

  template <typename Response>
  static void fill(Response& response, const Answer& answer, bool keep_alive) {
    response.result(answer.status);
    response.set(http::field::server, "tcpwhy");
    response.set(http::field::content_type, beast::string_view{answer.type.data(), answer.type.size()});
    response.set(http::field::cache_control, "no-store");
    response.set("X-Content-Type-Options", "nosniff");
    if (answer.status == 405) response.set(http::field::allow, "GET, HEAD");
    if (answer.status == 503) response.set(http::field::retry_after, "1");
    response.content_length(answer.body->size());
    response.keep_alive(keep_alive);
  }

  void send(const Answer& answer, bool keep_alive, bool without_body) {
    body_ = answer.body;
    stream_.expires_after(kForAnswer);
    const auto then = [self = shared_from_this(), keep_alive](const Failure& failure, std::size_t) {
      if (failure) return self->leave();
      if (!keep_alive) return self->say_goodbye();
      self->read(kForNextRequest);
    };
    if (without_body) {
      head_.emplace();
      fill(*head_, answer, keep_alive);
      http::async_write(stream_, *head_, then);
    } else {
      full_.emplace();
      full_->body() = {body_->data(), body_->size()};
      fill(*full_, answer, keep_alive);
      http::async_write(stream_, *full_, then);
    }
  }

  // Closed with something unread, the kernel would send an RST, which might overtake the answer: so the client is heard out,
  // for a moment.
  void say_goodbye() {
    Failure ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.expires_after(kForLastBytes);
    discard();
  }
  void discard() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(4096),
                            [self = shared_from_this()](const Failure& failure, std::size_t read) {
                              self->discarded_ += read;
                              if (failure || self->discarded_ > kMostDiscarded) return self->leave();
                              self->discard();
                            });
  }
  void leave() {
    close();
    hall_.leave(this);
  }

  beast::tcp_stream stream_;
  Hall& hall_;
  beast::flat_buffer buffer_{2 * kLongestHeader};
  std::optional<http::request_parser<http::empty_body>> parser_;
  std::shared_ptr<const std::string> body_;
  std::optional<Full> full_;
  std::optional<Head> head_;
  std::size_t discarded_ = 0;
};

void Hall::enter(const std::shared_ptr<Session>& session) {
  if (sessions_.size() >= kMostSessions) {
    // An honest scrape is over in milliseconds: the oldest is idle, or slow.
    sessions_.front()->close();
    sessions_.pop_front();
  }
  sessions_.push_back(session);
  session->read(kForFirstRequest);
}

void Hall::close_all() {
  for (const auto& session : sessions_) session->close();
  sessions_.clear();
}

class AsioServer final : public Server {
 public:
  AsioServer() = default;
  AsioServer(const AsioServer&) = delete;
  AsioServer& operator=(const AsioServer&) = delete;
  ~AsioServer() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
    hall_.close_all();
  }

  Failure listen(const tcp::endpoint& at) {
    Failure failure;
    acceptor_.open(at.protocol(), failure);
    if (!failure) acceptor_.set_option(asio::socket_base::reuse_address{true}, failure);
    if (!failure) acceptor_.bind(at, failure);
    if (!failure) acceptor_.listen(static_cast<int>(kMostSessions), failure);
    return failure;
  }

  void start(std::function<void()> at_start) {
    accept();
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
  void set_at(const util::Endpoint& asked) {
    Failure failure;
    at_ = {asked.addr, acceptor_.local_endpoint(failure).port()};
  }
  void publish(Snapshot snapshot) override { hall_.publish(std::make_shared<const Snapshot>(std::move(snapshot))); }

 private:
  // Memory that is short for a client is no reason to end the trace.
  void run() {
    while (!io_.stopped()) {
      try {
        io_.run();
      } catch (const std::exception&) {
        hall_.close_all();
      }
    }
  }

  void accept() {
    acceptor_.async_accept([this](const Failure& failure, tcp::socket socket) {
      if (failure == asio::error::operation_aborted) return;
      if (failure) {  // no descriptor is left, perhaps
        again_.expires_after(kAcceptAgain);
        again_.async_wait([this](const Failure&) { accept(); });
        return;
      }
      hall_.enter(std::make_shared<Session>(std::move(socket), hall_));
      accept();
    });
  }

  Hall hall_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  asio::steady_timer again_{io_};
  util::Endpoint at_;
  std::thread thread_;
};

util::Error explained(const util::Endpoint& at, const Failure& failure) {
  std::string hint;
  if (failure == asio::error::address_in_use)
    hint = "another program has it, perhaps another tcpwhy (ss -ltnp 'sport = :" + std::to_string(at.port) +
           "'): stop that, or choose another port";
  else if (failure == asio::error::access_denied)
    hint = "ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher one";
  else if (failure.value() == EADDRNOTAVAIL)
    hint = "no interface of this host has the address: see `ip address`";
  return {"cannot serve metrics on " + util::to_string(at) + ": " + failure.message(), failure.value(), hint};
}

}  // namespace

util::Result<std::unique_ptr<Server>> Server::open(const util::Endpoint& at, std::function<void()> at_start) {
  auto server = std::make_unique<AsioServer>();
  if (const Failure failure = server->listen({to_asio(at.addr), at.port})) return explained(at, failure);
  server->set_at(at);
  server->start(std::move(at_start));
  return std::unique_ptr<Server>{std::move(server)};
}

}  // namespace tcpwhy::metrics
