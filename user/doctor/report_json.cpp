// SPDX-License-Identifier: GPL-2.0-only
#include <nlohmann/json.hpp>

#include "user/doctor/report.h"
#include "user/util/version.h"

namespace tcpwhy::doctor {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const Need& need) {
  Json object = {{"group", need.group},
                 {"name", need.name},
                 {"state", to_string(need.state)},
                 {"required", need.required},
                 {"found", need.found}};
  if (need.since.empty()) {
    object["since"] = nullptr;
  } else {
    object["since"] = need.since;
  }
  return object;
}

Json json_of(const FindingProspect& finding) {
  return {{"finding", finding.finding},
          {"works", to_string(finding.left)},
          {"reasons", finding.reasons},
          {"without", finding.without}};
}

double ms(util::Duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

Json json_of(const SelfTestResult& result) {
  if (!result) return nullptr;
  if (!*result) return {{"ok", false}, {"error", result->error().what}, {"hint", result->error().hint}};
  const SelfTest& test = **result;
  return {{"ok", true}, {"port", test.port}, {"attached_ms", ms(test.attached)}, {"told_ms", ms(test.told)}};
}

template <typename List>
Json each(const List& list) {
  Json array = Json::array();
  for (const auto& one : list) array.push_back(json_of(one));
  return array;
}

}  // namespace

std::string as_json(const Diagnosis& diagnosis, const SelfTestResult& self_test) {
  const bool failed = self_test && !*self_test;
  const Verdict verdict = failed ? Verdict::cannot_run : diagnosis.verdict;
  const Json object = {{"schema", "tcpwhy.doctor/1"},
                       {"version", util::version()},
                       {"kernel", diagnosis.surroundings.release},
                       {"machine", diagnosis.surroundings.machine},
                       {"verdict", to_string(verdict)},
                       {"needs", each(diagnosis.needs)},
                       {"findings", each(diagnosis.findings)},
                       {"advice", diagnosis.advice},
                       {"self_test", json_of(self_test)}};
  return object.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace tcpwhy::doctor
