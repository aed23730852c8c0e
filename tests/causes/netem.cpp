// SPDX-License-Identifier: GPL-2.0-only
// Healthy transfers over a path that delays, loses, reorders or doubles packets: nothing above info may be said.
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "cause.hpp"

namespace {

using namespace cause;

const char kAddr[] = "10.77.0.2";
constexpr int kPages = 20;
constexpr size_t kRequest = 100;
constexpr size_t kPage = 20'000;
constexpr size_t kBulk = 3'000'000;

struct Path {
  const char* netem;    // what both directions suffer
  const char* counter;  // TcpExt of the server's side that moves when it works
  long rtt_ms = 0;      // at least
};

void serve(Line& line, int connections, const std::function<void(int)>& exchange) {
  const int listener = listen_on(kAddr, 128);
  line.say(std::to_string(local_of(listener).port));
  for (int i = 0; i < connections; ++i) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    require(fd >= 0, "accept");
    exchange(fd);
    close(fd);
  }
  (void)line.hear();
}

void answer_page(int fd) {
  require(read_up_to(fd, kRequest) == kRequest, "the request was cut short");
  send_all(fd, kPage);
  (void)read_up_to(fd, 1);  // the client closes first
}

void ask_page(const Endpoint& service) {
  const int fd = connect_to(service);
  send_all(fd, kRequest);
  require(read_up_to(fd, kPage) == kPage, "a page was cut short");
  close(fd);
}

void take_bulk(int fd) {
  require(read_up_to(fd, kBulk) == kBulk, "the bulk was cut short");
  send_all(fd, 1);
  (void)read_up_to(fd, 1);
}

long rtt_ms(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  require(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0, "TCP_INFO");
  return info.tcpi_rtt / 1000;
}

std::string send_bulk(const Endpoint& service) {
  const int fd = connect_to(service);
  send_all(fd, kBulk);
  require(read_up_to(fd, 1) == 1, "no receipt");
  const std::string told = std::to_string(rtt_ms(fd));
  close(fd);
  return told;
}

void suffer(const VethPair& pair, const Path& path) {
  if (try_run(std::string("tc qdisc add dev left0 root netem limit 10000 ") + path.netem) != 0)
    skip("this kernel has no netem (CONFIG_NET_SCH_NETEM)");
  pair.right.enter();
  run(std::string("tc qdisc add dev right0 root netem limit 10000 ") + path.netem);
  pair.left.enter();
}

void transfers(Truth& truth, const Path& path) {
  const VethPair pair = fresh_veth_pair();
  truth.netns = {pair.left, pair.right};
  suffer(pair, path);
  pair.right.enter();
  const long before = mib("TcpExt", path.counter);
  const Child pages = spawn("page-server", [](Line& line) { serve(line, kPages, answer_page); });
  const Child bulk = spawn("bulk-server", [](Line& line) { serve(line, 1, take_bulk); });
  const Endpoint pages_at{kAddr, std::stoi(pages.line.hear())};
  const Endpoint bulk_at{kAddr, std::stoi(bulk.line.hear())};
  pair.left.enter();
  const Child sender = spawn("bulk-sender", [&](Line& line) {
    line.say(send_bulk(bulk_at));
    (void)line.hear();
  });
  const Child reader = spawn("page-reader", [&](Line& line) {
    for (int i = 0; i < kPages; ++i) ask_page(pages_at);
    line.say("done");
    (void)line.hear();
  });
  const long rtt = std::stol(sender.line.hear(90'000));
  (void)reader.line.hear(90'000);
  pair.right.enter();
  const long moved = mib("TcpExt", path.counter) - before;
  pair.left.enter();
  errno = 0;
  require(moved > 0, std::string("the path did nothing: TcpExt.") + path.counter + " stood still");
  require(rtt >= path.rtt_ms, "the round trip took only " + std::to_string(rtt) + " ms");

  for (const auto& [role, child] :
       {std::pair<const char*, const Child&>{"pages", pages}, {"bulk", bulk}, {"sender", sender}, {"reader", reader}})
    truth.process(role, child);
  truth.measured("rtt_ms", rtt);
  truth.measured(path.counter, moved);
  truth.silent = true;
  for (const Child* child : {&sender, &reader, &pages, &bulk}) child->quit();
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  return cause::main_of(argc, argv, "netem", "healthy transfers over a bad path (netem)",
                        {
                            {"delay", "40 ms and 10 ms of jitter each way",
                             [](Truth& t) {
                               transfers(t, {"delay 40ms 10ms", "TCPOFOQueue", 60});
                             },
                             120},
                            {"loss", "2% are lost each way",
                             [](Truth& t) {
                               transfers(t, {"delay 5ms loss 2%", "TCPOFOQueue"});
                             },
                             120},
                            {"reorder", "a quarter overtakes the others",
                             [](Truth& t) {
                               transfers(t, {"delay 10ms reorder 25% 50%", "TCPOFOQueue"});
                             },
                             120},
                            {"duplicate", "one in twenty comes twice",
                             [](Truth& t) {
                               transfers(t, {"delay 5ms duplicate 5%", "TCPDSACKOldSent"});
                             },
                             120},
                            {"all", "all of it at once",
                             [](Truth& t) {
                               transfers(t, {"delay 20ms 5ms loss 1% duplicate 2% reorder 10% 50%", "TCPOFOQueue", 20});
                             },
                             120},
                        });
}
