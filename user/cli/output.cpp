// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/output.h"

#include <unistd.h>

#include <iostream>

#include "user/cli/logging.h"
#include "user/core/event_view.h"
#include "user/sink/json.h"
#include "user/sink/text.h"

namespace tcpwhy::cli {

int fail(const util::Error& error) {
  log::error(error.what);
  if (!error.hint.empty()) log::error(error.hint);
  return kFailed;
}

std::unique_ptr<sink::Sink> make_sink(const OutputOptions& options, const core::Settings& settings) {
  using core::Severity;
  if (options.format == Format::json)
    return std::make_unique<sink::JsonSink>(std::cout, settings.identity, options.severity.value_or(Severity::info));
  sink::TextStyle style = sink::style_for(STDOUT_FILENO, options.severity.value_or(Severity::warning));
  style.window = settings.window;
  return std::make_unique<sink::TextSink>(std::cout, settings.identity, style);
}

core::Outlets outlets_of(const OutputOptions& options, sink::Sink& sink, const core::KernelNames& names,
                         const core::Filter& filter, util::BootTime since, const core::RunIdentity* several) {
  core::Outlets outlets;
  outlets.findings = [&sink, since](const std::vector<core::Finding>& findings) {
    if (!findings.empty() && findings.front().time >= since) sink.findings(findings);
  };
  outlets.tick = [&sink](util::BootTime now) { sink.tick(now); };
  if (options.events)
    outlets.event = [&sink, &names, &filter, since, several,
                     json = options.format == Format::json](const abi::Event& event) {
      if (event.time < since || !filter.passes(event)) return;
      auto view = core::event_view(event, names, json);
      if (!view) return;
      if (several) view->line.insert(0, several->host_name(event.host) + ": ");
      sink.event(*view);
    };
  return outlets;
}

}  // namespace tcpwhy::cli
