// SPDX-License-Identifier: GPL-2.0-only
// What is answered to a request, apart from how it came and goes.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "user/metrics/exposition.h"

namespace tcpwhy::metrics {

struct Request {
  std::string_view method;
  std::string_view target;  // with its query, which is ignored
  std::string_view accept;
  bool has_body = false;
};

struct Answer {
  unsigned status = 200;
  std::string_view type = "text/plain; charset=utf-8";
  std::shared_ptr<const std::string> body;
};

// Makes a snapshot into text once, however often it is asked for. On one thread.
class Answers {
 public:
  // newest: null until there is one.
  Answer to(const Request& request, const std::shared_ptr<const Snapshot>& newest);

 private:
  Answer metrics(std::string_view accept, const std::shared_ptr<const Snapshot>& newest);

  std::shared_ptr<const Snapshot> rendered_;
  std::shared_ptr<const std::string> texts_[2];  // by exposition
};

}  // namespace tcpwhy::metrics
