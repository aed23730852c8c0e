// SPDX-License-Identifier: GPL-2.0-only
// What kernels offer, and what that leaves of each finding: for doc/kernels.md and the tests of the kernels.
//
//   prospects offers NAME=BTF...    {"5.10": {"tracepoint kfree_skb": true, ...}}, from kernels' types
//   prospects findings <OFFERS      {"5.10": {"findings": {"reset": {"works": "partly", "without": [[ROW, SINCE, WHY]...]}},
//                                   "hooks": [[ROW, SINCE, LOST]...]}} of such an object
//
// Exit codes: 0, 1 with a line on standard error.
#include <iostream>
#include <nlohmann/json.hpp>

#include "user/detect/catalogue.h"
#include "user/doctor/diagnosis.h"
#include "user/kernel/btf.h"
#include "user/kernel/features.h"

namespace {

using Json = nlohmann::ordered_json;
using namespace tcpwhy;

int fail(const std::string& what) {
  std::cerr << "prospects: " << what << '\n';
  return 1;
}

int tell_offers(const std::vector<std::string>& pairs) {
  Json all = Json::object();
  for (const std::string& pair : pairs) {
    const std::size_t at = pair.find('=');
    const auto btf = kernel::Btf::open(at == std::string::npos ? pair : pair.substr(at + 1));
    if (!btf) return fail(pair + ": " + btf.error().what);
    Json& one = all[pair.substr(0, at)] = Json::object();
    const kernel::Survey survey{*btf};
    for (const kernel::Offer& offer : survey.offers()) one[kernel::describe(offer.feature)] = offer.present;
  }
  std::cout << all.dump(2) << '\n';
  return 0;
}

Json findings_of(const kernel::Survey& survey) {
  Json all = Json::object();
  for (const detect::FindingSpec& row : detect::catalogue()) {
    const kernel::Prospect prospect = kernel::prospect_of(row.slug, survey);
    Json without = Json::array();
    for (const kernel::Prospect::Blame& blame : prospect.blames)
      without.push_back(
          {kernel::describe(blame.feature), std::string{blame.feature.since}, std::string{blame.loss.why}});
    all[std::string{row.slug}] = {{"works", std::string{doctor::to_string(prospect.left)}}, {"without", without}};
  }
  return all;
}

int tell_findings() {
  const Json offers = Json::parse(std::cin, nullptr, false);
  if (!offers.is_object()) return fail("standard input is no JSON object");
  Json all = Json::object();
  for (const auto& [name, has] : offers.items()) {
    for (const kernel::Feature& feature : kernel::features())
      if (!has.contains(kernel::describe(feature)))
        return fail(name + " says nothing of " + kernel::describe(feature) +
                    ": /usr/bin/python3 -m pytest tests/kernels -k offers --update-offers");
    const kernel::Survey survey{
        [&has = has](const kernel::Feature& feature) { return has[kernel::describe(feature)] == true; }};
    Json hooks = Json::array();
    for (const kernel::Offer& offer : survey.offers())
      hooks.push_back(
          {kernel::describe(offer.feature), std::string{offer.feature.since}, std::string{offer.feature.lost}});
    all[name] = {{"findings", findings_of(survey)}, {"hooks", hooks}};
  }
  std::cout << all.dump() << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words{argv + 1, argv + argc};
  if (words.size() > 1 && words[0] == "offers") return tell_offers({words.begin() + 1, words.end()});
  if (words.size() == 1 && words[0] == "findings") return tell_findings();
  return fail("usage: prospects offers NAME=BTF..., or prospects findings <OFFERS");
}
