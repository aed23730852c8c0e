// SPDX-License-Identifier: GPL-2.0-only
#include "user/metrics/exposition.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

namespace tcpwhy::metrics {
namespace {

constexpr double kExact = 9007199254740992.0;  // 2^53: up to here a double holds every whole number

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\"");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\"") - first + 1);
}

std::string lower(std::string_view text) {
  std::string result{text};
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

// The text before the separator; what follows it stays in `rest`.
std::string_view take(std::string_view& rest, char separator) {
  const std::size_t at = rest.find(separator);
  const std::string_view part = rest.substr(0, at);
  rest = at == std::string_view::npos ? std::string_view{} : rest.substr(at + 1);
  return trimmed(part);
}

// One range of an Accept header. q is -1 where it cannot be read: as if it had not been said.
struct Range {
  std::string type;
  std::string version;
  double q = 1;
};

Range parse_range(std::string_view text) {
  Range range;
  range.type = lower(take(text, ';'));
  while (!text.empty()) {
    std::string_view parameter = take(text, ';');
    const std::string name = lower(take(parameter, '='));
    const std::string_view value = trimmed(parameter);
    if (name == "version") range.version = value;
    if (name != "q") continue;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), range.q);
    if (error != std::errc{} || end != value.data() + value.size() || !(range.q >= 0 && range.q <= 1)) range.q = -1;
  }
  return range;
}

// Prometheus' samples of a counter end in _total, and there the family is named like its samples.
std::string family(const Metric& m, Exposition exposition) {
  return std::string{m.name} + (m.type == Type::counter && exposition == Exposition::prometheus ? "_total" : "");
}

std::string escaped(std::string_view text, bool quotes) {
  std::string result;
  for (const char c : text) {
    if (c == '\\' || (quotes && c == '"')) result += '\\';
    if (c == '\n')
      result += "\\n";
    else
      result += c;
  }
  return result;
}

void head(std::string& out, const Metric& m, Exposition exposition) {
  const std::string name = family(m, exposition);
  const bool open = exposition == Exposition::openmetrics;
  auto to = std::back_inserter(out);
  fmt::format_to(to, "# HELP {} {}\n", name, escaped(m.help, open));
  fmt::format_to(to, "# TYPE {} {}\n", name, m.type == Type::counter ? "counter" : "gauge");
  if (open && !m.unit.empty()) fmt::format_to(to, "# UNIT {} {}\n", name, m.unit);
}

void line(std::string& out, const Metric& m, const Sample& sample) {
  out += m.name;
  if (m.type == Type::counter) out += "_total";
  for (std::size_t i = 0; i < m.labels.size() && i < sample.labels.size(); ++i)
    fmt::format_to(std::back_inserter(out), "{}{}=\"{}\"", i == 0 ? "{" : ",", m.labels[i],
                   escaped(sample.labels[i], true));
  if (!m.labels.empty()) out += '}';
  const double v = sample.value;
  if (v == std::floor(v) && std::abs(v) < kExact)
    fmt::format_to(std::back_inserter(out), " {:.0f}\n", v);
  else
    fmt::format_to(std::back_inserter(out), " {}\n", v);
}

}  // namespace

Exposition negotiate(std::string_view accept) {
  double open = 0;
  double plain = 0;
  while (!accept.empty()) {
    const Range range = parse_range(take(accept, ','));
    const bool ours = range.version.empty() || range.version == "1.0.0" || range.version == "0.0.1";
    if (range.type == "application/openmetrics-text" && ours) open = std::max(open, range.q);
    if (range.type == "text/plain") plain = std::max(plain, range.q);
  }
  return open > 0 && open >= plain ? Exposition::openmetrics : Exposition::prometheus;
}

std::string_view content_type(Exposition exposition) {
  return exposition == Exposition::openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                               : "text/plain; version=0.0.4; charset=utf-8";
}

std::string render(const Snapshot& snapshot, Exposition exposition) {
  std::string out;
  out.reserve(100 * snapshot.samples().size() + 200 * kMetrics);
  const Sample* last = nullptr;
  for (const Sample& sample : snapshot.samples()) {
    const Metric& m = metric(sample.id);
    if (!last || last->id != sample.id) head(out, m, exposition);
    line(out, m, sample);
    last = &sample;
  }
  if (exposition == Exposition::openmetrics) out += "# EOF\n";
  return out;
}

}  // namespace tcpwhy::metrics
