// SPDX-License-Identifier: GPL-2.0-only
// The numbers of one moment. Made by the thread that traces, never changed afterwards, read by the one that serves.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "user/metrics/table.h"

namespace tcpwhy::metrics {

struct Sample {
  Id id{};
  std::vector<std::string> labels;  // values, in the order of the metric's labels
  double value = 0;
};

// In the order of the table; samples of one metric stand together and differ in their labels.
class Snapshot {
 public:
  // Of a metric that is not before the last one's.
  void add(Id id, double value) { add(id, {}, value); }
  void add(Id id, std::vector<std::string> labels, double value) { samples_.push_back({id, std::move(labels), value}); }
  void add(Id id, std::uint64_t value) { add(id, static_cast<double>(value)); }
  void add(Id id, std::vector<std::string> labels, std::uint64_t value) {
    add(id, std::move(labels), static_cast<double>(value));
  }
  [[nodiscard]] const std::vector<Sample>& samples() const { return samples_; }
  // The value with these labels; -1 where there is none.
  [[nodiscard]] double value(Id id, const std::vector<std::string>& labels = {}) const;

 private:
  std::vector<Sample> samples_;
};

}  // namespace tcpwhy::metrics
