// SPDX-License-Identifier: GPL-2.0-only
// The options that several commands share, and their help.
#include <fmt/format.h>
#include <unistd.h>

#include <bit>
#include <functional>
#include <memory>
#include <vector>

#include "user/cli/common_options.h"
#include "user/cli/filter_values.h"
#include "user/config/config.h"
#include "user/config/threshold.h"
#include "user/detect/catalogue.h"
#include "user/detect/detectors.h"
#include "user/kernel/features.h"

namespace tcpwhy::cli {

namespace {
using Words = std::vector<std::string>;

constexpr const char* kFilters = "Filters (each may be given several times; either end of a connection may match)";
constexpr const char* kOutput = "Output";

// An option that takes one word at a time and may be repeated; `keep` gets each word.
CLI::Option* add_words(CLI::App& app, const std::string& option, const std::string& help,
                       const std::function<void(const std::string&)>& keep) {
  return app
      .add_option_function<Words>(
          option,
          [keep](const Words& words) {
            for (const std::string& word : words) {
              keep(word);
            }
          },
          help)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

// A filter: each word parsed and added to its list.
template <typename T, typename Parse>
CLI::Option* add_filter(CLI::App& app, const std::string& option, const std::string& value_name,
                        const std::string& help, std::vector<T>& list, Parse parse) {
  return add_words(app, option, help,
                   [&list, option, parse](const std::string& word) { list.push_back(accept<T>(option, parse(word))); })
      ->type_name(value_name)
      ->group(kFilters);
}

util::Result<std::string> parse_comm(const std::string& text) {
  constexpr std::size_t kLongest = 15;  // TASK_COMM_LEN less its final zero
  if (text.empty() || text.size() > kLongest) {
    return util::Error{fmt::format("'{}' cannot be the name of a process", text), 0,
                       fmt::format("the kernel keeps its first {} characters: see /proc/PID/comm", kLongest)};
  }
  return text;
}

// A mistake in the file begins with its place there, as editors know it.
core::Thresholds read_config(const std::string& path) {
  util::Result<config::Config> config = config::read(path);
  if (!config) {
    const util::Error& error = config.error();
    if (error.hint.empty()) {
      throw CLI::ValidationError(error.what);
    }
    refuse("--config", error);
  }
  return std::move(config->thresholds);
}

constexpr std::size_t kSmallestBuffer = 256U << 10;
constexpr std::size_t kLargestBuffer = std::size_t{1} << 30;

std::size_t parse_buffer(const std::string& text) {
  const std::size_t bytes = accept("--buffer", parse_size(text));
  if (!std::has_single_bit(bytes) || bytes < kSmallestBuffer || bytes > kLargestBuffer) {
    refuse("--buffer", {fmt::format("{} is not a power of two from 256k to 1G", text), 0, "write 4M, 8M, 16M ..."});
  }
  return bytes;
}

std::string readable_file(const std::string& path) {
  if (access(path.c_str(), R_OK) != 0) {
    refuse("--btf", {fmt::format("cannot read {}", path), 0, "name a file with the BTF of the running kernel"});
  }
  return path;
}

}  // namespace

void refuse(const std::string& option, const util::Error& error) {
  throw CLI::ValidationError(option, error.hint.empty() ? error.what : fmt::format("{}: {}", error.what, error.hint));
}

CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& what) {
  CLI::App* command = app.add_subcommand(name, what);
  command->group("Commands");
  command->formatter(std::make_shared<CLI::Formatter>());
  command->set_help_flag("-h,--help", "Print this help and exit");
  command->get_formatter()->column_width(40);
  return command;
}

void add_filters(CLI::App& app, core::Filter& filter) {
  add_filter(app, "--port", "PORT", "Port of either end; --port 80,443 is either", filter.ports, parse_port)
      ->delimiter(',');
  add_filter(app, "--local", "ADDRESS[/BITS]", "Local address or prefix, IPv4 or IPv6", filter.local, util::parse_cidr)
      ->delimiter(',');
  add_filter(app, "--remote", "ADDRESS[/BITS]", "Remote address or prefix, IPv4 or IPv6", filter.remote,
             util::parse_cidr)
      ->delimiter(',');
  add_filter(app, "--pid", "PID", "Process id", filter.pids, parse_pid)->delimiter(',');
  add_filter(app, "--comm", "NAME", "Process name, exactly as in /proc/PID/comm", filter.comms, parse_comm);
  add_words(app, "--cgroup", "cgroup v2 and those below it, a path below /sys/fs/cgroup",
            [&filter](const std::string& word) {
              const auto ids = accept<std::vector<std::uint64_t>>("--cgroup", resolve_cgroup(word));
              filter.cgroups.insert(filter.cgroups.end(), ids.begin(), ids.end());
            })
      ->type_name("PATH")
      ->group(kFilters);
  add_filter(app, "--netns", "NETNS", "Network namespace: a name of `ip netns`, pid:N, or an inode number",
             filter.netns, [](const std::string& word) { return resolve_netns(word); });
}

void add_span(CLI::App& app, SpanOptions& options) {
  app.add_option("--since", options.since, "Tell what happened from this time on (see below)")->type_name("TIME");
  app.add_option("--until", options.until, "Stop at this time")->type_name("TIME");
}

void add_format(CLI::App& app, Format& format, const std::string& help, bool html) {
  app.add_option_function<std::string>(
         "--format",
         [&format, html](const std::string& word) {
           if (word == "text")
             format = Format::text;
           else if (word == "json")
             format = Format::json;
           else if (word == "html" && html)
             format = Format::html;
           else if (word == "html")
             refuse("--format", {"a page of HTML is made by tcpwhy report", 0, "record first: tcpwhy record -o FILE"});
           else
             refuse("--format", {fmt::format("there is no format '{}'", word), 0,
                                 html ? "write text, json or html" : "write text or json"});
         },
         help)
      ->type_name("FORMAT")
      ->group(kOutput);
}

void add_btf(CLI::App& app, std::string& file) {
  app.add_option_function<std::string>(
         "--btf", [&file](const std::string& word) { file = readable_file(word); },
         "BTF of the running kernel, where it does not have its own")
      ->type_name("FILE")
      ->group(kLimits);
}

void add_output(CLI::App& app, OutputOptions& options, bool html) {
  static const std::map<std::string, core::Severity> kSeverities = {
      {"info", core::Severity::info}, {"warning", core::Severity::warning}, {"critical", core::Severity::critical}};
  add_format(app, options.format,
             html ? "text (default), json, one object a line, or html, one page\nfor a browser"
                  : "text (default) or json, one object a line",
             html);
  app.add_option_function<std::string>(
         "--severity",
         [&options](const std::string& word) {
           const auto entry = kSeverities.find(word);
           if (entry == kSeverities.end()) {
             refuse("--severity",
                    {fmt::format("there is no severity '{}'", word), 0, "write info, warning or critical"});
           }
           options.severity = entry->second;
         },
         "Show findings from this one up: info, warning or critical\n(default: warning in text, info in json)")
      ->type_name("SEVERITY")
      ->group(kOutput);
  app.add_flag("--events", options.events, "Show each event, too")->group(kOutput);
}

void add_thresholds(CLI::App& app, ThresholdOptions& thresholds) {
  add_words(app, "--threshold",
            "When a finding opens, or that it never does (see below);\nmay be given several times; with PORT: for the "
            "service there",
            [&thresholds](const std::string& word) {
              const config::Threshold said = accept("--threshold", config::parse_threshold(word));
              core::Thresholds& flags = thresholds.flags;
              (said.service_port ? flags.ports[*said.service_port] : flags.base)[said.slug] = said.limit;
            })
      ->type_name("[PORT:]FINDING=TIME|off")
      ->group(kLimits);
  add_words(app, "--config", "Thresholds from a TOML file (see below); --threshold\noverrides it",
            [&thresholds](const std::string& path) {
              if (!thresholds.file_name.empty()) {
                refuse("--config", {"was given twice", 0, "put everything into one file"});
              }
              thresholds.file = read_config(path);
              thresholds.file_name = path;
            })
      ->type_name("FILE")
      ->group(kLimits);
  app.add_flag("--show-config", thresholds.show,
               "Print the thresholds in force, and where each comes\nfrom, as a file for --config, and exit; needs no "
               "root")
      ->group(kLimits);
}

void add_max_connections(CLI::App& app, std::size_t& most) {
  app.add_option_function<std::string>(
         "--max-connections",
         [&most](const std::string& word) { most = accept("--max-connections", parse_size(word)); },
         fmt::format(
             "Most connections followed at once (default {}); more are\nforgotten, the oldest first, and counted",
             most))
      ->type_name("NUMBER")
      ->group(kLimits);
}

void add_limits(CLI::App& app, TraceOptions& options) {
  add_max_connections(app, options.max_connections);
  app.add_option_function<std::string>(
         "--buffer", [&options](const std::string& word) { options.buffer_bytes = parse_buffer(word); },
         "Room for events on their way from the kernel, a power of two\n(default 8M); make it larger where events are "
         "lost")
      ->type_name("SIZE")
      ->group(kLimits);
  app.add_option_function<std::string>(
         "--max-memory",
         [&options](const std::string& word) { options.max_memory = accept("--max-memory", parse_size(word)); },
         "Most memory of buffer, tables and flight recorder together\n(default 136M, with a flight recorder 296M); "
         "what "
         "does not fit is\nforgotten, and counted")
      ->type_name("SIZE")
      ->group(kLimits);
  add_btf(app, options.btf_file);
  app.add_option(
         "--without", options.without,
         "Do as if this kernel did not have a hook of doctor's list, or an\nargument of it (kfree_skb:4): how would "
         "an older one do?")
      ->type_name("HOOK")
      ->allow_extra_args(false)  // what follows is a FILE of check
      ->check([](const std::string& name) {
        return kernel::is_hook(name) ? std::string{} : "'" + name + "' is no hook: tcpwhy doctor lists them";
      })
      ->group(kLimits);
}

void add_run_for(CLI::App& app, TraceOptions& options, const std::string& help) {
  app.add_option_function<std::string>(
         "--for",
         [&options](const std::string& word) { options.run_for = accept("--for", parse_positive_duration(word)); },
         help)
      ->type_name("DURATION");
}

std::string threshold_help() {
  std::string text = R"(
Findings that wait for a time to pass, with their defaults for --threshold:
)";
  for (const detect::FindingSpec& row : detect::catalogue()) {
    if (row.threshold) {
      text += fmt::format("  {:<28}  {:>6}  {}\n", row.slug, util::human(*row.threshold), row.threshold_means);
    }
  }
  text += "Those that do not can only be switched off, with FINDING=off:\n";
  for (const detect::FindingSpec& row : detect::catalogue()) {
    if (!row.threshold) {
      text += fmt::format("  {:<28}  {}\n", row.slug, row.meaning);
    }
  }
  return text;
}

}  // namespace tcpwhy::cli
