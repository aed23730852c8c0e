// SPDX-License-Identifier: GPL-2.0-only
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "user/config/config.h"
#include "user/config/threshold.h"
#include "user/detect/detectors.h"
#include "user/util/printable.h"
#include "user/util/version.h"

namespace tcpwhy::config {
namespace {

using BySlug = core::Thresholds::BySlug;

struct Line {
  std::string setting;
  std::string comment;
};

std::string setting(std::string_view slug, const Limit& limit) {
  return fmt::format("{} = \"{}\"", slug, limit ? util::duration_word(*limit) : "off");
}

// What the file and the flags say of one finding: the flag's word, if there is one.
struct Said {
  const Limit* limit = nullptr;
  std::string_view origin;
};
Said find(std::string_view slug, const BySlug& file, const BySlug& flags) {
  if (const auto it = flags.find(slug); it != flags.end()) {
    return {&it->second, "flag"};
  }
  const auto it = file.find(slug);
  return it == file.end() ? Said{} : Said{&it->second, "file"};
}

std::string comment(std::string_view origin, std::string_view meaning) {
  return meaning.empty() ? std::string{origin} : fmt::format("{}: {}", origin, meaning);
}

// What nobody spoke of: its duration, or, where it has none, how to switch it off.
Line default_line(const detect::FindingSpec& row) {
  if (row.threshold) {
    return {setting(row.slug, row.threshold), comment("default", row.threshold_means)};
  }
  return {"# " + setting(row.slug, std::nullopt), "default: on"};
}

std::vector<Line> base_lines(const BySlug& file, const BySlug& flags) {
  std::vector<Line> lines;
  for (const detect::FindingSpec& row : detect::catalogue()) {
    if (const Said said = find(row.slug, file, flags); said.limit) {
      lines.push_back({setting(row.slug, *said.limit),
                       comment(said.origin, *said.limit ? row.threshold_means : std::string_view{})});
    } else {
      lines.push_back(default_line(row));
    }
  }
  return lines;
}

std::vector<Line> port_lines(const BySlug& file, const BySlug& flags) {
  std::vector<Line> lines;
  for (const detect::FindingSpec& row : detect::catalogue()) {
    if (const Said said = find(row.slug, file, flags); said.limit) {
      lines.push_back({setting(row.slug, *said.limit), std::string{said.origin}});
    }
  }
  return lines;
}

std::string table(std::string_view heading, const std::vector<Line>& lines) {
  std::size_t width = 0;
  for (const Line& line : lines) {
    width = std::max(width, line.setting.size());
  }
  std::string text = fmt::format("\n[{}]\n", heading);
  for (const Line& line : lines) {
    text += fmt::format("{:<{}}  # {}\n", line.setting, width, line.comment);
  }
  return text;
}

const BySlug& of_port(const core::Thresholds& thresholds, std::uint16_t port) {
  static const BySlug kNothing;
  const auto it = thresholds.ports.find(port);
  return it == thresholds.ports.end() ? kNothing : it->second;
}

}  // namespace

std::string show(const core::Thresholds& file, const core::Thresholds& flags, const std::string& file_name) {
  std::string text = fmt::format(
      "# The thresholds in force (tcpwhy {}). --config takes this as a file.\n"
      "# Behind each value stands where it comes from: default, file ({}) or flag.\n",
      util::version(), file_name.empty() ? "none was given" : util::printable(file_name));
  text += table("thresholds", base_lines(file.base, flags.base));
  for (const auto& [port, said] : file.overlaid_with(flags).ports) {
    const std::vector<Line> lines = port_lines(of_port(file, port), of_port(flags, port));
    if (!lines.empty()) {
      text += table(fmt::format("port.{}.thresholds", port), lines);
    }
  }
  return text;
}

}  // namespace tcpwhy::config
