// SPDX-License-Identifier: GPL-2.0-only
// What whoever keeps records without decoding them must know of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tcpwhy::abi {

inline constexpr std::size_t kRecordHeaderBytes = 16;
inline constexpr std::size_t kRecordTimeBytes = 8;  // at offset 0
inline constexpr std::size_t kRecordIdOffset = 16;  // where most kinds have the socket's cookie
inline constexpr std::size_t kRecordIdBytes = 8;

struct RecordHeader {
  std::uint64_t time_ns = 0;  // CLOCK_BOOTTIME
  std::uint16_t kind = 0;
  std::uint16_t size = 0;  // of the whole record
};

// The header of the record that `bytes` begin with; absent where they are too short for it, or for the size it names, or
// where that size is less than a header's.
std::optional<RecordHeader> peek_header(std::span<const std::byte> bytes);

// A transition, whole: of those a stream may hold many, and detectors never see one.
bool is_ordinary(std::uint16_t kind, std::uint16_t size);
// Where an ordinary one has the state that it goes from, in one byte, and at once after it the one that it goes to.
inline constexpr std::size_t kTransitionStatesOffset = 64;

// The record that ends the walk over what was there at the start.
bool ends_seed(std::span<const std::byte> record);
bool is_tick(std::span<const std::byte> record);

// The listener that began or ended with this record.
struct ListenerChange {
  std::uint64_t id = 0;
  bool ended = false;
};
std::optional<ListenerChange> listener_changed(std::span<const std::byte> record);

// A record that says that so many were lost on their way into a recording.
std::vector<std::byte> recorder_loss(std::uint64_t count, std::uint64_t time_ns);

}  // namespace tcpwhy::abi
