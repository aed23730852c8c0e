// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/flight.h"

#include <gtest/gtest.h>

#include "tests/unit/recording/sample.h"

namespace tcpwhy::recording {
namespace {

using namespace std::chrono_literals;

class FlightTest : public testing::Test {
 protected:
  std::unique_ptr<Recorder> open(FlightOptions options = {}) {
    options.folder = folder_ / ".";
    options.may_wait = true;
    auto recorder = open_flight_recorder(options, meta());
    EXPECT_TRUE(recorder);
    return std::move(*recorder);
  }
  // Ticks of so many seconds, with an event each 100 ms, from `now` on; the first make the start.
  void fly(Recorder& recorder, util::Duration time) {
    Bytes records;
    if (now_ == 0) {
      tw_seed_end end{};
      end.initial = 1;
      add(records, end, TW_KIND_SEED_END, now_ = 1'000'000'000);
    }
    for (auto left = time; left > 0s; left -= 100ms) {
      tw_state state{};
      state.socket.id = ++id_;
      state.to = 1;
      add(records, state, TW_KIND_STATE, now_);
      add(records, tw_tick{}, TW_KIND_TICK, now_ += 100'000'000);
    }
    for_each_record(records, [&](View record) { recorder.record(record); });
  }
  // Of all outcomes, how many files are whole.
  static std::size_t saved(Recorder& recorder) {
    std::size_t whole = 0;
    while (const auto outcome = recorder.take_outcome()) whole += outcome->has_value();
    return whole;
  }
  static std::size_t events(const std::string& path) { return content_of(read_all(path)).records.size() / kEach; }

  static constexpr std::size_t kEach = sizeof(tw_state) + sizeof(tw_tick);
  Folder folder_;
  std::uint64_t now_ = 0;
  std::uint64_t id_ = 0;
};

TEST_F(FlightTest, SavesTheWindowAndWhatFollows) {
  FlightOptions options;
  options.window = 10s;
  options.after = 5s;
  auto recorder = open(options);
  fly(*recorder, 60s);
  const std::string path = recorder->save("asked", true);
  fly(*recorder, 60s);
  ASSERT_TRUE(recorder->finish(0));
  const Content content = content_of(read_all(path));
  EXPECT_TRUE(content.problems.empty());
  EXPECT_TRUE(content.end);
  EXPECT_NEAR(static_cast<double>(events(path)), 150, 15);
  EXPECT_NE(path.find("tcpwhy-db-1-2026"), std::string::npos) << path;
  EXPECT_NE(path.find("-asked.tcpwhy"), std::string::npos);
}

TEST_F(FlightTest, ByItselfItSavesOncePerInterval) {
  FlightOptions options;
  options.interval = 1min;
  options.after = 1s;
  auto recorder = open(options);
  fly(*recorder, 2s);
  EXPECT_NE(recorder->save("reset", false), "");
  fly(*recorder, 30s);
  EXPECT_EQ(recorder->save("reset", false), "");
  ASSERT_TRUE(recorder->finish(0));
  EXPECT_EQ(saved(*recorder), 1U);
}

TEST_F(FlightTest, AskedAgainItGoesOnForLonger) {
  FlightOptions options;
  options.after = 10s;
  auto recorder = open(options);
  fly(*recorder, 5s);
  const std::string path = recorder->save("asked", true);
  fly(*recorder, 5s);
  EXPECT_EQ(recorder->save("asked", true), "");
  fly(*recorder, 30s);
  ASSERT_TRUE(recorder->finish(0));
  EXPECT_EQ(saved(*recorder), 1U);
  EXPECT_NEAR(static_cast<double>(events(path)), 200, 15);
}

TEST_F(FlightTest, MemoryIsBounded) {
  FlightOptions options;
  options.window = 10h;
  options.most_bytes = 20'000;
  options.after = 1s;
  auto recorder = open(options);
  fly(*recorder, 600s);
  const std::string path = recorder->save("asked", true);
  ASSERT_TRUE(recorder->finish(0));
  EXPECT_LT(std::filesystem::file_size(path), 40'000U);
  EXPECT_GT(events(path), 100U);
  EXPECT_LT(events(path), 5000U);
}

// What began before the window: a listener that came, one that went.
TEST_F(FlightTest, AFileBeginsWithTheListenersOfItsTime) {
  FlightOptions options;
  options.window = 5s;
  auto recorder = open(options);
  fly(*recorder, 1s);
  Bytes records;
  tw_state state{};
  state.socket.id = 7777;
  state.from = 7;
  state.to = 10;
  add(records, state, TW_KIND_STATE, now_);
  for_each_record(records, [&](View record) { recorder->record(record); });
  fly(*recorder, 60s);
  const std::string path = recorder->save("asked", true);
  ASSERT_TRUE(recorder->finish(0));
  std::size_t found = 0;
  for_each_record(content_of(read_all(path)).records, [&](View record) {
    found += record.size() == records.size() && std::equal(record.begin(), record.end(), records.begin());
  });
  EXPECT_EQ(found, 1U);
}

// It goes on: the next save may find room.
TEST_F(FlightTest, ASaveThatFailsIsSaidAndNoMore) {
  auto recorder = open();
  fly(*recorder, 2s);
  const std::filesystem::path folder = std::filesystem::path{folder_ / "x"}.parent_path();
  std::filesystem::remove(folder);
  EXPECT_NE(recorder->save("asked", true), "");
  auto outcome = recorder->take_outcome();
  for (int tries = 0; !outcome && tries < 10'000; ++tries, outcome = recorder->take_outcome()) ::usleep(1000);
  ASSERT_TRUE(outcome && !outcome->has_value());
  EXPECT_EQ(outcome->error().code, ENOENT);
  std::filesystem::create_directory(folder);
  fly(*recorder, 1s);
  const std::string path = recorder->save("later", true);
  ASSERT_TRUE(recorder->finish(0));
  EXPECT_EQ(saved(*recorder), 1U);
  EXPECT_TRUE(content_of(read_all(path)).end);
}

TEST_F(FlightTest, AFolderThatIsNotThereIsSaid) {
  FlightOptions options;
  options.folder = folder_ / "none";
  const auto recorder = open_flight_recorder(options, meta());
  ASSERT_FALSE(recorder);
  EXPECT_NE(recorder.error().hint.find("folder"), std::string::npos);
}

}  // namespace
}  // namespace tcpwhy::recording
