// SPDX-License-Identifier: GPL-2.0-only
#include "user/util/file_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tcpwhy::util {

Error cannot_write(std::string_view what, const std::string& path, int err) {
  std::string hint;
  if (err == EISDIR) hint = "name a file";
  if (err == EEXIST) hint = "choose another name, or say --force to overwrite it";
  if (err == ENOSPC) hint = "make room on the disk, or choose another";
  if (err == ENOENT) hint = "the folder must be there";
  if (err == EACCES || err == EPERM || err == EROFS) hint = "choose a folder that this user may write to";
  return {fmt::format("cannot {} {}: {}", what, path, std::strerror(err)), err, hint};
}

Result<FileWriter> FileWriter::create(const std::string& path, bool overwrite) {
  FileWriter file;
  file.path_ = path;
  file.fd_ = Fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (overwrite ? O_TRUNC : O_EXCL), 0600)};
  if (!file.is_open()) return cannot_write("make", path, errno);
  // What was there before may be open to others; a device or a pipe keeps its own mode.
  struct stat status {};
  file.is_regular_ = ::fstat(file.fd_.get(), &status) == 0 && S_ISREG(status.st_mode);
  if (overwrite && file.is_regular_ && ::fchmod(file.fd_.get(), 0600) != 0) {
    const int err = errno;
    file.discard();
    return cannot_write("protect", path, err);
  }
  return file;
}

Status FileWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return cannot_write("write to", path_, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    bytes_ += static_cast<std::uint64_t>(written);
  }
  return Done{};
}

Status FileWriter::close() {
  if (const int err = fd_.close(); err != 0) return cannot_write("close", path_, err);
  return Done{};
}

void FileWriter::discard() {
  (void)fd_.close();
  if (is_regular_) ::unlink(path_.c_str());
}

}  // namespace tcpwhy::util
