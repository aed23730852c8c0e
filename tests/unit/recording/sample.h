// SPDX-License-Identifier: GPL-2.0-only
// Records to record, and a folder to record into.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>

#include "bpf/tcpwhy_abi.h"
#include "user/recording/meta.h"
#include "user/recording/reader.h"
#include "user/recording/recorder.h"

namespace tcpwhy::recording {

// A folder of its own for each test, removed with it.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "tcpwhy-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

template <typename Record>
void add(Bytes& out, Record record, std::uint16_t kind, std::uint64_t time_ns) {
  record.header.time_ns = time_ns;
  record.header.kind = kind;
  record.header.size = sizeof(Record);
  const auto bytes = std::as_bytes(std::span{&record, 1});
  out.insert(out.end(), bytes.begin(), bytes.end());
}

// The lives of so many connections, interleaved, and ticks; times may go back a little, as on several CPUs.
inline Bytes busy(std::size_t connections, std::uint32_t seed = 1) {
  std::mt19937 random{seed};
  Bytes out;
  tw_seed_end end{};
  end.initial = 1;
  add(out, end, TW_KIND_SEED_END, 1'000'000'000);
  std::uint64_t now = 1'000'000'000;
  for (std::size_t i = 0; i < connections * 4; ++i) {
    now += random() % 50'000;
    const std::uint64_t id = 1 + random() % connections;
    if (i % 3 == 0) {
      tw_state state{};
      state.socket.id = id;
      state.socket.snd_nxt = static_cast<__u32>(random());
      state.socket.tuple.local_port = static_cast<__u16>(id);
      state.to = static_cast<__u8>(1 + random() % 11);
      add(out, state, TW_KIND_STATE, now - random() % 1000);
    } else {
      tw_transition transition{};
      transition.id = id;
      transition.tuple.local_port = static_cast<__u16>(id);
      transition.to = static_cast<__u8>(1 + random() % 11);
      add(out, transition, TW_KIND_TRANSITION, now);
    }
    if (i % 50 == 49) add(out, tw_tick{}, TW_KIND_TICK, now += 100'000'000);
  }
  return out;
}

inline Meta meta() {
  Meta meta;
  meta.settings.identity = {"db-1", "4dcd4061-1111", util::WallOffset{1'772'366'400'000'000'000}, 7};
  meta.settings.names.drop_reasons = {{6, "SOCKET_FILTER"}, {12, "NETFILTER_DROP"}};
  meta.tool = "0.1.0";
  meta.kernel = "6.18";
  return meta;
}

inline Bytes read_all(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  const auto bytes = std::as_bytes(std::span{text.data(), text.size()});
  return {bytes.begin(), bytes.end()};
}

inline void record_all(const std::string& path, View records, RecorderOptions options = {}) {
  options.path = path;
  options.may_wait = true;
  auto recorder = Recorder::open(options, meta());
  ASSERT_TRUE(recorder) << recorder.error().what;
  for_each_record(records, [&](View record) { (*recorder)->record(record); });
  const auto status = (*recorder)->finish(17);
  ASSERT_TRUE(status) << status.error().what;
  EXPECT_EQ((*recorder)->lost(), 0U);
}

// What a recording gives, with what it says of its damage.
struct Content {
  Bytes records;
  std::vector<std::string> problems;
  std::uint64_t lost = 0;
  std::optional<End> end;
  bool opened = false;
};
inline Content content_of(Bytes file) {
  Content content;
  auto reader = Reader::of(std::move(file), "file");
  if (!reader) return content;
  content.opened = true;
  while (const auto block = (*reader)->next()) {
    content.records.insert(content.records.end(), block->records.begin(), block->records.end());
    content.lost += block->lost_before;
  }
  content.problems = (*reader)->problems();
  content.end = (*reader)->end();
  return content;
}

}  // namespace tcpwhy::recording
