// SPDX-License-Identifier: GPL-2.0-only
#include "user/abi/header.h"

#include <cstring>

#include "bpf/tcpwhy_abi.h"

namespace tcpwhy::abi {

static_assert(sizeof(tw_header) == kRecordHeaderBytes && offsetof(tw_header, time_ns) == 0);
static_assert(offsetof(tw_state, socket) == kRecordIdOffset && offsetof(tw_transition, id) == kRecordIdOffset);
static_assert(offsetof(tw_transition, from) == kTransitionStatesOffset &&
              offsetof(tw_transition, to) == kTransitionStatesOffset + 1);

std::optional<RecordHeader> peek_header(std::span<const std::byte> bytes) {
  tw_header header;
  if (bytes.size() < sizeof(header)) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.size < sizeof(header) || header.size > bytes.size()) return std::nullopt;
  return RecordHeader{header.time_ns, header.kind, header.size};
}

bool is_ordinary(std::uint16_t kind, std::uint16_t size) {
  return kind == TW_KIND_TRANSITION && size >= sizeof(tw_transition);
}

bool ends_seed(std::span<const std::byte> record) {
  tw_seed_end end;
  const auto header = peek_header(record);
  if (!header || header->kind != TW_KIND_SEED_END || record.size() < sizeof(end)) return false;
  std::memcpy(&end, record.data(), sizeof(end));
  return end.initial != 0;
}

bool is_tick(std::span<const std::byte> record) {
  const auto header = peek_header(record);
  return header && header->kind == TW_KIND_TICK;
}

std::optional<ListenerChange> listener_changed(std::span<const std::byte> record) {
  constexpr std::uint8_t kListen = 10;  // TCP_LISTEN
  tw_state state;
  const auto header = peek_header(record);
  if (!header || header->kind != TW_KIND_STATE || record.size() < sizeof(state)) return std::nullopt;
  std::memcpy(&state, record.data(), sizeof(state));
  if (state.from != kListen && state.to != kListen) return std::nullopt;
  return ListenerChange{state.socket.id, state.from == kListen};
}

std::vector<std::byte> recorder_loss(std::uint64_t count, std::uint64_t time_ns) {
  tw_lost record{};
  record.header.time_ns = time_ns;
  record.header.kind = TW_KIND_LOST;
  record.header.size = sizeof(record);
  record.count = count;
  record.kind = TW_KIND_LOST;
  std::vector<std::byte> bytes(sizeof(record));
  std::memcpy(bytes.data(), &record, sizeof(record));
  return bytes;
}

}  // namespace tcpwhy::abi
