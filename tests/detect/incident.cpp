// SPDX-License-Identifier: GPL-2.0-only
#include "tests/detect/incident.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "user/abi/header.h"
#include "user/detect/detectors.h"
#include "user/recording/reader.h"
#include "user/recording/recorder.h"
#include "user/source/script.h"

namespace tcpwhy::detect {
namespace {

std::string culprit_words(const core::Culprit& c) {
  if (c.process) return core::name_of(*c.process);
  if (c.remote) return fmt::format("{} {}", core::to_string(c.kind), util::to_string(*c.remote));
  return std::string{core::to_string(c.kind)};
}

std::string value_words(const core::EvidenceValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return "a list";
}

using Records = std::vector<std::vector<std::byte>>;

// The same records out of a recording of them.
Records replayed(const Records& records) {
  const std::string path = testing::TempDir() + "tcpwhy-replayed-" + std::to_string(::getpid());
  Records out;
  auto recorder = recording::Recorder::open({.path = path, .overwrite = true, .may_wait = true}, {});
  if (!recorder) return ADD_FAILURE() << recorder.error().what, out;
  for (const auto& record : records) (*recorder)->record(record);
  EXPECT_TRUE((*recorder)->finish(0));
  auto reader = recording::Reader::open(path);
  if (!reader) return ADD_FAILURE() << reader.error().what, out;
  while (const auto block = (*reader)->next())
    recording::for_each_record(block->records, [&out](recording::View r) { out.emplace_back(r.begin(), r.end()); });
  EXPECT_TRUE((*reader)->problems().empty());
  ::unlink(path.c_str());
  return out;
}

// Longer than two lines of a script are apart, shorter than anything that a detector measures.
constexpr std::uint64_t kDisorderNs = 200'000;

Records disordered(Records records) {
  for (std::size_t i = 1; i < records.size(); i += 2) {
    std::uint64_t time_ns = abi::peek_header(records[i])->time_ns - kDisorderNs;
    std::memcpy(records[i].data(), &time_ns, sizeof time_ns);  // the first of the header
  }
  return records;
}

}  // namespace

std::vector<core::Finding> Told::of(std::string_view slug) const {
  std::vector<core::Finding> result;
  std::copy_if(lines.begin(), lines.end(), std::back_inserter(result), [&](const auto& f) { return f.slug == slug; });
  return result;
}

std::string Told::phases(std::string_view slug) const {
  std::string result;
  for (const core::Finding& f : of(slug)) result += (result.empty() ? "" : " ") + std::string{core::to_string(f.phase)};
  return result;
}

core::Finding Told::first(std::string_view slug) const {
  const auto all = of(slug);
  if (!all.empty()) return all.front();
  ADD_FAILURE() << "nothing was told of " << slug << ", only of: " << slugs();
  return {};
}

core::Finding Told::last(std::string_view slug) const {
  const auto all = of(slug);
  if (!all.empty()) return all.back();
  ADD_FAILURE() << "nothing was told of " << slug << ", only of: " << slugs();
  return {};
}

std::string Told::slugs() const {
  std::vector<std::string_view> seen;
  for (const core::Finding& f : lines)
    if (std::find(seen.begin(), seen.end(), f.slug) == seen.end()) seen.push_back(f.slug);
  return fmt::format("{}", fmt::join(seen, " "));
}

Told tell(std::string_view text, const Setting& setting) {
  Told told;
  const auto script = source::parse_script(text, {setting.ordinary});
  if (!script) {
    ADD_FAILURE() << "the script is wrong: " << script.error().what;
    return told;
  }
  core::Settings settings = setting.settings;
  settings.names = source::script_names();
  if (setting.old_kernel) settings.names.reset_reasons.clear();
  if (setting.blind) settings.names.drop_reasons.clear();
  auto detectors = make_all(Thresholds{settings.thresholds});
  if (setting.shuffle) std::shuffle(detectors.begin(), detectors.end(), std::mt19937{setting.shuffle});
  core::Pipeline pipeline{settings,
                          std::move(detectors),
                          {[&told](const std::vector<core::Finding>& lines) {
                             told.lines.insert(told.lines.end(), lines.begin(), lines.end());
                           },
                           {}}};
  Records records = setting.disorder ? disordered(script->records) : script->records;
  if (setting.replayed) records = replayed(records);
  for (const auto& record : records) pipeline.feed(record);
  pipeline.finish();
  told.summary = pipeline.summary();
  EXPECT_EQ(pipeline.unreadable(), 0U);
  return told;
}

std::string each(int count, std::string_view lines, int first_ms, int apart_ms) {
  std::string script;
  for (int i = 0; i < count; ++i) {
    for (std::size_t at = 0; at < lines.size(); ++at) {
      const char which = lines[at] == '%' && at + 1 < lines.size() ? lines[++at] : '\0';
      if (which == 'n') script += std::to_string(i);
      if (which == 'p') script += std::to_string(20000 + i);
      if (which == 't') script += std::to_string(first_ms + apart_ms * i) + "ms";
      if (which == '\0') script += lines[at];
    }
    script += '\n';
  }
  return script;
}

std::string brief(const core::Finding& f) {
  return fmt::format("{} {} {} {}", f.cause, core::to_string(f.severity), core::to_string(f.confidence),
                     culprit_words(f.culprit));
}

std::string ends(const core::Finding& f) {
  if (!f.connection) return "no connection";
  std::string words = util::to_string(f.connection->local);
  if (f.owner) words += " " + core::name_of(*f.owner);
  words += " - " + util::to_string(f.connection->remote);
  if (f.peer && f.peer->owner) words += " " + core::name_of(*f.peer->owner);
  return words;
}

std::string dump(const std::vector<core::Finding>& lines) {
  std::string text;
  for (const core::Finding& f : lines) {
    text += fmt::format("f{} s{} {} {} {} {} [{}] {} {} since {} at {} for {} count {}/{}", f.id, f.story,
                        core::to_string(f.role), f.slug, core::to_string(f.phase), brief(f), ends(f),
                        f.ended ? core::to_string(*f.ended) : "-", f.direction ? core::to_string(*f.direction) : "-",
                        f.since.time_since_epoch().count(), f.time.time_since_epoch().count(), f.duration.count(),
                        f.count, f.count_total);
    if (f.service) text += " service " + util::to_string(*f.service);
    for (const auto& example : f.examples) text += fmt::format(" e{}", example.number);
    for (const auto& [key, value] : f.evidence.entries()) text += fmt::format(" {}={}", key, value_words(value));
    text += fmt::format(" | {} | {} | {} | {} | {}\n", f.words.summary, f.words.cause, f.words.effect, f.words.evidence,
                        fmt::join(f.words.advice, "; "));
  }
  return text;
}

}  // namespace tcpwhy::detect
