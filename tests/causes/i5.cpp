// SPDX-License-Identifier: GPL-2.0-only
// The backend is gone: 50 connects are refused.
#include <signal.h>

#include <cerrno>

#include "puppet.hpp"

namespace {

using namespace cause;

enum class End { exits, killed, closes_listener, never_was };

void backend_gone(Truth& truth, End how, const std::string& addr) {
  constexpr int kAttempts = 50;
  const Puppet server("backend");
  const Puppet client("caller");
  Endpoint service{addr, 0};
  if (how == End::never_was) {
    service.port = 7000;  // in this namespace nobody else can have it
  } else {
    service = server.listen(addr);
    for (int i = 0; i < 3; ++i) {
      client.connect(service);
      server.accept();
      client.send(100);
      server.read(100);
      server.send(100);
      client.read(100);
      client.close();
      server.close();
    }
  }
  if (how == End::exits) server.exit(0);
  if (how == End::killed) server.die();
  if (how == End::closes_listener) server.close_listener();
  const double gone_at = epoch_now();
  const long refused = count_of(client.try_connect(service, kAttempts, 1000, 10), ECONNREFUSED);
  errno = 0;
  require(refused == kAttempts, "only " + std::to_string(refused) + " connects were refused");

  truth.process("server", server.child());
  truth.process("client", client.child());
  truth.measured("refused", refused);
  truth.measured("gone_at", gone_at);
  const bool had_one = how != End::never_was;
  Expect expect("connect-refused", had_one ? "listener-gone" : "no-listener");
  expect.severity(had_one ? "critical" : "warning").service(service).owner(client.pid()).phases({"event"});
  expect.count(refused, refused).evidence("attempts", refused);
  if (had_one) {
    expect.culprit(server.pid()).evidence("listener_pid", server.pid());
  } else {
    truth.innocent(server.child());  // it runs, and has nothing to do with it
  }
  truth.expect(expect);
  client.quit();
}

}  // namespace

int main(int argc, char** argv) {
  using cause::Truth;
  return cause::main_of(
      argc, argv, "i5", "the backend is gone and 50 connects are refused",
      {
          {"exit", "it exits", [](Truth& t) { backend_gone(t, End::exits, "127.0.0.1"); }, 30},
          {"sigkill", "it is killed", [](Truth& t) { backend_gone(t, End::killed, "127.0.0.1"); }, 30},
          {"ipv6", "it is killed, over IPv6", [](Truth& t) { backend_gone(t, End::killed, "::1"); }, 30},
          {"listener-closed", "it closes its listener and lives on",
           [](Truth& t) { backend_gone(t, End::closes_listener, "127.0.0.1"); }, 30},
          {"no-listener", "there never was one", [](Truth& t) { backend_gone(t, End::never_was, "127.0.0.1"); }, 30},
      });
}
