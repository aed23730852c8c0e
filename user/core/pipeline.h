// SPDX-License-Identifier: GPL-2.0-only
// The one-way flow: record -> decode -> facts -> detectors -> book -> sinks. The same for a live run and a replay.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "user/core/book.h"
#include "user/core/filter_matches.h"
#include "user/core/losses.h"

namespace tcpwhy::core {

// What leaves the pipeline. Called in stream order, on the caller's thread.
struct Outlets {
  std::function<void(const std::vector<Finding>&)> findings;
  std::function<void(const abi::Event&)> event;   // each event of the kernel, ordinary ones too; may be empty
  std::function<void(util::BootTime)> tick = {};  // after the findings of each tick; may be empty
  // Each event that detectors see (all but ordinary transitions), once it is in the facts; may be empty. Unlike `event`,
  // it makes nobody decode what is of no interest.
  std::function<void(const abi::Event&)> fact = {};
};

class Pipeline {
 public:
  Pipeline(Settings settings, std::vector<std::unique_ptr<Detector>> detectors, Outlets outlets);
  Pipeline(const Pipeline&) = delete;  // parts of it refer to each other
  Pipeline& operator=(const Pipeline&) = delete;

  // One record. What cannot be read is counted, never fatal.
  void feed(std::span<const std::byte> record);
  // A transition of which nothing is known but its time: what feed() makes of one where nobody looks at events.
  void feed_ordinary(util::BootTime time);
  [[nodiscard]] bool shows_events() const { return outlets_.event != nullptr || !matches_.all(); }
  // The same, decoded.
  void feed(const abi::Event& event);
  // The recording of one of several hosts is over: what is open there is not looked at any further.
  void end_of_host(std::uint32_t host) { book_.end_of_host(host); }
  // Closes what is open and gives the last findings.
  void finish();

  // A socket that a process holds, of a look at all that run: what the filter's values let through of it.
  void note(const HeldSocket& socket) { matches_.note(socket); }
  // The filter's values that let nothing through so far: "--port 8081". Of a report those that narrow it.
  [[nodiscard]] std::vector<std::string> unmatched() const { return matches_.unmatched(); }

  // What the findings need to know; a live source answers, a replay ignores it.
  Wants take_wants() { return book_.take_wants(); }
  [[nodiscard]] Summary summary() const;
  // What was lost so far, in every way.
  [[nodiscard]] const Losses& losses() const { return losses_; }
  // Events of the kernel and observations so far, each kind there is; left out by a rate limit of the kernel side, by kind.
  [[nodiscard]] std::vector<std::pair<std::string_view, std::uint64_t>> events() const;
  [[nodiscard]] const std::map<std::string, std::uint64_t>& left_out() const { return left_out_; }
  [[nodiscard]] std::uint64_t unreadable() const { return unreadable_; }
  [[nodiscard]] std::vector<OpenFinding> open_findings() const { return book_.open(); }
  [[nodiscard]] const Facts& facts() const { return facts_; }
  [[nodiscard]] std::vector<OpenCase> open_cases() const { return book_.open_cases(); }

 private:
  void note(std::size_t kind, util::BootTime time);
  void tick(Scene& scene);

  Settings settings_;
  FilterMatches matches_;
  Facts facts_;
  Book book_;
  std::vector<std::unique_ptr<Detector>> detectors_;
  Outlets outlets_;
  std::array<std::uint64_t, abi::kEventKinds> counts_{};
  std::map<std::string, std::uint64_t> left_out_;  // by kind, by a rate limit of the kernel side
  Losses losses_;
  std::uint64_t unreadable_ = 0;
  util::BootTime started_{};
};

}  // namespace tcpwhy::core
