// SPDX-License-Identifier: GPL-2.0-only
#include "user/recording/codec.h"

#include <tsl/robin_map.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "user/abi/header.h"
#include "user/recording/lanes.h"

namespace tcpwhy::recording {
namespace {

using abi::kRecordIdBytes;
using abi::kRecordIdOffset;
using abi::kRecordTimeBytes;
// Addresses and ports end here: two connections of one service differ little up to here, and wildly from here on.
constexpr std::size_t kHead = 64;
constexpr std::size_t kIdEnd = kRecordIdOffset + kRecordIdBytes;
constexpr std::size_t kMostGroups = 256;
constexpr std::size_t kGroupBytes = 8;
static_assert(kRecordTimeBytes == kLanes && kRecordIdBytes == kLanes);

// Records of one kind and size, and what the next one is the difference to.
class Group {
 public:
  Group(std::uint16_t kind, std::uint16_t size) : kind_(kind), size_(size) {}
  [[nodiscard]] bool is(const abi::RecordHeader& h) const { return kind_ == h.kind && size_ == h.size; }
  [[nodiscard]] std::uint16_t kind() const { return kind_; }
  [[nodiscard]] std::uint16_t size() const { return size_; }
  [[nodiscard]] bool has_id() const { return size_ >= kIdEnd; }
  [[nodiscard]] const std::byte* newest() const { return newest_; }

  // What a record is the difference to, by the place of the byte; null: to nothing.
  struct Before {
    const std::byte* newest;
    const std::byte* same;  // with this id
    [[nodiscard]] const std::byte* head() const { return same ? same : newest; }
    [[nodiscard]] const std::byte* tail() const { return same; }
  };
  // From now on `record`, which may not be filled yet, is the newest, and the newest with this id.
  Before follow(std::uint64_t id, const std::byte* record) {
    const std::byte* const newest = std::exchange(newest_, record);
    if (!has_id()) return {newest, newest};
    const auto [it, is_new] = by_id_.try_emplace(id, record);
    return {newest, is_new ? nullptr : std::exchange(it.value(), record)};
  }

