// SPDX-License-Identifier: GPL-2.0-only
// A finding is its file, a line in the registry, a test and a page: one without the other fails.
// Runs in the root of the source tree.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "user/detect/catalogue.h"
#include "user/detect/detectors.h"

namespace tcpwhy::detect {
namespace {

namespace fs = std::filesystem;

std::vector<std::unique_ptr<core::Detector>> all() { return make_all(Thresholds{{}}); }

// Causes of the contract that the facts of this version do not tell apart from others.
const std::set<std::string_view> kNeverRaised{"peer-gone", "orphan-limit"};

std::string with_underscores(std::string_view slug) {
  std::string name{slug};
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::string read(const fs::path& path) {
  std::ifstream file{path};
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Registry, EveryDetectorIsInTheCatalogueOnce) {
  std::set<std::string_view> slugs;
  for (const auto& detector : all()) {
    EXPECT_TRUE(find_in_catalogue(detector->slug())) << detector->slug();
    EXPECT_TRUE(slugs.insert(detector->slug()).second) << detector->slug() << " is there twice";
  }
}

TEST(Registry, EveryDetectorHasItsFileAndItsTest) {
  for (const auto& detector : all()) {
    const std::string name = with_underscores(detector->slug());
    EXPECT_TRUE(fs::exists(fs::path{"user/detect"} / (name + ".cpp"))) << name;
    EXPECT_TRUE(fs::exists(fs::path{"tests/detect"} / (name + "_test.cpp"))) << name;
  }
}

TEST(Registry, EveryDetectorHasItsPage) {
  for (const auto& detector : all()) {
    const fs::path page = fs::path{"doc/findings"} / (std::string{detector->slug()} + ".md");
    EXPECT_TRUE(fs::exists(page)) << page;
    const std::string text = read(page);
    for (const std::string_view cause : find_in_catalogue(detector->slug())->causes)
      EXPECT_TRUE(kNeverRaised.contains(cause) || text.find(cause) != std::string::npos)
          << page << " does not explain " << cause;
  }
}

TEST(Registry, EveryPageAndEveryTestIsOfAFindingOfTheContract) {
  for (const auto& entry : fs::directory_iterator{"doc/findings"}) {
    if (entry.path().extension() != ".md" || entry.path().stem() == "README") continue;
    EXPECT_TRUE(find_in_catalogue(entry.path().stem().string())) << entry.path();
  }
}

TEST(Registry, EveryDetectorCanBeSwitchedOff) {
  for (const FindingSpec& row : catalogue()) {
    const auto detectors = make_all(Thresholds{{{std::string{row.slug}, std::nullopt}}});
    EXPECT_TRUE(std::none_of(detectors.begin(), detectors.end(), [&](const auto& d) { return d->slug() == row.slug; }))
        << row.slug;
  }
}

TEST(Registry, RanksAreUniqueSoThatAStoryHasOneOrder) {
  std::set<int> ranks;
  for (const auto& detector : all()) EXPECT_TRUE(ranks.insert(detector->rank()).second) << detector->slug();
}

TEST(Registry, WhatIsOverInAnInstantIsWhatTheContractSays) {
  const std::set<std::string_view> instant{"reset", "connect-refused", "connect-timeout", "closed-mid-request",
                                           "timed-out"};
  for (const auto& detector : all())
    EXPECT_EQ(detector->instant(), instant.contains(detector->slug())) << detector->slug();
}

TEST(Registry, WhatIsOffButForOnePortIsStillLookedFor) {
  Thresholds thresholds;
  thresholds["stall-unacked"] = std::nullopt;
  thresholds["reset"] = std::nullopt;
  thresholds.ports[5432] = {{"stall-unacked", std::chrono::seconds{30}}, {"reset", std::nullopt}};
  const auto detectors = make_all(thresholds);
  const auto is_there = [&](std::string_view slug) {
    return std::any_of(detectors.begin(), detectors.end(), [slug](const auto& d) { return d->slug() == slug; });
  };
  EXPECT_TRUE(is_there("stall-unacked"));
  EXPECT_FALSE(is_there("reset"));
}

}  // namespace
}  // namespace tcpwhy::detect
