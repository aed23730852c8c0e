// SPDX-License-Identifier: GPL-2.0-only
// Recorder and reader: what goes in comes out, and damage is said.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <thread>

#include "tests/unit/recording/sample.h"

namespace tcpwhy::recording {
namespace {

using testing::HasSubstr;

class Recording : public testing::Test {
 protected:
  Bytes recorded(View records, const RecorderOptions& options = {}) {
    record_all(folder_ / "file", records, options);
    return read_all(folder_ / "file");
  }
  Folder folder_;
};

TEST_F(Recording, WhatGoesInComesOut) {
  const Bytes records = busy(3000);
  const Content content = content_of(recorded(records));
  EXPECT_EQ(content.records, records);
  EXPECT_TRUE(content.problems.empty()) << content.problems.front();
  ASSERT_TRUE(content.end);
  EXPECT_EQ(content.end->connections, 17U);
  EXPECT_EQ(content.lost, 0U);
}

TEST_F(Recording, IsForItsOwnerOnlyAndIsNotOverwritten) {
  recorded(busy(1));
  struct stat status {};
  ASSERT_EQ(::stat((folder_ / "file").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  const auto again = Recorder::open({.path = folder_ / "file"}, meta());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, EEXIST);
  EXPECT_THAT(again.error().hint, HasSubstr("--force"));
  EXPECT_TRUE(Recorder::open({.path = folder_ / "file", .overwrite = true}, meta()));
}

TEST_F(Recording, APlaceThatIsNotThereIsSaid) {
  const auto recorder = Recorder::open({.path = folder_ / "no/file"}, meta());
  ASSERT_FALSE(recorder);
  EXPECT_THAT(recorder.error().hint, HasSubstr("folder"));
}

TEST_F(Recording, AFullDiskEndsItAndIsSaid) {
  auto recorder = Recorder::open({.path = "/dev/full", .overwrite = true}, meta());
  ASSERT_FALSE(recorder);
  EXPECT_EQ(recorder.error().code, ENOSPC);
}

TEST_F(Recording, EveryPrefixGivesWhatIsInItAndSaysThatItIsCut) {
  const Bytes records = busy(60);
  const Bytes file = recorded(records);
  for (std::size_t length = 0; length < file.size(); ++length) {
    const Content content = content_of({file.begin(), file.begin() + static_cast<std::ptrdiff_t>(length)});
    if (!content.opened) continue;
    EXPECT_FALSE(content.problems.empty()) << length;
    ASSERT_LE(content.records.size(), records.size());
    EXPECT_TRUE(std::equal(content.records.begin(), content.records.end(), records.begin())) << length;
  }
}

TEST_F(Recording, EveryFlippedBitIsFoundOrHarmless) {
  const Bytes records = busy(25);
  const Bytes file = recorded(records);
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    Bytes damaged = file;
    damaged[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    const Content content = content_of(std::move(damaged));
    EXPECT_TRUE(!content.opened || !content.problems.empty() || content.records == records) << "bit " << bit;
  }
}

// The disk stands still: what is read from this pipe, nobody reads before all is lost that can be.
TEST_F(Recording, WhatFindsNoRoomIsCountedInTheStream) {
  const Bytes records = busy(40'000);
  std::size_t each_time = 0;
  for_each_record(records, [&](View) { each_time += 1; });
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  auto recorder = Recorder::open({.path = "/proc/self/fd/" + std::to_string(ends[1]), .overwrite = true}, meta());
  ASSERT_TRUE(recorder) << recorder.error().what;
  ::close(ends[1]);
  std::size_t given = 0;
  for (int times = 0; (*recorder)->lost() == 0 && times < 100; ++times, given += each_time)
    for_each_record(records, [&](View record) { (*recorder)->record(record); });
  Bytes file;
  std::thread disk{[&] {
    std::array<std::byte, 65536> part;
    for (ssize_t got = 0; (got = ::read(ends[0], part.data(), part.size())) > 0;)
      file.insert(file.end(), part.begin(), part.begin() + got);
  }};
  const auto status = (*recorder)->finish(0);
  disk.join();
  ::close(ends[0]);
  ASSERT_TRUE(status) << status.error().what;
  const Content content = content_of(std::move(file));
  std::size_t kept = 0;
  for_each_record(content.records, [&](View) { kept += 1; });
  EXPECT_GT((*recorder)->lost(), 0U);
  // Every record is in the file or in a count.
  EXPECT_EQ(kept + (*recorder)->lost(), given);
  ASSERT_TRUE(content.end);
  EXPECT_EQ(content.end->recorder_lost, (*recorder)->lost());
  EXPECT_LE(content.lost, (*recorder)->lost());  // what was lost last has no chunk behind it
}

TEST_F(Recording, ADamagedChunkIsSkippedCountedAndTheRestIsRead) {
  const Bytes records = busy(20'000);
  Bytes file = recorded(records);
  file[file.size() / 2] ^= std::byte{1};
  const Content content = content_of(file);
  ASSERT_EQ(content.problems.size(), 1U);
  EXPECT_THAT(content.problems.front(), HasSubstr("checksum"));
  EXPECT_GT(content.lost, 0U);
  EXPECT_LT(content.records.size(), records.size());
  EXPECT_GT(content.records.size(), records.size() / 4);
  EXPECT_TRUE(content.end);
}

TEST_F(Recording, RandomDamageNeverBreaksTheReader) {
  const Bytes file = recorded(busy(500));
  std::mt19937 random{3};
  for (int i = 0; i < 300; ++i) {
    Bytes damaged = file;
    const std::size_t at = random() % damaged.size();
    const std::size_t length = std::min<std::size_t>(random() % 300, damaged.size() - at);
    const auto begin = damaged.begin() + static_cast<std::ptrdiff_t>(at);
    if (i % 3 == 0) damaged.erase(begin, begin + static_cast<std::ptrdiff_t>(length));
    if (i % 3 == 1) damaged.insert(begin, length, std::byte{0x54});
    if (i % 3 == 2) std::generate_n(begin, length, [&] { return static_cast<std::byte>(random()); });
    // Whatever it gives are records.
    EXPECT_TRUE(for_each_record(content_of(std::move(damaged)).records, [](View) {})) << i;
  }
}

// A chunk put before INDEX.
Bytes with_chunk(const Bytes& file, std::uint16_t type, std::uint16_t flags) {
  const Bytes payload(5);
  ChunkHeader header;
  header.type = type;
  header.flags = flags;
  header.stored = header.unpacked = header.raw = 5;
  header.payload_crc = crc32_of(payload);
  Bytes chunk;
  put_chunk_header(chunk, header);
  chunk.insert(chunk.end(), payload.begin(), payload.end());
  const std::size_t at = get<std::uint64_t>(View{file}.subspan(file.size() - kTrailerBytes));
  Bytes out = file;
  out.insert(out.begin() + static_cast<std::ptrdiff_t>(at), chunk.begin(), chunk.end());
  return out;
}

TEST_F(Recording, AnUnknownChunkIsSkippedUnlessItIsRequired) {
  const Bytes records = busy(10);
  const Bytes file = recorded(records);
  const Content skipped = content_of(with_chunk(file, 77, 0));
  EXPECT_EQ(skipped.records, records);
  EXPECT_TRUE(skipped.problems.empty());
  const Content required = content_of(with_chunk(file, 77, kRequired));
  EXPECT_EQ(required.records, records);
  ASSERT_EQ(required.problems.size(), 1U);
  EXPECT_THAT(required.problems.front(), HasSubstr("unknown type 77"));
}

TEST_F(Recording, ALaterFormatIsRefused) {
  Bytes file = recorded(busy(1));
  file[8] = std::byte{kFormat + 1};
  const std::uint32_t crc = crc32_of(View{file}.first(12));
  for (std::size_t i = 0; i < 4; ++i) file[12 + i] = static_cast<std::byte>(crc >> (8 * i));
  const auto reader = Reader::of(file, "file");
  ASSERT_FALSE(reader);
  EXPECT_THAT(reader.error().what, HasSubstr("format " + std::to_string(kFormat + 1)));
}

TEST_F(Recording, WhatIsNoRecordingIsSaid) {
  for (const char* text :
       {"", "hello", "a text that is long enough to hold a file header and a chunk header as well, it is"}) {
    const auto bytes = std::as_bytes(std::span{text, std::strlen(text)});
    const auto reader = Reader::of({bytes.begin(), bytes.end()}, "notes.txt");
    ASSERT_FALSE(reader);
    EXPECT_THAT(reader.error().what, HasSubstr("notes.txt is no recording"));
  }
  EXPECT_FALSE(Reader::open(folder_ / "none"));
}

TEST_F(Recording, PiecesAreReadAloneAndTogether) {
  const Bytes records = busy(40'000);
  RecorderOptions options;
  options.piece_bytes = 200'000;
  recorded(records, options);
  Bytes together;
  std::uint32_t pieces = 0;
  for (std::string path = folder_ / "file"; std::filesystem::exists(path);
       path = (folder_ / "file") + "." + std::to_string(pieces + 1)) {
    auto reader = Reader::open(path);
    ASSERT_TRUE(reader) << reader.error().what;
    EXPECT_EQ((*reader)->meta().piece, ++pieces);
    bool seed = false;
    while (const auto block = (*reader)->next()) {
      seed = seed || block->type == ChunkType::seed;
      if (block->type == ChunkType::events || pieces == 1)
        together.insert(together.end(), block->records.begin(), block->records.end());
    }
    EXPECT_TRUE(seed) << path;
    EXPECT_TRUE((*reader)->problems().empty());
  }
  EXPECT_GT(pieces, 3U);
  EXPECT_EQ(together, records);
}

TEST_F(Recording, OldPiecesAreRemoved) {
  RecorderOptions options;
  options.piece_bytes = 100'000;
  options.most_pieces = 2;
  recorded(busy(40'000), options);
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path{folder_ / "file"}.parent_path()))
    files += entry.is_regular_file();
  EXPECT_EQ(files, 2U);
}

TEST_F(Recording, WhatEndsBeforeATimeIsLeftOut) {
  const Bytes records = busy(20'000);
  const Bytes file = recorded(records);
  auto reader = Reader::of(file, "file");
  ASSERT_TRUE(reader);
  const std::uint64_t middle = 1'000'000'000 + 800 * 100'000'000ULL;
  (*reader)->skip_until(middle);
  std::uint64_t before = 0, first = 0;
  while (const auto block = (*reader)->next()) {
    if (block->type == ChunkType::events && first == 0) first = block->time_ns;
    before += block->records.size();
  }
  EXPECT_LT(before, records.size());
  EXPECT_GT(first, 1'000'000'000U);
  EXPECT_LE(first, middle);
  EXPECT_TRUE((*reader)->problems().empty());
}

}  // namespace
}  // namespace tcpwhy::recording
