// SPDX-License-Identifier: GPL-2.0-only
// An incident in, findings out: a script through the pipeline with every detector.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "user/core/pipeline.h"
#include "user/core/settings.h"

namespace tcpwhy::detect {

// A connection "out" of app[77] to another host, which the sweeps look at.
inline const std::string kConnected = R"(
  at 0ms  connect out 10.0.0.1:50000 -> 10.0.0.9:80 by app[77] watched
  established out
  sweeps on
)";

struct Setting {
  core::Settings settings = {};
  bool ordinary = true;     // ordinary transitions, too
  unsigned shuffle = 0;     // 0: the detectors in the registry's order
  bool old_kernel = false;  // one that has no reset reasons
  bool blind = false;       // one that does not tell what is dropped
  bool replayed = false;    // through a recording
  bool disorder = false;    // each other record stamped a little earlier than the one before it, as of two processors
};

struct Told {
  std::vector<core::Finding> lines;
  core::Summary summary;

  [[nodiscard]] std::vector<core::Finding> of(std::string_view slug) const;
  // "open update closed"; empty where the slug was never told.
  [[nodiscard]] std::string phases(std::string_view slug) const;
  // Fails the test and gives an empty finding where there is none.
  [[nodiscard]] core::Finding first(std::string_view slug) const;
  [[nodiscard]] core::Finding last(std::string_view slug) const;
  // The slugs told, each once, in the order of their first line.
  [[nodiscard]] std::string slugs() const;
};

// Fails the test where the script has an error.
Told tell(std::string_view script, const Setting& setting = {});

// The lines once for each of so many sockets: %n is its number (0, 1 ...), %p a port of its own (20000 + n), %t a moment
// of its own (first_ms, first_ms + apart_ms ...).
std::string each(int count, std::string_view lines, int first_ms = 0, int apart_ms = 0);

// "accept-queue-full critical certain lighttpd[2112]": cause, severity, confidence, culprit.
std::string brief(const core::Finding& finding);
// "127.0.0.1:8080 lighttpd[2112] - 127.0.0.1:50000 curl[4410]": the finding's end and its other end.
std::string ends(const core::Finding& finding);
// Every field of every line.
std::string dump(const std::vector<core::Finding>& lines);

}  // namespace tcpwhy::detect
