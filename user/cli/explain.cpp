// SPDX-License-Identifier: GPL-2.0-only
// tcpwhy explain: its options, and what it prints.
#include <fmt/format.h>
#include <unistd.h>

#include "user/cli/command_line.h"
#include "user/cli/common_options.h"
#include "user/cli/output.h"
#include "user/cli/pager.h"
#include "user/config/threshold.h"
#include "user/detect/catalogue.h"
#include "user/explain/markup.h"
#include "user/explain/page.h"
#include "user/sink/page.h"
#include "user/sink/paragraph.h"
#include "user/util/nearest.h"

namespace tcpwhy::cli {
namespace {

constexpr const char* kFooter = R"(
Without FINDING: all findings, one line each. With it: what it means, how the kernel gets there, how tcpwhy knows and how it
can be wrong, its causes, what to check, what to change and at which risk, and an example. With --cause only what concerns
that cause: what a finding says in its JSON, and `tcpwhy check` in brackets.

On a terminal it is shown with $PAGER, or less -R.

Examples:
  tcpwhy explain
  tcpwhy explain accept-queue-overflow
  tcpwhy explain accept-queue-overflow --cause not-accepting

Exit codes: 0 ran, 1 failed while running, 2 wrong usage: no such finding, or no such cause of it.
)";

std::string_view family_words(detect::Family family) {
  switch (family) {
    case detect::Family::handshake:
      return "Handshake";
    case detect::Family::stall:
      return "Stalls";
    case detect::Family::ending:
      return "Endings";
  }
  return {};
}

// In the catalogue's order, by family.
std::string all_findings(const sink::TextStyle& style) {
  constexpr std::size_t kColumn = 32;
  std::string text;
  const detect::FindingSpec* before = nullptr;
  for (const detect::FindingSpec& row : detect::catalogue()) {
    if (!before || before->family != row.family)
      text += fmt::format("{}{}\n", before ? "\n" : "", family_words(row.family));
    text += sink::paragraph(explain::plain(explain::find(row.slug)->meaning),
                            {fmt::format("  {:<{}}", row.slug, kColumn - 2), kColumn, kColumn, style.columns});
    before = &row;
  }
  return text + "\ntcpwhy explain FINDING says more; tcpwhy explain FINDING --cause CAUSE what concerns one cause.\n";
}

util::Error no_such_cause(const detect::FindingSpec& finding, const std::string& cause) {
  const std::string_view meant = util::nearest(cause, finding.causes);
  return {fmt::format("{} has no cause '{}'", finding.slug, cause), 0,
          meant.empty() ? fmt::format("its causes are {}", fmt::join(finding.causes, ", "))
                        : fmt::format("did you mean {}?", meant)};
}

}  // namespace

CLI::App* add_explain(CLI::App& app, ExplainOptions& options) {
  CLI::App* explain = add_command(app, "explain", "Say what a finding means, how it is known, and what to do");
  CLI::Option* finding = explain->add_option_function<std::string>(
      "FINDING",
      [&options](const std::string& word) { options.finding = accept("FINDING", config::find_finding(word))->slug; },
      "The finding, as findings are called everywhere");
  finding->type_name("");
  explain->add_option("--cause", options.cause, "Only what concerns this cause of it")
      ->type_name("CAUSE")
      ->needs(finding);
  explain->footer(kFooter);
  return explain;
}

int run_explain(const ExplainOptions& options) {
  const sink::TextStyle style = sink::style_for(STDOUT_FILENO, {});
  if (options.finding.empty()) {
    page(all_findings(style));
    return kRan;
  }
  const explain::Page& found = *explain::find(options.finding);
  if (options.cause.empty()) {
    page(sink::page_text(found, style));
    return kRan;
  }
  if (!found.has_cause(options.cause)) {
    (void)fail(no_such_cause(*detect::find_in_catalogue(options.finding), options.cause));
    return kUsage;
  }
  page(sink::cause_text(found, options.cause, style));
  return kRan;
}

}  // namespace tcpwhy::cli
