// SPDX-License-Identifier: GPL-2.0-only
// The INDEX, and a reader that goes where it says.
#include "user/recording/index.h"

#include <gtest/gtest.h>

#include "tests/unit/recording/sample.h"

namespace tcpwhy::recording {
namespace {

constexpr std::uint64_t kStep = 2'000'000'000;

class Seeking : public testing::Test {
 protected:
  Seeking() { record_all(folder_ / "file", records_); }
  [[nodiscard]] Bytes file() const { return read_all(folder_ / "file"); }

  // What is given from this time on, by way of a file or of memory.
  Bytes since(const Bytes& bytes, std::uint64_t time_ns, bool from_disk) {
    {
      std::ofstream out{folder_ / "copy", std::ios::binary};
      out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    auto reader = from_disk ? Reader::open(folder_ / "copy") : Reader::of(bytes, "file");
    EXPECT_TRUE(reader);
    if (!reader) return {};
    (*reader)->skip_until(time_ns);
    Bytes given;
    while (const auto block = (*reader)->next())
      given.insert(given.end(), block->records.begin(), block->records.end());
    problems_ = (*reader)->problems();
    ended_ = (*reader)->end().has_value();
    return given;
  }
  // Where INDEX is.
  static std::size_t index_at(const Bytes& file) { return get<std::uint64_t>(View{file}.last(kTrailerBytes)); }
  // With other entries, and checksums that fit.
  static Bytes with_index(Bytes file, const std::function<void(std::byte* entries, std::size_t bytes)>& change) {
    const std::size_t at = index_at(file);
    ChunkHeader header;
    EXPECT_TRUE(get_chunk_header(View{file}.subspan(at, kChunkHeaderBytes), header));
    std::byte* const entries = file.data() + at + kChunkHeaderBytes;
    change(entries, header.stored);
    header.payload_crc = crc32_of({entries, header.stored});
    Bytes head;
    put_chunk_header(head, header);
    std::copy(head.begin(), head.end(), file.begin() + static_cast<std::ptrdiff_t>(at));
    return file;
  }
  // The trailer points elsewhere: chunk by chunk, then.
  static Bytes without_trailer(Bytes file) {
    file[file.size() - 1] ^= std::byte{1};
    return file;
  }

  Folder folder_;
  Bytes records_ = busy(4000);
  std::vector<std::string> problems_;
  bool ended_ = false;
};

TEST_F(Seeking, GivesWhatAWalkGives) {
  const Bytes whole = file();
  std::size_t shorter = 0;
  for (std::uint64_t time = 0; time < 18 * kStep; time += kStep) {
    for (const bool from_disk : {false, true}) {
      const Bytes sought = since(whole, time, from_disk);
      EXPECT_TRUE(problems_.empty() && ended_);
      shorter += sought.size() < records_.size();
      EXPECT_EQ(sought, since(without_trailer(whole), time, from_disk)) << time;
    }
  }
  EXPECT_GT(shorter, 20U);
}

TEST_F(Seeking, BehindTheEndOnlyTheLastIsGiven) {
  const Bytes given = since(file(), ~0ULL, true);
  EXPECT_LT(given.size(), records_.size() / 2);
  EXPECT_TRUE(ended_ && problems_.empty());
}

// It may say anything: what is given is the same, for the chunks themselves say where they are and of which time.
TEST_F(Seeking, AnIndexThatIsWrongIsNotBelieved) {
  const Bytes whole = file();
  const std::uint64_t time = 1'000'000'000 + 8 * kStep;
  const Bytes expected = since(without_trailer(whole), time, true);
  ASSERT_LT(expected.size(), records_.size());
  std::mt19937 random{5};
  for (int i = 0; i < 40; ++i) {
    const Bytes wrong = with_index(whole, [&](std::byte* entries, std::size_t bytes) {
      for (auto n = 1 + random() % 3; n > 0; --n) {
        const std::size_t entry = random() % (bytes / kIndexEntryBytes) * kIndexEntryBytes;
        const std::size_t place = random() % 3;  // offset, type, time
        entries[entry + 8 * place + random() % (place == 1 ? 2 : 8)] = static_cast<std::byte>(random());
      }
    });
    const Bytes given = since(wrong, time, true);
    EXPECT_TRUE(problems_.empty() && ended_) << i;
    // It may give more of what ends before; all that comes after is there.
    ASSERT_GE(given.size(), expected.size());
    const auto behind_seed = expected.begin() + static_cast<std::ptrdiff_t>(sizeof(tw_seed_end));
    EXPECT_TRUE(std::equal(behind_seed, expected.end(), given.end() - (expected.end() - behind_seed))) << i;
  }
}

TEST_F(Seeking, AnIndexThatIsCutLeadsAsFarAsItGoes) {
  const Bytes whole = file();
  const std::size_t at = index_at(whole);
  const auto index = Index::parse(View{whole}.subspan(at + kChunkHeaderBytes, 4 * kIndexEntryBytes), at);
  ASSERT_TRUE(index);
  const auto first = get<std::uint64_t>(View{whole}.subspan(at + kChunkHeaderBytes + 2 * kIndexEntryBytes));
  const auto last = get<std::uint64_t>(View{whole}.subspan(at + kChunkHeaderBytes + 3 * kIndexEntryBytes));
  const auto entry = index->first_from(first, ~0ULL);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->offset, last);
  EXPECT_FALSE(index->first_from(first + 1, ~0ULL));
}

TEST_F(Seeking, AnIndexOfNoFileIsNone) {
  Bytes entries;
  const auto entry = [&entries](std::uint64_t offset) {
    put(entries, offset);
    entries.resize(entries.size() + kIndexEntryBytes - sizeof(offset));
  };
  EXPECT_FALSE(Index::parse({}, 1000));
  entry(kFileHeaderBytes);
  entry(500);
  EXPECT_TRUE(Index::parse(entries, 1000));
  EXPECT_FALSE(Index::parse(View{entries}.first(60), 1000));  // an entry that is cut
  EXPECT_FALSE(Index::parse(entries, 500));                   // a chunk where INDEX is
  entry(510);                                                 // within the one before
  EXPECT_FALSE(Index::parse(entries, 1000));
}

}  // namespace
}  // namespace tcpwhy::recording
