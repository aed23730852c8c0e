// SPDX-License-Identifier: GPL-2.0-only
// Recordings of real incidents, hurt at random places, through the reader and every detector: nothing breaks, and where
// nobody says that something is wrong, the same is found.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/detect/incident.h"
#include "user/detect/detectors.h"
#include "user/recording/codec.h"
#include "user/recording/reader.h"

namespace tcpwhy::detect {
namespace {

using recording::Bytes;
using recording::View;

struct Outcome {
  std::string findings;
  bool opened = false;
  bool said = false;  // that something could not be read
};

Outcome replay(const Bytes& file, bool without_ordinary) {
  Outcome outcome;
  auto reader = recording::Reader::of(file, "file");
  if (!reader) return outcome;
  outcome.opened = true;
  if (without_ordinary) (*reader)->leave_out_ordinary();
  const core::Settings& settings = (*reader)->meta().settings;
  std::vector<core::Finding> lines;
  core::Outlets outlets;
  outlets.findings = [&lines](const std::vector<core::Finding>& found) {
    lines.insert(lines.end(), found.begin(), found.end());
  };
  if (!without_ordinary) outlets.event = [](const abi::Event&) {};
  core::Pipeline pipeline{settings, make_all(settings.thresholds), std::move(outlets)};
  while (const auto block = (*reader)->next()) {
    outcome.said = outcome.said || block->lost_before > 0;
    const bool sound = block->visit([&](View record) { pipeline.feed(record); },
                                    [&](std::uint64_t time) { pipeline.feed_ordinary(util::boot_time(time)); });
    outcome.said = outcome.said || !sound;
  }
  pipeline.finish();
  outcome.findings = dump(lines);
  outcome.said = outcome.said || !(*reader)->problems().empty() || pipeline.unreadable() > 0;
  return outcome;
}

struct Chunk {
  std::size_t at;
  recording::ChunkHeader header;
};

std::vector<Chunk> chunks_of(const Bytes& file) {
  std::vector<Chunk> chunks;
  for (std::size_t at = recording::kFileHeaderBytes; at + recording::kChunkHeaderBytes <= file.size();) {
    Chunk chunk{at, {}};
    if (!recording::get_chunk_header(View{file}.subspan(at, recording::kChunkHeaderBytes), chunk.header)) break;
    chunks.push_back(chunk);
    at += recording::kChunkHeaderBytes + chunk.header.stored;
  }
  return chunks;
}

// What AFL does first: bits, bytes, interesting numbers, blocks that are gone, doubled, or from elsewhere.
void mutate(Bytes& bytes, std::mt19937& random) {
  if (bytes.empty()) return;
  for (auto n = 1 + random() % 6; n > 0 && !bytes.empty(); --n) {
    const std::size_t at = random() % bytes.size();
    const std::size_t length = std::min<std::size_t>(1 + random() % 64, bytes.size() - at);
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end = begin + static_cast<std::ptrdiff_t>(length);
    switch (random() % 7) {
      case 0:
        *begin ^= static_cast<std::byte>(1U << (random() % 8));
        break;
      case 1:
        *begin = static_cast<std::byte>(random());
        break;
      case 2:
        std::fill(begin, end, std::byte{0xff});
        break;
      case 3:
        std::fill(begin, end, std::byte{0});
        break;
      case 4:
        bytes.erase(begin, end);
        break;
      case 5: {
        const Bytes copy{begin, end};
        bytes.insert(begin, copy.begin(), copy.end());
        break;
      }
      default:
        std::rotate(begin, begin + static_cast<std::ptrdiff_t>(length / 2), end);
    }
  }
}

// A file with another payload in one of its chunks, and checksums that fit it.
Bytes with_payload(const Bytes& file, const Chunk& chunk, const Bytes& payload, std::uint32_t unpacked) {
  recording::ChunkHeader header = chunk.header;
  header.stored = static_cast<std::uint32_t>(payload.size());
  header.unpacked = unpacked;
  header.payload_crc = recording::crc32_of(payload);
  Bytes out{file.begin(), file.begin() + static_cast<std::ptrdiff_t>(chunk.at)};
  recording::put_chunk_header(out, header);
  out.insert(out.end(), payload.begin(), payload.end());
  const std::size_t behind = chunk.at + recording::kChunkHeaderBytes + chunk.header.stored;
  out.insert(out.end(), file.begin() + static_cast<std::ptrdiff_t>(behind), file.end());
  return out;
}

class Mutation : public testing::TestWithParam<std::string> {
 protected:
  Mutation() {
    std::ifstream in{TCPWHY_SOURCE_DIR "/tests/golden/" + GetParam() + ".tcpwhy", std::ios::binary};
    const std::string text{std::istreambuf_iterator<char>{in}, {}};
    const auto bytes = std::as_bytes(std::span{text.data(), text.size()});
    file_ = {bytes.begin(), bytes.end()};
    seed_ = recording::crc32_of(std::as_bytes(std::span{GetParam().data(), GetParam().size()}));
    random_.seed(seed_);
  }
  // A large recording takes a second to replay under the sanitizers, and has no other code to break.
  [[nodiscard]] int turns() const { return file_.size() < 32768 ? 40 : 4; }
  const Chunk& some_chunk() { return chunks_[random_() % chunks_.size()]; }
  void SetUp() override {
    chunks_ = chunks_of(file_);
    ASSERT_GE(chunks_.size(), 4U);
    whole_ = replay(file_, true);
    ASSERT_TRUE(whole_.opened && !whole_.said);
    ASSERT_FALSE(whole_.findings.empty());
    ASSERT_EQ(replay(file_, false).findings, whole_.findings);
  }

