// SPDX-License-Identifier: GPL-2.0-only
#include "user/cli/notes.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace tcpwhy::cli {
namespace {

constexpr std::size_t kMost = 200;

struct Note {
  spdlog::level::level_enum level = spdlog::level::info;
  std::string text;
};

// The recorder's thread logs, too.
class KeepingSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  std::deque<Note> take_all() {
    const std::lock_guard lock{mutex_};
    return std::exchange(notes_, {});
  }
  std::optional<std::string> take_newest() {
    const std::lock_guard lock{mutex_};
    return std::exchange(newest_, std::nullopt);
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    notes_.push_back({message.level, std::string{message.payload.begin(), message.payload.end()}});
    if (notes_.size() > kMost) notes_.pop_front();
    newest_ = notes_.back().text;
  }
  void flush_() override {}

  std::deque<Note> notes_;
  std::optional<std::string> newest_;
};

}  // namespace

struct Notes::Keeper {
  std::shared_ptr<KeepingSink> sink = std::make_shared<KeepingSink>();
  std::vector<spdlog::sink_ptr> before;
  bool elsewhere = ::isatty(STDERR_FILENO) != 1;
};

Notes::Notes() : keeper_(std::make_unique<Keeper>()) {
  std::vector<spdlog::sink_ptr>& sinks = spdlog::default_logger()->sinks();
  keeper_->before = sinks;
  if (!keeper_->elsewhere) sinks.clear();
  sinks.push_back(keeper_->sink);
}

Notes::~Notes() {
  spdlog::default_logger()->sinks() = keeper_->before;
  if (keeper_->elsewhere) return;
  for (const Note& note : keeper_->sink->take_all()) spdlog::log(note.level, note.text);
}

std::optional<std::string> Notes::take_newest() { return keeper_->sink->take_newest(); }

}  // namespace tcpwhy::cli
