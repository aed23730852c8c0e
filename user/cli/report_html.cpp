// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/report_html.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <set>
#include <sstream>

#include "user/cli/connections.h"
#include "user/cli/in_span.h"
#include "user/cli/output.h"
#include "user/cli/reading.h"
#include "user/detect/detectors.h"
#include "user/html/connections.h"
#include "user/html/explanations.h"
#include "user/html/page.h"
#include "user/sink/json.h"
#include "user/util/file_writer.h"

namespace tcpwhy::cli {
namespace {

using core::LedgerRow;

// What the first pass remembers besides what JSON prints.
struct Seen {
  explicit Seen(const core::Settings& settings) : people(settings.identity) {}
  std::ostringstream lines;  // as --format json
  core::Ledger ledger;
  html::Activity activity;
  html::Queues queues;
  html::People people;
  std::vector<html::Sentences> sentences;
  std::set<std::string_view> slugs;
};

std::vector<html::Origin> origins_of(const Recordings& recordings, const core::RunIdentity& run) {
  std::vector<html::Origin> origins;
  for (std::size_t host = 0; host < recordings.runs.size(); ++host)
    for (const auto& piece : recordings.runs[host].pieces) {
      const std::string& name = piece->name();
      origins.push_back({name.substr(name.rfind('/') + 1), run.host_name(static_cast<std::uint32_t>(host)),
                         piece->meta().kernel, piece->meta().tool});
    }
  return origins;
}

// A page that is there in part would only mislead: it is whole, or not there.
util::Status write_file(const std::string& path, bool force, std::string_view text) {
  util::Result<util::FileWriter> file = util::FileWriter::create(path, force);
  if (!file) return std::move(file.error());
  util::Status status = file->write(text);
  if (status) status = file->close();
  if (!status) file->discard();
  return status;
}

int put(const ReportOptions& options, const std::string& text, int code) {
  if (options.output.empty() || options.output == "-") {
    std::cout << text;  // main() looks whether that went well
    return code;
  }
  const util::Status written = write_file(options.output, options.force, text);
  return written ? code : fail(written.error());
}

// The first pass: all that is told of the run.
Remarks read_run(Seen& seen, Recordings& recordings, const Joined& joined, const core::Settings& settings,
                 const Span& span, const ReportOptions& options) {
  sink::JsonSink json{seen.lines, settings.identity, options.severity.value_or(core::Severity::info)};
  InSpan in_span{span.since};
  const auto note_findings = [&](const std::vector<core::Finding>& findings) {
    if (!in_span.note(findings)) return;
    seen.ledger.on(findings);
    for (const core::Finding& f : findings) {
      const auto before = seen.lines.tellp();
      json.findings({f});
      // --severity may have left it out.
      if (seen.lines.tellp() == before) continue;
      seen.sentences.push_back({f.words.cause, f.words.effect, f.words.evidence});
      seen.slugs.insert(f.slug);
    }
  };
  const auto note = [&](const abi::Event& event) {
    seen.ledger.on(event);
    seen.people.on(event);
    if (event.time < span.since || !settings.narrowing.passes(event)) return;
    seen.activity.on(event);
    seen.queues.on(event);
  };
  core::Pipeline pipeline{settings, detect::make_all(settings.thresholds), {note_findings, note}};
  Replay replay{recordings, joined.translators, pipeline, span};
  replay.run();
  json.summary(in_span.narrowed(summary_of(pipeline, replay, recordings)));
  return remarks_on(pipeline, replay, recordings, span);
}

std::vector<const LedgerRow*> worst_rows(const core::Ledger& ledger, const ReportOptions& options, const Span& span) {
  ReportOptions worst_first = options;
  worst_first.sort = "worst";
  return rows_of(ledger, worst_first, span.since);
}

// The second pass: the lives of those connections that there is room for.
void read_ladders(html::Ladders& ladders, Recordings& recordings, const Joined& joined, const core::Settings& settings,
                  const Span& span) {
  const auto show = [&](const abi::Event& event) {
    if (event.time >= span.since) ladders.on(event);
  };
  core::Pipeline pipeline{settings, {}, {[](const auto&) {}, show}};
  Replay{recordings, joined.translators, pipeline, span}.run();
}

}  // namespace

util::Status check_html(const ReportOptions& options) {
  const auto wrong = [](const char* what, const char* hint) { return util::Error{what, 0, hint}; };
  if (options.format != Format::html) {
    if (!options.output.empty())
      return wrong("--output is for --format html", "send text and JSON to a file with > FILE");
    if (options.force) return wrong("--force is for --output", "leave it out");
    return util::Done{};
  }
  if (!html::available())
    return wrong("this tcpwhy was built without the HTML page (TCPWHY_HTML=OFF)",
                 "use --format text or json, or a build that has it");
  if (options.events) return wrong("--events does not go with --format html", "the page has each connection's events");
  if (options.connections || !options.connection.empty())
    return wrong("--connections and --connection do not go with --format html", "the page has them all");
  if (std::count(options.files.begin(), options.files.end(), "-") > 0)
    return wrong("--format html reads the recording twice, which standard input does not allow", "name a file");
  if (options.output.empty() && ::isatty(STDOUT_FILENO) != 0)
    return wrong("a page of HTML is nothing for a terminal", "name its file: -o FILE");
  struct stat status {};
  if (!options.force && !options.output.empty() && options.output != "-" &&
      ::lstat(options.output.c_str(), &status) == 0)
    return util::cannot_write("make", options.output, EEXIST);
  return util::Done{};
}

int report_html(const ReportOptions& options, Recordings& recordings, const Joined& joined,
                const core::Settings& settings, const Span& span) {
  Seen seen{settings};
  const Remarks remarks = read_run(seen, recordings, joined, settings, span, options);

  std::vector<const LedgerRow*> rows = worst_rows(seen.ledger, options, span);
  const std::size_t all = rows.size() + seen.ledger.left_out();
  rows.resize(std::min(rows.size(), html::kMostRows));
  auto again = open_recordings(options.files);
  if (!again) return fail(again.error());
  const std::size_t with_ladder = html::Ladders::fitting(rows);
  html::Ladders ladders{{rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(with_ladder)}, settings.names};
  read_ladders(ladders, *again, joined, settings, span);

  html::Contents contents;
  contents.run = settings.identity;
  contents.origins = origins_of(*again, settings.identity);
  contents.notes = remarks.informs;
  contents.notes.insert(contents.notes.end(), remarks.warns.begin(), remarks.warns.end());
  contents.lines = seen.lines.str();
  contents.sentences = std::move(seen.sentences);
  contents.activity = seen.activity.json(settings.identity.wall);
  for (const LedgerRow& row : seen.ledger.rows()) seen.people.count(row);
  contents.queues = seen.queues.json(settings.identity, seen.people);
  contents.connections = html::connections_json(rows, settings.identity, seen.people);
  contents.people = seen.people.json();
  contents.explanations = html::explanations_json(seen.slugs);
  contents.connections_left_out = all - rows.size();
  contents.listeners_left_out = seen.queues.left_out();
  contents.with_ladder = with_ladder;
  return put(options, html::page(contents, ladders), conclude(remarks));
}

}  // namespace tcpwhy::cli