  Bytes file_;
  std::uint32_t seed_ = 0;
  std::mt19937 random_;
  std::vector<Chunk> chunks_;
  Outcome whole_;
};

TEST_P(Mutation, DamageIsSaidOrHarmless) {
  for (int i = 0; i < turns(); ++i) {
    Bytes hurt = file_;
    mutate(hurt, random_);
    const Outcome outcome = replay(hurt, i % 2 == 0);
    EXPECT_TRUE(!outcome.opened || outcome.said || outcome.findings == whole_.findings)
        << "seed " << seed_ << " turn " << i;
  }
}

// With checksums that fit: what a fault in the recorder's memory, or somebody with bad intent, would leave.
TEST_P(Mutation, PayloadsThatAreWrongBreakNothing) {
  for (int i = 0; i < turns(); ++i) {
    const Chunk& chunk = some_chunk();
    const auto begin = file_.begin() + static_cast<std::ptrdiff_t>(chunk.at + recording::kChunkHeaderBytes);
    Bytes payload{begin, begin + chunk.header.stored};
    mutate(payload, random_);
    (void)replay(with_payload(file_, chunk, payload, chunk.header.unpacked), i % 2 == 0);
  }
}

// The records within: states, numbers and times that no kernel gives.
TEST_P(Mutation, RecordsThatAreWrongBreakNothing) {
  for (int i = 0; i < turns(); ++i) {
    const Chunk& chunk = some_chunk();
    if ((chunk.header.flags & recording::kCompressed) == 0) continue;
    const View packed = View{file_}.subspan(chunk.at + recording::kChunkHeaderBytes, chunk.header.stored);
    auto bytes = recording::decompress(packed, chunk.header.unpacked);
    ASSERT_TRUE(bytes);
    for (auto n = 1 + random_() % 40; n > 0; --n)
      (*bytes)[random_() % bytes->size()] = static_cast<std::byte>(random_());
    const auto again = recording::compress(*bytes, 1);
    ASSERT_TRUE(again);
    (void)replay(with_payload(file_, chunk, *again, chunk.header.unpacked), i % 2 == 0);
  }
}

std::vector<std::string> recordings() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator{TCPWHY_SOURCE_DIR "/tests/golden"})
    if (entry.path().extension() == ".tcpwhy") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Golden, Mutation, testing::ValuesIn(recordings()), test_name);

}  // namespace
}  // namespace tcpwhy::detect
