// SPDX-License-Identifier: GPL-2.0-only
#include <fmt/format.h>

#include <algorithm>

#include "user/doctor/report.h"
#include "user/sink/paragraph.h"
#include "user/util/version.h"

namespace tcpwhy::doctor {
namespace {

constexpr std::size_t kMark = 10, kName = 44;

std::string row(std::string_view mark, std::string_view name, std::string_view text, std::size_t columns) {
  std::string head = fmt::format("  {:<{}}{:<{}}", mark, kMark, name, kName);
  if (head.back() != ' ') head += "  ";
  if (text.empty()) return head.erase(head.find_last_not_of(' ') + 1) + '\n';
  const std::size_t width = head.size();
  return sink::paragraph(text, {std::move(head), width, 2 + kMark + kName, columns});
}

std::string_view mark_of(const Need& need) { return need.state == State::irrelevant ? "-" : to_string(need.state); }

std::string text_of(const Need& need) {
  if (need.state != State::missing || need.since.empty()) return need.found;
  return fmt::format("Linux {} has it; {}", need.since, need.found);
}

std::string needs(const Diagnosis& diagnosis, std::size_t columns) {
  std::string text;
  std::string_view group;
  for (const Need& need : diagnosis.needs) {
    if (need.group != group) text += fmt::format("\n{}\n", group = need.group);
    text += row(mark_of(need), need.name, text_of(need), columns);
  }
  return text;
}

std::string findings(const Diagnosis& diagnosis, std::size_t columns) {
  if (diagnosis.findings.empty()) return "";
  std::string text = "\nfindings\n";
  for (const FindingProspect& finding : diagnosis.findings)
    text += row(to_string(finding.left), finding.finding, fmt::format("{}", fmt::join(finding.reasons, "; ")), columns);
  return text;
}

std::string self_test_rows(const util::Result<SelfTest>& result, std::size_t columns) {
  std::string text = "\nself-test\n";
  if (!result) return text + row("failed", "a reset on loopback", result.error().what, columns);
  text += row("ok", "every hook attached", fmt::format("in {}", util::human(result->attached)), columns);
  return text + row("ok", fmt::format("a reset on 127.0.0.1:{}", result->port),
                    fmt::format("its record was here after {}", util::human(result->told)), columns);
}

std::string advice(const Diagnosis& diagnosis, const SelfTestResult& self_test, std::size_t columns) {
  std::vector<std::string> lines = diagnosis.advice;
  const bool failed = self_test && !*self_test;
  if (failed && !self_test->error().hint.empty()) lines.push_back(self_test->error().hint);
  if (lines.empty()) return "";
  std::string text = "\nadvice\n";
  for (const std::string& line : lines) text += sink::paragraph(line, {"  ", 2, 4, columns});
  return text;
}

std::string verdict(const Diagnosis& diagnosis, bool failed) {
  const auto& all = diagnosis.findings;
  const auto full =
      std::count_if(all.begin(), all.end(), [](const FindingProspect& f) { return f.left == kernel::Left::all; });
  if (failed || diagnosis.verdict == Verdict::cannot_run) return "tcpwhy cannot run here as it was called.\n";
  if (diagnosis.verdict == Verdict::all) return fmt::format("All {} findings work here.\n", all.size());
  return fmt::format("{} of {} findings work here in full.\n", full, all.size());
}

}  // namespace

std::string as_text(const Diagnosis& diagnosis, const SelfTestResult& self_test, std::size_t columns) {
  const host::Surroundings& host = diagnosis.surroundings;
  std::string text = fmt::format("tcpwhy {} on Linux {} ({})\n", util::version(), host.release, host.machine);
  text += needs(diagnosis, columns) + findings(diagnosis, columns);
  if (self_test) text += self_test_rows(*self_test, columns);
  return text + advice(diagnosis, self_test, columns) + '\n' + verdict(diagnosis, self_test && !*self_test);
}

}  // namespace tcpwhy::doctor
