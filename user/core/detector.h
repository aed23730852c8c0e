// SPDX-License-Identifier: GPL-2.0-only
// The contract of a detector. It sees events and facts, raises cases about one connection or listener, and judges a case
// when asked; the book does the rest (aggregation, phases, stories). Judging is a pure function of case and facts.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "user/core/facts.h"
#include "user/core/finding.h"
#include "user/core/finding_spec.h"
#include "user/core/want.h"

namespace tcpwhy::core {

// Whom a case is about.
struct Subject {
  abi::SocketId connection = abi::SocketId::none;
  abi::SocketId listener = abi::SocketId::none;
  auto operator<=>(const Subject&) const = default;
};

struct Verdict {
  std::string_view cause;
  Severity severity = Severity::info;
  Confidence confidence = Confidence::likely;
  Culprit culprit;
  std::optional<util::Endpoint> service;
  std::optional<Direction> direction;
  Evidence evidence;
  // Where the other end is not in the table (a refused destination): what to print as listener.
  abi::SocketId listener = abi::SocketId::none;
  // Where the finding is one for many services: what keeps it apart from others, in place of a service.
  std::string together;
  // Before it is told, whatever else this (remote port 0) has with the service is to be looked at.
  std::optional<abi::Tuple> siblings;
};

class Detector;

struct Case {
  Detector* detector = nullptr;
  Subject subject;
  util::BootTime since{};   // when the trouble began
  util::BootTime raised{};  // when it was first raised
  util::BootTime touched{};
  std::uint64_t times = 1;  // how often raised
};

class Book;

struct Scene {
  const Facts& facts;
  Book& book;
  const util::WallClock& wall;
  bool final = false;  // the run ends: what a verdict would still wait for will not come
  [[nodiscard]] util::BootTime now() const { return facts.now(); }
};

class Detector {
 public:
  explicit Detector(const FindingSpec& spec) : spec_(spec) {}
  Detector(const Detector&) = delete;
  Detector& operator=(const Detector&) = delete;
  virtual ~Detector() = default;
  [[nodiscard]] const FindingSpec& spec() const { return spec_; }
  [[nodiscard]] std::string_view slug() const { return spec_.slug; }
  [[nodiscard]] int rank() const { return spec_.rank; }
  [[nodiscard]] bool instant() const { return spec_.instant; }
  // Whether owners of both ends are asked for even where the verdict is no more than info.
  [[nodiscard]] virtual bool info_needs_owners() const { return false; }
  // Whether its evidence is a look of a sweep: then it opens, and turns critical, on one of the last interval only.
  [[nodiscard]] virtual bool rests_on_looks() const { return false; }
  // Nobody whom it was told of is in that trouble any more, but others are, and not long enough to be told: what comes of them
  // is no other finding. Asked of a finding's first connection.
  [[nodiscard]] virtual bool goes_on(const ConnectionView&, const Facts&) const { return false; }
  // Facts are already brought up to date with the event.
  virtual void on_event(const abi::Event& event, Scene& scene) = 0;
  virtual void on_tick(Scene&) {}
  // Absent: nothing to say yet; the case stays and is asked again.
  [[nodiscard]] virtual std::optional<Verdict> judge(const Case& c, const Scene& scene) const = 0;
  // The sentences; may add evidence that only the aggregate knows (attempts).
  virtual void describe(Finding& finding) const = 0;

 private:
  FindingSpec spec_;
};

}  // namespace tcpwhy::core
