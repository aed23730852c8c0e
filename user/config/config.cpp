// SPDX-License-Identifier: GPL-2.0-only
#include "user/config/config.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "user/config/threshold.h"
#include "user/util/address.h"
#include "user/util/printable.h"

static_assert(TOML_HEADER_ONLY && !TOML_EXCEPTIONS, "the definitions of cmake/dependencies.cmake do not reach here");

namespace tcpwhy::config {
namespace {

using util::Error;
using util::Result;

constexpr std::size_t kLargestFile = 1U << 20;  // nobody writes more by hand
constexpr std::size_t kMistakesTold = 10;

struct Mistake {
  toml::source_position at;
  std::string what;
};

std::string_view kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::integer:
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "a boolean";
    default:
      return "a date or a time";
  }
}

std::string syntax_words(const toml::parse_error& error) {
  const std::string_view what = error.description();
  const bool again = what.find("redefine") != std::string_view::npos;
  return fmt::format("{}: {}", what,
                     again ? "write it once" : "write a heading as [thresholds] and a value as stall-unacked = \"5s\"");
}

std::string in_words(const Error& error) { return fmt::format("{}: {}", error.what, error.hint); }

// The lines of all mistakes, in the order of the file.
Error error_of(std::vector<Mistake> mistakes, const std::string& name) {
  std::stable_sort(mistakes.begin(), mistakes.end(), [](const Mistake& a, const Mistake& b) {
    return std::pair{a.at.line, a.at.column} < std::pair{b.at.line, b.at.column};
  });
  std::string text;
  for (std::size_t i = 0; i < std::min(mistakes.size(), kMistakesTold); ++i) {
    const auto& [at, what] = mistakes[i];
    text += fmt::format("{}{}:{}:{}: {}", i == 0 ? "" : "\n", util::printable(name), at.line, at.column,
                        util::printable(what));
  }
  if (mistakes.size() > kMistakesTold) {
    text += fmt::format("\nand {} more", mistakes.size() - kMistakesTold);
  }
  return Error{std::move(text), 0, ""};
}

// Goes over the tables of a file that is TOML and keeps what they say, and what is wrong with it.
class Reader {
 public:
  void root(const toml::table& root) {
    for (const auto& [key, node] : root) {
      if (key == "thresholds") {
        thresholds(key, node, config_.thresholds.base);
      } else if (key == "port") {
        ports(key, node);
      } else {
        wrong(key.source(),
              fmt::format("there is no setting '{}': write [thresholds] or [port.5432.thresholds]", key.str()));
      }
    }
  }

  Result<Config> result(const std::string& name) && {
    if (!mistakes_.empty()) {
      return error_of(std::move(mistakes_), name);
    }
    return std::move(config_);
  }

 private:
  void wrong(const toml::source_region& where, std::string what) {
    mistakes_.push_back({where.begin, std::move(what)});
  }

  // nullptr where it is something else, which is then said.
  const toml::table* table(const toml::key& key, const toml::node& node, std::string_view heading) {
    if (!node.is_table()) {
      wrong(node.source(), fmt::format("'{}' is not a table: write [{}] on a line of its own and below it what belongs "
                                       "to it",
                                       key.str(), heading));
    }
    return node.as_table();
  }

  void ports(const toml::key& key, const toml::node& node) {
    const toml::table* all = table(key, node, "port.5432.thresholds");
    if (!all) {
      return;
    }
    for (const auto& [number, settings] : *all) {
      const std::string word{number.str()};
      const Result<std::uint16_t> port = util::parse_port(word);
      if (!port) {
        wrong(number.source(), in_words(port.error()));
      } else if (std::to_string(*port) != word) {
        wrong(number.source(), fmt::format("'{}' is not how a port is written: write {}", word, *port));
      } else {
        port_settings(number, settings, *port);
      }
    }
  }

  void port_settings(const toml::key& number, const toml::node& node, std::uint16_t port) {
    const std::string heading = fmt::format("port.{}.thresholds", port);
    const toml::table* settings = table(number, node, heading);
    if (!settings) {
      return;
    }
    for (const auto& [key, value] : *settings) {
      if (key == "thresholds") {
        thresholds(key, value, config_.thresholds.ports[port]);
      } else {
        wrong(key.source(), fmt::format("a port has no setting '{}': write [{}]", key.str(), heading));
      }
    }
  }

  void thresholds(const toml::key& key, const toml::node& node, core::Thresholds::BySlug& into) {
    const toml::table* all = table(key, node, "thresholds");
    if (!all) {
      return;
    }
    for (const auto& [slug, value] : *all) {
      const Result<const detect::FindingSpec*> finding = find_finding(std::string{slug.str()});
      if (!finding) {
        wrong(slug.source(), in_words(finding.error()));
      } else {
        threshold(**finding, value, into);
      }
    }
  }

  void threshold(const detect::FindingSpec& finding, const toml::node& value, core::Thresholds::BySlug& into) {
    const std::string say_off = fmt::format("{} = \"off\"", finding.slug);
    const toml::value<std::string>* text = value.as_string();
    if (!text) {
      const std::string say_time = fmt::format("{} = \"30s\" or ", finding.slug);
      wrong(value.source(), fmt::format("{} is {}, where a text belongs: write {}{}", finding.slug, kind_of(value),
                                        finding.threshold ? say_time : "", say_off));
      return;
    }
    const Result<Limit> limit = parse_limit(finding, text->get(), say_off);
    if (!limit) {
      wrong(value.source(), in_words(limit.error()));
    } else {
      into.insert_or_assign(std::string{finding.slug}, *limit);
    }
  }

  Config config_;
  std::vector<Mistake> mistakes_;
};

Error unreadable(const std::string& path, const char* why, int code) {
  return Error{fmt::format("cannot read '{}': {}", util::printable(path), why), code,
               "name a TOML file; `tcpwhy trace --show-config` prints one to begin with"};
}

Result<std::string> contents(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(path.c_str(), "re"), std::fclose};
  if (!file) {
    return unreadable(path, std::strerror(errno), errno);
  }
  std::string text(kLargestFile + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) {
    return unreadable(path, std::strerror(errno), errno);
  }
  if (text.size() > kLargestFile) {
    return unreadable(path, "it is larger than 1 MiB", 0);
  }
  return text;
}

}  // namespace

Result<Config> parse(const std::string& text, const std::string& name) {
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    return error_of({{parsed.error().source().begin, syntax_words(parsed.error())}}, name);
  }
  Reader reader;
  reader.root(parsed.table());
  return std::move(reader).result(name);
}

Result<Config> read(const std::string& path) {
  Result<std::string> text = contents(path);
  if (!text) {
    return std::move(text.error());
  }
  return parse(*text, path);
}

}  // namespace tcpwhy::config
