// SPDX-License-Identifier: GPL-2.0-only
// A report as one HTML file that needs nothing else: data, packed, in the page that was built from user/html/web.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "user/core/ledger.h"
#include "user/html/activity.h"
#include "user/html/ladders.h"
#include "user/html/people.h"
#include "user/html/queues.h"

namespace tcpwhy::html {

// False where tcpwhy was built without the page (TCPWHY_HTML=OFF).
bool available();

struct Sentences {
  std::string cause;
  std::string effect;
  std::string evidence;
};

// Where a run came from.
struct Origin {
  std::string file;  // as named, without its folder
  std::string host;
  std::string kernel;  // uname -r
  std::string tool;    // the version that recorded it
};

struct Contents {
  core::RunIdentity run;
  std::vector<Origin> origins;
  std::vector<std::string> notes;         // what the reader must know of the recording, in sentences
  std::string lines;                      // what `report --format json` prints: findings, then the summary
  std::vector<Sentences> sentences = {};  // of each finding's line
  std::string activity;                   // JSON, each as its maker's header says
  std::string queues;
  std::string connections;
  std::string people;
  std::string explanations;  // of the findings in it
  std::uint64_t connections_left_out = 0;
  std::uint64_t listeners_left_out = 0;
  std::size_t with_ladder = 0;  // the first so many connections
};

// The whole file.
std::string page(const Contents& contents, const Ladders& ladders);

}  // namespace tcpwhy::html