  std::uint32_t count = 0;
  std::size_t columns = 0;   // where its columns begin
  std::byte* row = nullptr;  // of its next record, in the differences
  bool only_time = false;    // a row is the time, no more

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

// Where each group's rows are in `rows`, which is made long enough.
void place_rows(Layout& layout, Bytes& rows) {
  const auto row_bytes = [](const Group& group) { return group.only_time ? kRecordTimeBytes : group.size(); };
  std::size_t all = 0;
  for (const Group& group : layout.groups) all += group.count * row_bytes(group);
  rows.resize(all);
  std::byte* row = rows.data();
  for (Group& group : layout.groups) {
    group.row = row;
    row += group.count * row_bytes(group);
  }
}

// `length` bytes of `out`: those of `in` and of `other`, joined by `join`; where there is no other, those of `in`.
template <typename Join>
void join_bytes(std::byte* out, const std::byte* in, const std::byte* other, std::size_t from, std::size_t to,
                Join join) {
  if (!other || from >= to) {
    if (from < to) std::memcpy(out + from, in + from, to - from);
    return;
  }
  for (; from + kLanes <= to; from += kLanes)
    store_lanes(out + from, join(load_lanes(in + from), load_lanes(other + from)));
  for (; from < to; ++from)
    out[from] = static_cast<std::byte>(
        join(std::to_integer<std::uint64_t>(in[from]), std::to_integer<std::uint64_t>(other[from])));
}

// What is neither time nor id.
template <typename Join>
void join_others(std::byte* out, const std::byte* in, const Group::Before& before, std::size_t size, Join join) {
  join_bytes(out, in, before.head(), kRecordTimeBytes, size < kIdEnd ? size : kRecordIdOffset, join);
  if (size < kIdEnd) return;
  join_bytes(out, in, before.head(), kIdEnd, std::min(size, kHead), join);
  join_bytes(out, in, before.tail(), kHead, size, join);
}

// From a record to its difference.
void spread(Group& group, const std::byte* record, std::uint64_t time_before) {
  std::byte* const row = std::exchange(group.row, group.row + group.size());
  const std::uint64_t id = group.has_id() ? load_lanes(record + kRecordIdOffset) : 0;
  const Group::Before before = group.follow(id, record);
  store_lanes(row, load_lanes(record) - time_before);
  if (group.has_id()) join_bytes(row, record, before.newest, kRecordIdOffset, kIdEnd, subtract_lanes);
  join_others(row, record, before, group.size(), subtract_lanes);
}

// And back.
void gather(Group& group, std::byte* record, std::uint64_t time_before) {
  const std::byte* const row = std::exchange(group.row, group.row + group.size());
  store_lanes(record, load_lanes(row) + time_before);
  if (group.has_id()) join_bytes(record, row, group.newest(), kRecordIdOffset, kIdEnd, add_lanes);
  const Group::Before before = group.follow(group.has_id() ? load_lanes(record + kRecordIdOffset) : 0, record);
  join_others(record, row, before, group.size(), add_lanes);
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
  std::array<std::uint32_t, kMostGroups> seen{};
  layout.order.reserve(records);
  for (const std::byte b : bytes.subspan(head, records)) {
    seen[std::to_integer<std::uint8_t>(b)] += 1;
    layout.order.push_back(std::to_integer<std::uint8_t>(b));
  }
  for (std::size_t i = 0; i < kMostGroups; ++i)
    if (seen.at(i) != (i < groups ? layout.groups[i].count : 0)) return contradiction("the order does not fit");
  place_columns(layout);
  return layout;
}

// The records of a layout that was read, one after another.
class Restoration {
 public:
  Restoration(Layout& layout, View bytes) : layout_(layout) {
    place_rows(layout_, rows_);
    std::size_t whole = 0;
    std::size_t ordinary = 0;
    for (const Group& group : layout_.groups) {
      const std::size_t columns = group.only_time ? kRecordTimeBytes : group.size();
      transpose_matrix(bytes.data() + group.columns, columns, group.count, group.row);
      (group.only_time ? ordinary : whole) += group.only_time ? group.count : group.count * columns;
    }
    out_.records.resize(whole);
    out_.ordinary.reserve(ordinary);
  }
  util::Result<Restored> run() {
    std::size_t at = 0;
    std::uint64_t time = 0;
    for (const std::uint8_t number : layout_.order) {
      Group& group = layout_.groups[number];
      if (group.only_time) {
        time += load_lanes(std::exchange(group.row, group.row + kRecordTimeBytes));
        out_.ordinary.push_back({time, at});
        continue;
      }
      std::byte* const record = out_.records.data() + at;
      gather(group, record, time);
      const auto header = abi::peek_header(View{record, group.size()});
      if (!header || !group.is(*header)) return contradiction("a record is of another kind or size than its group");
      time = header->time_ns;
      at += group.size();
    }
    return std::move(out_);
  }

 private:
  Layout& layout_;
  Bytes rows_;
  Restored out_;
};

}  // namespace

Bytes transpose(View records) {
  std::optional<Layout> layout = layout_of(records);
  if (!layout) return {};
  Bytes out;
  out.reserve(4 + kGroupBytes * layout->groups.size() + layout->order.size() + layout->bytes);
  put(out, static_cast<std::uint32_t>(layout->groups.size()));
  for (const Group& group : layout->groups) {
    put(out, group.kind());
    put(out, group.size());
    put(out, group.count);
  }
  for (const std::uint8_t group : layout->order) out.push_back(std::byte{group});
  place_columns(*layout);
  out.resize(out.size() + layout->bytes);
  Bytes rows;
  place_rows(*layout, rows);
  const std::byte* record = records.data();
  std::uint64_t time = 0;
  for (const std::uint8_t number : layout->order) {
    Group& group = layout->groups[number];
    spread(group, record, time);
    time = load_lanes(record);
    record += group.size();
  }
  const std::byte* row = rows.data();
  for (const Group& group : layout->groups) {
    transpose_matrix(row, group.count, group.size(), out.data() + group.columns);
    row += static_cast<std::size_t>(group.count) * group.size();
  }
  return out;
}

util::Result<Bytes> restore(View bytes, std::uint32_t raw) {
  util::Result<Layout> layout = read_layout(bytes, raw);
  if (!layout) return std::move(layout.error());
  util::Result<Restored> restored = Restoration{*layout, bytes}.run();
  if (!restored) return std::move(restored.error());
  return std::move(restored->records);
}

util::Result<Restored> restore_without_ordinary(View bytes, std::uint32_t raw) {
  util::Result<Layout> layout = read_layout(bytes, raw);
  if (!layout) return std::move(layout.error());
  for (Group& group : layout->groups) group.only_time = abi::is_ordinary(group.kind(), group.size());
  return Restoration{*layout, bytes}.run();
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
