// SPDX-License-Identifier: GPL-2.0-only
#include "user/sink/problems.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/sink/samples.h"
#include "user/sink/verdict.h"

namespace tcpwhy::sink {
namespace {

using core::Severity;
using testing::ElementsAre;

core::Finding finding(std::uint64_t id, Severity severity, std::uint64_t story = 0) {
  core::Finding f = sample_root();
  f.id = id;
  f.story = story == 0 ? id : story;
  f.role = f.story == id ? core::StoryRole::root : core::StoryRole::symptom;
  f.severity = severity;
  return f;
}

std::vector<std::uint64_t> ids(const Problems& problems) {
  std::vector<std::uint64_t> all;
  for (const Problem* problem : problems.in_order()) all.push_back(problem->last.id);
  return all;
}

TEST(Problems, WorstStoryFirstAndItsRootFirst) {
  Problems problems;
  problems.on({finding(1, Severity::warning), finding(2, Severity::info)});
  problems.on({finding(3, Severity::critical, 5), finding(4, Severity::warning, 5), finding(5, Severity::warning)});
  EXPECT_THAT(ids(problems), ElementsAre(5, 3, 4, 1, 2));
}

TEST(Problems, TheLastWordCountsOnce) {
  Problems problems;
  problems.on({finding(1, Severity::warning)});
  EXPECT_EQ(problems.worst(), Severity::warning);
  problems.on({finding(1, Severity::critical)});
  EXPECT_EQ(problems.count(Severity::warning), 0U);
  EXPECT_EQ(problems.count(Severity::critical), 1U);
  EXPECT_EQ(problems.worst(), Severity::critical);
  EXPECT_EQ(Problems{}.worst(), std::nullopt);
}

TEST(Problems, AnEndIsToldInTheWordsOfTheWorst) {
  core::Finding many = finding(1, Severity::warning);
  many.count = 41;
  many.cause = "accept-queue-full";
  many.words.summary = "41 wait";
  core::Finding end = many;
  end.count = 1;
  end.cause = "unknown";
  end.words.summary = "1 waits";
  end.phase = core::Phase::closed;
  end.ended = core::Ended::reset;
  Problems problems;
  problems.on({many});
  problems.on({end});
  const Problem& problem = *problems.in_order().front();
  EXPECT_EQ(problem.told.words.summary, "41 wait");
  EXPECT_EQ(problem.told.cause, "accept-queue-full");
  EXPECT_TRUE(is_over(problem.told));
  EXPECT_EQ(problem.last.cause, "unknown");
}

TEST(Problems, OfTooManyTheMildestAreOnlyCounted) {
  Problems problems{2};
  problems.on({finding(1, Severity::warning), finding(2, Severity::info), finding(3, Severity::info),
               finding(4, Severity::critical)});
  EXPECT_THAT(ids(problems), ElementsAre(4, 1));
  EXPECT_EQ(problems.only_counted(), 2U);
  EXPECT_EQ(problems.count(Severity::info), 2U);
  problems.on({finding(2, Severity::critical)});  // an update of one that is not kept
  EXPECT_EQ(problems.count(Severity::critical), 2U);
}

TEST(Verdict, ACriticalFindingIsCriticalWhateverWasMissed) {
  Problems problems;
  problems.on({finding(1, Severity::critical)});
  EXPECT_EQ(judge(problems, Severity::warning, {}), Health::critical);
  EXPECT_EQ(judge(problems, Severity::critical, {"events were lost"}), Health::critical);
}

TEST(Verdict, ADoubtIsUnknownWhereNothingIsCritical) {
  Problems problems;
  EXPECT_EQ(judge(problems, Severity::warning, {}), Health::ok);
  EXPECT_EQ(judge(problems, Severity::warning, {"events were lost"}), Health::unknown);
  problems.on({finding(1, Severity::warning)});
  EXPECT_EQ(judge(problems, Severity::warning, {"events were lost"}), Health::unknown);
}

TEST(Verdict, WarningsAsOneLikes) {
  Problems problems;
  problems.on({finding(1, Severity::info)});
  EXPECT_EQ(judge(problems, Severity::warning, {}), Health::ok);
  problems.on({finding(2, Severity::warning)});
  EXPECT_EQ(judge(problems, Severity::warning, {}), Health::warning);
  EXPECT_EQ(judge(problems, Severity::critical, {}), Health::ok);
}

}  // namespace
}  // namespace tcpwhy::sink
