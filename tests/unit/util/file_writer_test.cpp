// SPDX-License-Identifier: GPL-2.0-only
#include "user/util/file_writer.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace tcpwhy::util {
namespace {

namespace fs = std::filesystem;

class FileWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "tcpwhy-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string content(const fs::path& path) {
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, {}};
  }
  static unsigned mode(const fs::path& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 0777 : 0;
  }

  fs::path folder_;
};

TEST_F(FileWriterTest, MakesAFileForItsOwnerAlone) {
  const fs::path path = folder_ / "new";
  Result<FileWriter> file = FileWriter::create(path, false);
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->write("ab"));
  ASSERT_TRUE(file->write("c"));
  EXPECT_EQ(file->bytes(), 3U);
  ASSERT_TRUE(file->close());
  EXPECT_FALSE(file->is_open());
  EXPECT_EQ(content(path), "abc");
  EXPECT_EQ(mode(path), 0600U);
}

TEST_F(FileWriterTest, ReplacesOnlyWhenAsked) {
  const fs::path path = folder_ / "old";
  std::ofstream{path} << "what was there";
  fs::permissions(path, fs::perms{0644});
  const Result<FileWriter> refused = FileWriter::create(path, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EEXIST);
  EXPECT_NE(refused.error().hint.find("--force"), std::string::npos);
  EXPECT_EQ(content(path), "what was there");
  Result<FileWriter> file = FileWriter::create(path, true);
  ASSERT_TRUE(file && file->write("new") && file->close());
  EXPECT_EQ(content(path), "new");
  EXPECT_EQ(mode(path), 0600U);
}

TEST_F(FileWriterTest, ADiscardedFileIsGone) {
  const fs::path path = folder_ / "part";
  Result<FileWriter> file = FileWriter::create(path, false);
  ASSERT_TRUE(file && file->write("half"));
  file->discard();
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(FileWriterTest, ADeviceKeepsItsModeAndStays) {
  const unsigned before = mode("/dev/full");
  Result<FileWriter> file = FileWriter::create("/dev/full", true);
  ASSERT_TRUE(file);
  const Status written = file->write("x");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ENOSPC);
  file->discard();
  EXPECT_TRUE(fs::exists("/dev/full"));
  EXPECT_EQ(mode("/dev/full"), before);
}

TEST_F(FileWriterTest, SaysWhatToDo) {
  for (const fs::path& path : {folder_, folder_ / "none" / "file"}) {
    const Result<FileWriter> file = FileWriter::create(path, true);
    ASSERT_FALSE(file) << path;
    EXPECT_FALSE(file.error().hint.empty()) << path;
  }
}

}  // namespace
}  // namespace tcpwhy::util
