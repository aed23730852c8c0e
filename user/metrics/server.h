// SPDX-License-Identifier: GPL-2.0-only
// Serves the newest snapshot over HTTP: GET /metrics, and an index page on /. A thread of its own, which shares nothing with
// the one that traces but the pointer to a snapshot that nobody changes.
//
// What a client can do to it is bounded: connections at once (the oldest gives way), the length of a request, the time for it
// and for taking the answer. A snapshot is made into text once, however often it is asked for.
#pragma once

#include <functional>
#include <memory>

#include "user/metrics/snapshot.h"
#include "user/util/address.h"
#include "user/util/result.h"

namespace tcpwhy::metrics {

class Server {
 public:
  // Binds, listens and starts the thread; until there is a snapshot it answers 503. Port 0: any free one.
  // at_start runs on the thread, before anything else; signals are blocked there. An error says why it cannot listen there
  // and what to do.
  static util::Result<std::unique_ptr<Server>> open(const util::Endpoint& at, std::function<void()> at_start = {});
  virtual ~Server() = default;  // closes what is open and joins the thread

  [[nodiscard]] virtual util::Endpoint at() const = 0;  // with the port that it got
  // On any one thread. Never waits for a client.
  virtual void publish(Snapshot snapshot) = 0;
};

}  // namespace tcpwhy::metrics
