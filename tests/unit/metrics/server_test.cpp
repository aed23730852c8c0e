// SPDX-License-Identifier: GPL-2.0-only
// Over real sockets on loopback.
#include "user/metrics/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

namespace tcpwhy::metrics {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Client {
 public:
  explicit Client(const util::Endpoint& at) : fd_(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(at.port);
    std::copy(at.addr.bytes.begin(), at.addr.bytes.end(), address.sin6_addr.s6_addr);
    const timeval limit{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { ::close(fd_); }

  [[nodiscard]] bool connected() const { return connected_; }
  bool send(const std::string& text) const {
    return ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  // Until the server closes; errno in `error` where it did not do so in order.
  std::string rest() {
    std::string all;
    char part[4096];
    ssize_t read = 0;
    while ((read = ::recv(fd_, part, sizeof part, 0)) > 0) all.append(part, static_cast<std::size_t>(read));
    error = read < 0 ? errno : 0;
    return all;
  }
  // Until this has come.
  std::string until(const std::string& end) {
    std::string all;
    char byte = 0;
    while (!all.ends_with(end) && ::recv(fd_, &byte, 1, 0) == 1) all += byte;
    return all;
  }
  int error = 0;

 private:
  int fd_;
  bool connected_ = false;
};

Snapshot sample(double cpu = 1.5) {
  Snapshot s;
  s.add(Id::cpu, cpu);
  return s;
}

util::Endpoint loopback(const char* address) { return {*util::parse_address(address), 0}; }

struct ServerTest : testing::Test {
  std::unique_ptr<Server> server = std::move(*Server::open(loopback("127.0.0.1")));
  std::string ask(const std::string& request) const {
    Client client{server->at()};
    EXPECT_TRUE(client.connected());
    EXPECT_TRUE(client.send(request));
    std::string answer = client.rest();
    EXPECT_EQ(client.error, 0);
    return answer;
  }
};

constexpr const char* kGet = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

TEST_F(ServerTest, Serves) {
  EXPECT_THAT(ask(kGet), StartsWith("HTTP/1.1 503 "));
  server->publish(sample());
  const std::string answer = ask(kGet);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(answer, EndsWith("tcpwhy_cpu_seconds_total 1.5\n"));
  server->publish(sample(2.5));
  EXPECT_THAT(ask(kGet), EndsWith("tcpwhy_cpu_seconds_total 2.5\n"));
}

TEST_F(ServerTest, HeadHasNoBody) {
  server->publish(sample());
  const std::string answer = ask("HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Content-Length: "));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
}

TEST_F(ServerTest, AConnectionServesMoreThanOne) {
  server->publish(sample());
  Client client{server->at()};
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT_THAT(client.until("tcpwhy_cpu_seconds_total 1.5\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
  }
}

TEST_F(ServerTest, Http10) { EXPECT_THAT(ask("GET / HTTP/1.0\r\n\r\n"), HasSubstr("<a href=\"/metrics\">")); }

TEST_F(ServerTest, WhatIsNoRequestIsAnsweredAndClosedInOrder) {
  EXPECT_THAT(ask("POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(ask("GET /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(ask("GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(ask("nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(ask(std::string("\x16\x03\x01\x00\x05", 5) + "hello\r\n\r\n"), StartsWith("HTTP/1.1 400 ")) << "TLS";
  EXPECT_THAT(ask("GET / HTTP/1.1\r\nX: " + std::string(12'000, 'x') + "\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(ask("GET /etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
}

TEST_F(ServerTest, WhoSaysNothingDoesNotKeepOthersOut) {
  server->publish(sample());
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 100; ++i) {
    silent.push_back(std::make_unique<Client>(server->at()));
    ASSERT_TRUE(silent.back()->connected());
    if (i % 2 == 0) silent.back()->send("GET /metr");
  }
  EXPECT_THAT(ask(kGet), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(ServerTest, ItsThreadBeginsWithWhatItIsGiven) {
  std::atomic<bool> began{false};
  auto other = Server::open(loopback("::1"), [&began] { began = true; });
  ASSERT_TRUE(other);
  EXPECT_NE((*other)->at().port, 0);
  (*other)->publish(sample());
  Client client{(*other)->at()};
  EXPECT_TRUE(client.send(kGet));
  EXPECT_THAT(client.rest(), StartsWith("HTTP/1.1 200 "));
  EXPECT_TRUE(began);
}

TEST_F(ServerTest, AnAddressThatIsTakenIsRefusedInWords) {
  const auto second = Server::open(server->at());
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().what, HasSubstr("cannot serve metrics on " + util::to_string(server->at())));
  EXPECT_THAT(second.error().hint, HasSubstr("another program has it"));
  EXPECT_EQ(second.error().code, EADDRINUSE);
}

TEST_F(ServerTest, AnAddressOfAnotherHostIsRefusedInWords) {
  const auto elsewhere = Server::open(loopback("192.0.2.1"));
  ASSERT_FALSE(elsewhere);
  EXPECT_THAT(elsewhere.error().hint, HasSubstr("no interface"));
}

TEST_F(ServerTest, EndsWithConnectionsOpen) {
  Client client{server->at()};
  EXPECT_TRUE(client.send("GET /"));
  server.reset();
  client.rest();
  SUCCEED();
}

}  // namespace
}  // namespace tcpwhy::metrics
