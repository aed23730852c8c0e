// SPDX-License-Identifier: GPL-2.0-only
// While the screen is full, what is logged must not be written into it: it is kept, the last line is shown, and all of it
// is said on standard error once the screen is gone.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace tcpwhy::cli {

class Notes {
 public:
  // Takes spdlog's default logger over. Where standard error is no terminal it goes on to be written there at once.
  Notes();
  ~Notes();
  Notes(const Notes&) = delete;
  Notes& operator=(const Notes&) = delete;

  // The newest line since the last call.
  std::optional<std::string> take_newest();

 private:
  struct Keeper;
  std::unique_ptr<Keeper> keeper_;
};

}  // namespace tcpwhy::cli
