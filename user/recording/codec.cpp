// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/codec.h"

#include <tsl/robin_map.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "user/abi/header.h"

namespace tcpwhy::recording {
namespace {

using abi::kRecordIdBytes;
using abi::kRecordIdOffset;
using abi::kRecordTimeBytes;
// Addresses and ports end here: two connections of one service differ little up to here, and wildly from here on.
constexpr std::size_t kHead = 64;
constexpr std::size_t kMostGroups = 256;
constexpr std::size_t kGroupBytes = 8;

std::uint64_t word_at(const std::byte* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

// Records of one kind and size, and what the next one is the difference to.
class Group {
 public:
  Group(std::uint16_t kind, std::uint16_t size) : kind_(kind), size_(size) {}
  [[nodiscard]] bool is(const abi::RecordHeader& h) const { return kind_ == h.kind && size_ == h.size; }
  [[nodiscard]] std::uint16_t kind() const { return kind_; }
  [[nodiscard]] std::uint16_t size() const { return size_; }
  [[nodiscard]] bool has_id() const { return size_ >= kRecordIdOffset + kRecordIdBytes; }
  [[nodiscard]] const std::byte* newest() const { return newest_; }

  // What a record is the difference to, by the place of the byte; null: to nothing.
  struct Before {
    const std::byte* newest;  // bytes 8 to 63
    const std::byte* same;    // the same where there is one with this id; and what comes behind, only then
    [[nodiscard]] const std::byte* at(std::size_t i) const { return i < kHead && !same ? newest : same; }
  };
  // From now on `record`, which may not be filled yet, is the newest, and the newest with this id.
  Before follow(std::uint64_t id, const std::byte* record) {
    const std::byte* const newest = std::exchange(newest_, record);
    if (!has_id()) return {newest, newest};
    const auto [it, is_new] = by_id_.try_emplace(id, record);
    return {newest, is_new ? nullptr : std::exchange(it.value(), record)};
  }

  std::uint32_t count = 0;
  std::uint32_t next_row = 0;
  std::size_t columns = 0;  // where its columns begin

 private:
  std::uint16_t kind_;
  std::uint16_t size_;
  const std::byte* newest_ = nullptr;
  tsl::robin_map<std::uint64_t, const std::byte*> by_id_;
};

// Which group each record is of, and how many each has.
struct Layout {
  std::vector<Group> groups;
  std::vector<std::uint8_t> order;
  std::size_t bytes = 0;  // of all records
};

std::optional<Layout> layout_of(View records) {
  Layout layout;
  for (std::size_t at = 0; at < records.size();) {
    const auto header = abi::peek_header(records.subspan(at));
    if (!header) return std::nullopt;
    auto group =
        std::find_if(layout.groups.begin(), layout.groups.end(), [&](const Group& g) { return g.is(*header); });
    if (group == layout.groups.end()) {
      if (layout.groups.size() == kMostGroups) return std::nullopt;
      layout.groups.emplace_back(header->kind, header->size);
      group = std::prev(layout.groups.end());
    }
    group->count += 1;
    layout.order.push_back(static_cast<std::uint8_t>(group - layout.groups.begin()));
    at += header->size;
  }
  layout.bytes = records.size();
  return layout;
}

// Where each group's columns are, after the table and the order.
void place_columns(Layout& layout) {
  std::size_t at = 4 + kGroupBytes * layout.groups.size() + layout.order.size();
  for (Group& group : layout.groups) {
    group.columns = at;
    at += static_cast<std::size_t>(group.count) * group.size();
  }
}

std::byte operator-(std::byte a, std::byte b) {
  return static_cast<std::byte>(std::to_integer<unsigned>(a) - std::to_integer<unsigned>(b));
}
std::byte operator+(std::byte a, std::byte b) {
  return static_cast<std::byte>(std::to_integer<unsigned>(a) + std::to_integer<unsigned>(b));
}

bool is_id(std::size_t column) { return column >= kRecordIdOffset && column < kRecordIdOffset + kRecordIdBytes; }

void spread(Group& group, const std::byte* record, std::uint64_t time_before, std::byte* out) {
  const Group::Before before = group.follow(group.has_id() ? word_at(record + kRecordIdOffset) : 0, record);
  std::byte* cell = out + group.columns + group.next_row++;
  const std::uint64_t time = word_at(record) - time_before;
  for (std::size_t i = 0; i < kRecordTimeBytes; ++i, cell += group.count)
    *cell = static_cast<std::byte>(time >> (8 * i));
  for (std::size_t i = kRecordTimeBytes; i < group.size(); ++i, cell += group.count) {
    const std::byte* const from = is_id(i) ? before.newest : before.at(i);
    *cell = from ? record[i] - from[i] : record[i];
  }
}

void gather(Group& group, std::byte* record, std::uint64_t time_before, const std::byte* in) {
  const std::byte* const newest = group.newest();
  const std::byte* const cells = in + group.columns + group.next_row++;
  const std::size_t stride = group.count;
  std::uint64_t time = 0;
  for (std::size_t i = 0; i < kRecordTimeBytes; ++i)
    time |= std::to_integer<std::uint64_t>(cells[i * stride]) << (8 * i);
  time += time_before;
  std::memcpy(record, &time, sizeof(time));
  for (std::size_t i = kRecordIdOffset; group.has_id() && i < kRecordIdOffset + kRecordIdBytes; ++i)
    record[i] = newest ? cells[i * stride] + newest[i] : cells[i * stride];
  const Group::Before before = group.follow(group.has_id() ? word_at(record + kRecordIdOffset) : 0, record);
  for (std::size_t i = kRecordTimeBytes; i < group.size(); ++i) {
    if (group.has_id() && is_id(i)) continue;
    const std::byte* const from = before.at(i);
    record[i] = from ? cells[i * stride] + from[i] : cells[i * stride];
  }
}

util::Error contradiction(const char* what) {
  return {std::string{"its records contradict themselves: "} + what, 0, ""};
}

util::Result<Layout> read_layout(View bytes, std::uint32_t raw) {
  Layout layout;
  if (bytes.size() < 4) return contradiction("no table");
  const auto groups = get<std::uint32_t>(bytes);
  if (groups > kMostGroups || bytes.size() < 4 + kGroupBytes * groups) return contradiction("the table is too long");
  std::size_t records = 0;
  for (std::uint32_t i = 0; i < groups; ++i) {
    const View row = bytes.subspan(4 + kGroupBytes * i, kGroupBytes);
    Group& group = layout.groups.emplace_back(get<std::uint16_t>(row), get<std::uint16_t>(row.subspan(2)));
    group.count = get<std::uint32_t>(row.subspan(4));
    if (group.size() < abi::kRecordHeaderBytes) return contradiction("a record shorter than its header");
    records += group.count;
    layout.bytes += static_cast<std::size_t>(group.count) * group.size();
  }
  const std::size_t head = 4 + kGroupBytes * groups;
  if (layout.bytes != raw || bytes.size() != head + records + layout.bytes)
    return contradiction("the lengths do not fit");
  std::vector<std::uint32_t> seen(groups);
  for (const std::byte b : bytes.subspan(head, records)) {
    const auto group = std::to_integer<std::uint8_t>(b);
    if (group >= groups || ++seen[group] > layout.groups[group].count) return contradiction("the order does not fit");
    layout.order.push_back(group);
  }
  place_columns(layout);
  return layout;
}

}  // namespace

Bytes transpose(View records) {
  std::optional<Layout> layout = layout_of(records);
  if (!layout) return {};
  Bytes out;
  put(out, static_cast<std::uint32_t>(layout->groups.size()));
  for (const Group& group : layout->groups) {
    put(out, group.kind());
    put(out, group.size());
    put(out, group.count);
  }
  for (const std::uint8_t group : layout->order) out.push_back(std::byte{group});
  place_columns(*layout);
  out.resize(out.size() + layout->bytes);
  const std::byte* record = records.data();
  std::uint64_t time = 0;
  for (const std::uint8_t number : layout->order) {
    Group& group = layout->groups[number];
    spread(group, record, time, out.data());
    time = word_at(record);
    record += group.size();
  }
  return out;
}

util::Result<Bytes> restore(View bytes, std::uint32_t raw) {
  util::Result<Layout> layout = read_layout(bytes, raw);
  if (!layout) return std::move(layout.error());
  Bytes out(raw);
  std::byte* record = out.data();
  std::uint64_t time = 0;
  for (const std::uint8_t number : layout->order) {
    Group& group = layout->groups[number];
    gather(group, record, time, bytes.data());
    time = word_at(record);
    record += group.size();
  }
  return out;
}

util::Result<Bytes> compress(View bytes, int level) {
  Bytes out(ZSTD_compressBound(bytes.size()));
  const std::size_t size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), level);
  if (ZSTD_isError(size)) return util::Error{std::string{"zstd: "} + ZSTD_getErrorName(size), 0, ""};
  out.resize(size);
  out.shrink_to_fit();  // a flight recorder keeps it
  return out;
}

util::Result<Bytes> decompress(View bytes, std::uint32_t unpacked) {
  Bytes out(unpacked);
  const std::size_t size = ZSTD_decompress(out.data(), out.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(size)) return util::Error{std::string{"zstd: "} + ZSTD_getErrorName(size), 0, ""};
  if (size != unpacked) return util::Error{"it unpacks to another length than its header says", 0, ""};
  return out;
}

}  // namespace tcpwhy::recording
