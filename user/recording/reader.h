// SPDX-License-Identifier: GPL-2.0-only
// Reads a recording, whole or damaged: gives what can be read, and says what cannot and where.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "user/abi/header.h"
#include "user/recording/codec.h"
#include "user/recording/format.h"
#include "user/recording/meta.h"
#include "user/util/result.h"

namespace tcpwhy::recording {

// Each whole record; false where bytes are left over that are none.
template <typename Visit>
bool for_each_record(View records, Visit&& visit) {
  while (!records.empty()) {
    const auto header = abi::peek_header(records);
    if (!header) return false;
    visit(records.first(header->size));
    records = records.subspan(header->size);
  }
  return true;
}

// What a recording says, in its order. Records are whole ones, one after another.
struct Block {
  ChunkType type = ChunkType::events;
  std::uint64_t offset = 0;  // of its chunk, in the file
  std::uint64_t time_ns = 0;
  std::uint32_t lost_before = 0;
  std::uint32_t count = 0;
  Bytes records;
  std::vector<Ordinary> ordinary;  // transitions of which only the time was asked for

  // Each in the stream's order: `whole` gets a record, `ordinary` the time of such a transition. False where bytes are
  // left over that are no record; what comes behind them is not visited.
  template <typename Whole, typename OnlyTime>
  bool visit(Whole&& whole, OnlyTime&& only_time) const {
    auto next = ordinary.begin();
    std::size_t at = 0;
    const bool sound = for_each_record(records, [&](View record) {
      for (; next != ordinary.end() && next->before == at; ++next) only_time(next->time_ns);
      whole(record);
      at += record.size();
    });
    for (; sound && next != ordinary.end(); ++next) only_time(next->time_ns);
    return sound;
  }
};

class Reader {
 public:
  // "-" is standard input. An error where it cannot be opened, is no recording, or (EBADMSG) is a recording, but its META
  // cannot be used.
  static util::Result<std::unique_ptr<Reader>> open(const std::string& path);
  // Of bytes in memory, for tests.
  static util::Result<std::unique_ptr<Reader>> of(Bytes bytes, const std::string& name);
  virtual ~Reader() = default;

  [[nodiscard]] virtual const Meta& meta() const = 0;
  // The next block of SEED or EVENTS; nothing at the end.
  virtual std::optional<Block> next() = 0;
  // To be called before the first next(): EVENTS that end before this time (CLOCK_BOOTTIME) are left out.
  virtual void skip_until(std::uint64_t time_ns) = 0;
  // To be called before the first next(): of transitions only the time is given, where that is quicker.
  virtual void leave_out_ordinary() = 0;
  // Where it is known.
  [[nodiscard]] virtual const std::optional<End>& end() const = 0;
  // The same before it is reached, by the file's last bytes; nothing of a pipe, or where they are damaged or missing.
  [[nodiscard]] virtual std::optional<End> end_ahead() = 0;
  // What could not be read, a sentence each, so far.
  [[nodiscard]] virtual const std::vector<std::string>& problems() const = 0;
  [[nodiscard]] virtual const std::string& name() const = 0;
  // How far it has come, and how long it is (0 where nobody knows: a pipe).
  [[nodiscard]] virtual std::uint64_t at() const = 0;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
};

}  // namespace tcpwhy::recording
