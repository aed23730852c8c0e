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
// Of a group in the table.
constexpr std::size_t kKindRowBytes = 8;
constexpr std::size_t kStateRowBytes = 12;
static_assert(kRecordTimeBytes == kLanes && kRecordIdBytes == kLanes);

std::size_t row_bytes(Arrangement how) { return how == Arrangement::by_state ? kStateRowBytes : kKindRowBytes; }

// What the records of a group have in common.
struct Sort {
  std::uint16_t kind = 0;
  std::uint16_t size = 0;
  std::uint16_t states = 0;  // by_state, of transitions: from in the low byte, to in the high one
  bool operator==(const Sort&) const = default;
};

// record: whole, as its header says.
Sort sort_of(const std::byte* record, const abi::RecordHeader& header, Arrangement how) {
  Sort sort{header.kind, header.size, 0};
  if (how == Arrangement::by_state && abi::is_ordinary(header.kind, header.size))
    std::memcpy(&sort.states, record + abi::kTransitionStatesOffset, sizeof(sort.states));
  return sort;
}

// The newest record of each id, of all groups of one kind and size.
struct Family {
  std::uint16_t kind;
  std::uint16_t size;
  tsl::robin_map<std::uint64_t, const std::byte*> by_id;
};

// Records of one sort, and what the next one is the difference to.
class Group {
 public:
  Group(const Sort& sort, std::size_t family) : family_number(family), sort_(sort) {}
  [[nodiscard]] const Sort& sort() const { return sort_; }
  [[nodiscard]] std::uint16_t size() const { return sort_.size; }
  [[nodiscard]] bool has_id() const { return sort_.size >= kIdEnd; }
  [[nodiscard]] const std::byte* newest() const { return newest_; }

  // What a record is the difference to, by the place of the byte; null: to nothing.
  struct Before {
    const std::byte* newest;
    const std::byte* same;  // with this id
    [[nodiscard]] const std::byte* head() const { return same ? same : newest; }
    [[nodiscard]] const std::byte* tail() const { return same; }
  };
  // From now on `record`, which may not be filled yet, is the newest, and the newest with this id.
  Before follow(Family& family, std::uint64_t id, const std::byte* record) {
    const std::byte* const newest = std::exchange(newest_, record);
    if (!has_id()) return {newest, newest};
    const auto [it, is_new] = family.by_id.try_emplace(id, record);
    return {newest, is_new ? nullptr : std::exchange(it.value(), record)};
  }

  std::uint32_t count = 0;
  std::size_t columns = 0;    // where its columns begin
  std::byte* row = nullptr;   // of its next record, in the differences
  bool only_time = false;     // a row is the time, no more
  std::size_t family_number;  // in the layout

 private:
  Sort sort_;
  const std::byte* newest_ = nullptr;
};

// Which group each record is of, and how many each has.
struct Layout {
  explicit Layout(Arrangement arrangement) : how(arrangement) {}

  Group& add(const Sort& sort) {
    auto family = std::find_if(families.begin(), families.end(),
                               [&](const Family& f) { return f.kind == sort.kind && f.size == sort.size; });
    if (family == families.end()) family = families.insert(family, {sort.kind, sort.size, {}});
    return groups.emplace_back(sort, static_cast<std::size_t>(family - families.begin()));
  }
  [[nodiscard]] std::size_t table_bytes() const { return 4 + row_bytes(how) * groups.size(); }
  Family& family_of(const Group& group) { return families[group.family_number]; }

  Arrangement how;
  std::vector<Group> groups;
  std::vector<Family> families;
  std::vector<std::uint8_t> order;
  std::size_t bytes = 0;  // of all records
};

