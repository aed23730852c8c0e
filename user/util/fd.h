// SPDX-License-Identifier: GPL-2.0-only
// A file descriptor that is closed with its holder.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace tcpwhy::util {

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}  // takes it; negative is none
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { (void)close(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  // To somebody else who closes it.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  // 0, or the errno of what was written before and could not be kept. It is closed in any case.
  int close() {
    const int fd = release();
    return fd >= 0 && ::close(fd) != 0 ? errno : 0;
  }

 private:
  int fd_;
};

}  // namespace tcpwhy::util
