// SPDX-License-Identifier: GPL-2.0-only
// Connects to closed ports of loopback, very many, by an unprivileged process: nothing listens there, and no more than that.
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "cause.hpp"

namespace {

using namespace cause;

constexpr uid_t kNobody = 65534;
constexpr int kFirstPort = 2000;  // below the ephemeral ports: a connect to one of those may meet itself
constexpr int kRefusals = 12'000;
constexpr int kServicesUntilOne = 20;  // of one caller and cause: from there on, one finding stands for all

struct Flood {
  int ports = 1;
  int per_second = 0;  // 0: as fast as it goes
};

void become_nobody() {
  require(setgroups(0, nullptr) == 0 && setgid(kNobody) == 0 && setuid(kNobody) == 0, "become nobody");
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // a change of the uid takes it away
}

void connect_and_be_refused(Line& line, const Flood& flood) {
  become_nobody();
  line.say("ready");
  (void)line.hear();
  const int64_t began_us = now_us();
  for (int i = 0; i < kRefusals; ++i) {
    if (flood.per_second != 0)
      while (now_us() - began_us < int64_t{i} * 1'000'000 / flood.per_second) usleep(500);
    const int fd = tcp_socket("127.0.0.1");
    const int error = start_connect(fd, {"127.0.0.1", kFirstPort + i % flood.ports});
    errno = error;
    require(error == ECONNREFUSED, "the refusal");
    close(fd);
  }
  line.say(std::to_string(now_us() - began_us));
  (void)line.hear();
}

void refuse(Truth& truth, const Flood& flood) {
  const Child neighbour = spawn_chatter("chatter", "127.0.0.1", current_netns(), current_netns());
  const Child scanner = spawn("scanner", [&flood](Line& line) { connect_and_be_refused(line, flood); });
  (void)scanner.line.hear();
  const long before = mib("Tcp", "AttemptFails");
  scanner.line.say("go");
  const int64_t took_us = std::stoll(scanner.line.hear());
  require(mib("Tcp", "AttemptFails") - before == kRefusals, "so many failed connects");
  sleep_ms(2500);  // a refusal waits a second for the success that may come at another address
  scanner.quit();
  neighbour.quit();
  truth.process("scanner", scanner);
  truth.innocent(neighbour);

  Expect refused("connect-refused", "no-listener");
  refused.severity("warning").culprit_kinds({"unknown"}).count(kRefusals, kRefusals);
  refused.ids(1, flood.ports == 1 ? 1 : kServicesUntilOne);
  if (flood.ports == 1) refused.service({"127.0.0.1", kFirstPort});
  truth.expect(refused.phases({"event"}));
  truth.measured("per_second", static_cast<long>(kRefusals * 1'000'000LL / std::max<int64_t>(took_us, 1)));
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  return cause::main_of(argc, argv, "flood",
                        "12,000 refused connects of one unprivileged process: one finding, and no firewall",
                        {
                            {"one-port", "all to one closed port, as fast as it goes",
                             [](Truth& t) {
                               refuse(t, {1, 0});
                             },
                             60},
                            {"many-ports", "each to a port of its own",
                             [](Truth& t) {
                               refuse(t, {kRefusals, 0});
                             },
                             60},
                            {"steady", "1,000 a second, to 100 ports",
                             [](Truth& t) {
                               refuse(t, {100, 1000});
                             },
                             60},
                        });
}