std::optional<Layout> layout_of(View records) {
  Layout layout{Arrangement::by_state};
  for (std::size_t at = 0; at < records.size();) {
    const auto header = abi::peek_header(records.subspan(at));
    if (!header) return std::nullopt;
    const Sort sort = sort_of(records.data() + at, *header, layout.how);
    auto group =
        std::find_if(layout.groups.begin(), layout.groups.end(), [&](const Group& g) { return g.sort() == sort; });
    if (group == layout.groups.end()) {
      if (layout.groups.size() == kMostGroups) return std::nullopt;
      layout.add(sort);
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
  std::size_t at = layout.table_bytes() + layout.order.size();
  for (Group& group : layout.groups) {
    group.columns = at;
    at += static_cast<std::size_t>(group.count) * group.size();
  }
}

// Where each group's rows are in `rows`, which is made long enough.
void place_rows(Layout& layout, Bytes& rows) {
  const auto length = [](const Group& group) { return group.only_time ? kRecordTimeBytes : group.size(); };
  std::size_t all = 0;
  for (const Group& group : layout.groups) all += group.count * length(group);
  rows.resize(all);
  std::byte* row = rows.data();
  for (Group& group : layout.groups) {
    group.row = row;
    row += group.count * length(group);
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
void spread(Family& family, Group& group, const std::byte* record, std::uint64_t time_before) {
  std::byte* const row = std::exchange(group.row, group.row + group.size());
  const std::uint64_t id = group.has_id() ? load_lanes(record + kRecordIdOffset) : 0;
  const Group::Before before = group.follow(family, id, record);
  store_lanes(row, load_lanes(record) - time_before);
  if (group.has_id()) join_bytes(row, record, before.newest, kRecordIdOffset, kIdEnd, subtract_lanes);
  join_others(row, record, before, group.size(), subtract_lanes);
}

// And back.
void gather(Family& family, Group& group, std::byte* record, std::uint64_t time_before) {
  const std::byte* const row = std::exchange(group.row, group.row + group.size());
  store_lanes(record, load_lanes(row) + time_before);
  if (group.has_id()) join_bytes(record, row, group.newest(), kRecordIdOffset, kIdEnd, add_lanes);
  const Group::Before before = group.follow(family, group.has_id() ? load_lanes(record + kRecordIdOffset) : 0, record);
  join_others(record, row, before, group.size(), add_lanes);
}

util::Error contradiction(const char* what) {
  return {std::string{"its records contradict themselves: "} + what, 0, ""};
}

// A group of the table, without a look at whether it makes sense.
std::pair<Sort, std::uint32_t> get_row(View row, Arrangement how) {
  const Sort sort{get<std::uint16_t>(row), get<std::uint16_t>(row.subspan(2)),
                  how == Arrangement::by_state ? get<std::uint16_t>(row.subspan(4)) : std::uint16_t{0}};
  return {sort, get<std::uint32_t>(row.last(4))};
}

util::Result<Layout> read_layout(View bytes, std::uint32_t raw, Arrangement how) {
  Layout layout{how};
  if (bytes.size() < 4) return contradiction("no table");
  const auto groups = get<std::uint32_t>(bytes);
  const std::size_t head = 4 + row_bytes(how) * groups;
  if (groups > kMostGroups || bytes.size() < head) return contradiction("the table is too long");
  std::size_t records = 0;
  for (std::uint32_t i = 0; i < groups; ++i) {
    const auto [sort, count] = get_row(bytes.subspan(4 + row_bytes(how) * i, row_bytes(how)), how);
    Group& group = layout.add(sort);
    group.count = count;
    if (group.size() < abi::kRecordHeaderBytes) return contradiction("a record shorter than its header");
    records += group.count;
    layout.bytes += static_cast<std::size_t>(group.count) * group.size();
  }
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
      gather(layout_.family_of(group), group, record, time);
      const auto header = abi::peek_header(View{record, group.size()});
      if (!header || sort_of(record, *header, layout_.how) != group.sort())
        return contradiction("a record is of another kind, size or state than its group");
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
  out.reserve(layout->table_bytes() + layout->order.size() + layout->bytes);
  put(out, static_cast<std::uint32_t>(layout->groups.size()));
  for (const Group& group : layout->groups) {
    put(out, group.sort().kind);
    put(out, group.sort().size);
    put(out, group.sort().states);
    put(out, std::uint16_t{0});
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
    spread(layout->family_of(group), group, record, time);
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

util::Result<Bytes> restore(View bytes, std::uint32_t raw, Arrangement how) {
  if (how == Arrangement::plain) return Bytes{bytes.begin(), bytes.end()};
  util::Result<Layout> layout = read_layout(bytes, raw, how);
  if (!layout) return std::move(layout.error());
  util::Result<Restored> restored = Restoration{*layout, bytes}.run();
  if (!restored) return std::move(restored.error());
  return std::move(restored->records);
}

util::Result<Restored> restore_without_ordinary(View bytes, std::uint32_t raw, Arrangement how) {
  util::Result<Layout> layout = read_layout(bytes, raw, how);
  if (!layout) return std::move(layout.error());
  for (Group& group : layout->groups) group.only_time = abi::is_ordinary(group.sort().kind, group.sort().size);
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
