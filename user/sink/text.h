// SPDX-License-Identifier: GPL-2.0-only
// Findings for people: a block for each new one with its symptoms below it, one line for an update or an end, and one
// line for all that a flood of findings alike has more of.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "user/sink/flood.h"
#include "user/sink/shown.h"
#include "user/sink/sink.h"

namespace tcpwhy::sink {

struct TextStyle {
  core::Severity minimum = core::Severity::warning;
  bool colour = false;
  std::size_t columns = 120;
  util::Duration window = std::chrono::seconds{10};  // in which findings alike are counted
};

// Colour on a terminal without NO_COLOR, and the terminal's width; plain and 120 columns otherwise.
TextStyle style_for(int fd, core::Severity minimum);

// Writes to `out`, which it does not own and which must outlive it; flushes each block. Control characters in what
// processes call themselves are escaped: without colour no byte below 0x20 but newline is written.
class TextSink : public Sink {
 public:
  TextSink(std::ostream& out, core::RunIdentity run, TextStyle style);

  void findings(const std::vector<core::Finding>& batch) override;
  void tick(util::BootTime now) override;
  void event(const core::EventView& event) override;
  void summary(const core::Summary& summary) override;

 private:
  using Batch = std::vector<core::Finding>;

  [[nodiscard]] std::vector<const core::Finding*> new_symptoms(const core::Finding& root, const Batch& batch);
  void block(const core::Finding& finding, const std::vector<const core::Finding*>& symptoms);
  void one_line(const core::Finding& finding);
  void flood_lines(util::BootTime now, bool last);
  [[nodiscard]] std::string lead(util::BootTime time, std::string_view code, std::string_view label) const;
  [[nodiscard]] std::string header(const core::Finding& finding, const std::string& more = {}) const;
  [[nodiscard]] std::string details(const core::Finding& finding) const;
  [[nodiscard]] std::string below_root(const core::Finding& finding, const core::Finding& root) const;
  [[nodiscard]] std::string labelled(std::string_view label, std::string_view text) const;
  [[nodiscard]] std::string indented(std::string_view text, std::size_t indent) const;
  [[nodiscard]] std::string paint(std::string_view code, std::string_view text) const;
  void write(const std::string& text);

  std::ostream& out_;
  core::RunIdentity run_;
  TextStyle style_;
  Shown shown_;
  Flood flood_;
  bool anything_written_ = false;
};

}  // namespace tcpwhy::sink
